// Sets of characters (code points), and what they look like in bytes.
#ifndef TEXT_CONSTRAINT_CHARACTERS_H
#define TEXT_CONSTRAINT_CHARACTERS_H

#include "text/constraint_grammar.h"
#include "text/constraint_memory.h"

struct code_range {
    uint32_t low, high; // both belong to it
};

// In an arena. After character_set_sort(): ascending, apart, without surrogates.
struct character_set {
    struct code_range *ranges;
    size_t count, room;
};

tern_status character_set_add(struct arena *arena, struct character_set *set, uint32_t low, uint32_t high);
tern_status character_set_add_all(struct arena *arena, struct character_set *set, const struct character_set *more);
void character_set_sort(struct character_set *set);
// All characters that are not in it. Sorts `set`.
tern_status character_set_invert(struct arena *arena, struct character_set *set, struct character_set *out);

// A run of UTF-8 sequences: each byte is between its two bounds, independently of the others.
struct utf8_run {
    uint8_t low[4], high[4];
    int length;
};

// Cuts a range (without surrogates) into runs, ascending; *low goes behind the one written. False: none is left.
bool utf8_next_run(uint32_t *low, uint32_t high, struct utf8_run *out);

// One character of the sorted set as UTF-8, then `next`.
tern_status grammar_characters(struct grammar *g, const struct character_set *set, uint32_t next, uint32_t *out);

#endif
