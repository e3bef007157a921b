// Texts tried on constraints, byte by byte, with the vocabulary of byte_vocabulary.h.
#ifndef SUPPORT_CONSTRAINT_WALK_H
#define SUPPORT_CONSTRAINT_WALK_H

#include "byte_vocabulary.h"
#include "text/constraint.h"

enum walk_result { WALK_REFUSED, WALK_UNFINISHED, WALK_COMPLETE };

// *at: how many bytes were taken.
static inline enum walk_result walk_text(const struct constraint *constraint, const char *text, size_t length,
                                         size_t *at)
{
    struct constraint_state *state;
    enum walk_result result = WALK_UNFINISHED;
    if (constraint_begin(constraint, &state) != TERN_OK) abort();
    for (*at = 0; *at < length; ++*at) {
        if (constraint_accept(state, (unsigned char)text[*at]) == TERN_OK) continue;
        result = WALK_REFUSED;
        break;
    }
    if (result == WALK_UNFINISHED && constraint_may_end(state)) result = WALK_COMPLETE;
    constraint_end(state);
    return result;
}

#endif
