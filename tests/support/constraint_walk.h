// Texts tried on constraints, byte by byte, with the vocabulary of byte_vocabulary.h.
#ifndef SUPPORT_CONSTRAINT_WALK_H
#define SUPPORT_CONSTRAINT_WALK_H

#include "byte_vocabulary.h"
#include "text/constraint.h"

// The vocabulary of a group of tests: bytes, and what words a test wants behind them.
static struct tokenizer *tokenizer;
static struct constraint_vocabulary *vocabulary;

static inline int open_words(const char *const *extra, size_t n_extra)
{
    tokenizer = byte_tokenizer_open(extra, n_extra);
    return constraint_vocabulary_open(tokenizer, &vocabulary) == TERN_OK ? 0 : -1;
}

static inline int open_vocabulary(void **unused)
{
    (void)unused;
    return open_words(NULL, 0);
}

static inline int close_vocabulary(void **unused)
{
    (void)unused;
    constraint_vocabulary_close(vocabulary);
    tokenizer_close(tokenizer);
    return 0;
}

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
