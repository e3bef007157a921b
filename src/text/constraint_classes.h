#ifndef TEXT_CONSTRAINT_CLASSES_H
#define TEXT_CONSTRAINT_CLASSES_H

#include "text/constraint_characters.h"

// What \d, \w, \s and their opposites stand for. Implementations differ beyond ASCII: `widest` gives what any of them
// takes for it, otherwise what all of them do. *known is false for other letters.
tern_status class_of_escape(struct arena *arena, char letter, bool widest, struct character_set *out, bool *known);

// \p{name}: general categories by their short and long names ("L", "Letter", "Lu"). *known is false for others.
tern_status class_of_property(struct arena *arena, const char *name, size_t length, struct character_set *out,
                              bool *known);

#endif
