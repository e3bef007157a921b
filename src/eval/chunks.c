#include "eval/chunks.h"

#include <stdlib.h>
#include <string.h>

static tern_status cut(const struct tokenizer *tokenizer, const tern_token *tokens, size_t n_tokens, int64_t most,
                       struct chunks *out)
{
    size_t context = (size_t)out->context;
    if (n_tokens < context)
        return status_fail(TERN_LIMIT, "the text has %zu token%s, one chunk takes %zu", n_tokens,
                           n_tokens == 1 ? "" : "s", context);
    out->count = (int64_t)(n_tokens / context);
    if (most > 0 && out->count > most) out->count = most;
    out->tokens = malloc((size_t)out->count * context * sizeof *tokens);
    if (out->tokens == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %zu tokens", n_tokens);
    memcpy(out->tokens, tokens, (size_t)out->count * context * sizeof *tokens);
    for (int64_t i = 0; tokenizer_adds_bos(tokenizer) && i < out->count; i++)
        out->tokens[i * out->context] = tokenizer_bos(tokenizer);
    return TERN_OK;
}

tern_status chunks_make(const struct tokenizer *tokenizer, const char *text, size_t length, int32_t context,
                        int64_t most, struct chunks *out)
{
    tern_token *tokens;
    size_t n_tokens;
    *out = (struct chunks){.context = context};
    if (length > 0 && text[length - 1] == '\n') length--; // llama.cpp drops one when it reads a file
    if (length == 0) return status_fail(TERN_INVALID, "the text is empty");
    TRY(tokenizer_encode(tokenizer, text, length, TERN_TOKENIZE_BOS, &tokens, &n_tokens));
    tern_status status = cut(tokenizer, tokens, n_tokens, most, out);
    free(tokens);
    return status;
}

void chunks_free(struct chunks *chunks)
{
    free(chunks->tokens);
    *chunks = (struct chunks){0};
}
