// A text cut into chunks as llama.cpp's perplexity tool cuts it, so that figures compare: consecutive chunks of
// `context` tokens, no overlap, what is left at the end dropped; each chunk begins anew, with the start token in place
// of its first token if the model wants one; only predictions of the second half count. Special tokens in the text are
// taken as text.
#ifndef EVAL_CHUNKS_H
#define EVAL_CHUNKS_H

#include "text/tokenizer.h"

struct chunks {
    int32_t context;    // tokens of a chunk
    int64_t count;      // chunks
    tern_token *tokens; // [count][context], owned
};

enum { CHUNKS_CONTEXT = 512, CHUNKS_LEAST_CONTEXT = 4 };

// Takes the first `most` chunks; 0: all. Errors: LIMIT (the text has too few tokens for one), NO_MEMORY. Free with
// chunks_free().
tern_status chunks_make(const struct tokenizer *tokenizer, const char *text, size_t length, int32_t context,
                        int64_t most, struct chunks *out);
void chunks_free(struct chunks *chunks);

// Position chunks_first() of a chunk is the first whose prediction (of the token after it) counts; the last position
// predicts a token of the next chunk and does not count either.
static inline int32_t chunks_first(int32_t context)
{
    return context / 2;
}

static inline int32_t chunks_scored(int32_t context)
{
    return context - 1 - chunks_first(context);
}

#endif
