// A vocabulary that all tests of a group share.
#ifndef SUPPORT_CONSTRAINT_FIXTURE_H
#define SUPPORT_CONSTRAINT_FIXTURE_H

#include "byte_vocabulary.h"
#include "text/constraint.h"

// Bytes, and what words a test wants behind them.
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

#endif
