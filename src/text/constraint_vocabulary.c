#include "text/constraint_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "text/constraint_memory.h"

struct spelled_token {
    const char *bytes;
    size_t length;
    tern_token token;
};

static int compare_tokens(const void *a, const void *b)
{
    const struct spelled_token *x = a, *y = b;
    size_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->bytes, y->bytes, shorter);
    if (order != 0) return order;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

// Tokens that can be part of a constrained text, in the order of their bytes. Returns their number.
static size_t list_tokens(struct constraint_vocabulary *v, struct spelled_token *out)
{
    size_t count = 0;
    for (tern_token token = 0; token < v->n_tokens; token++) {
        struct spelled_token *t = &out[count];
        t->token = token;
        t->bytes = tokenizer_token_bytes(v->tokenizer, token, &t->length);
        bool is_text = !tokenizer_is_control(v->tokenizer, token) && !tokenizer_is_end(v->tokenizer, token);
        if (!is_text || t->length == 0 || t->length > UINT16_MAX) continue;
        if (t->length == 1) byte_set_add(&v->available, (uint8_t)t->bytes[0], (uint8_t)t->bytes[0]);
        if (t->length > v->longest) v->longest = (uint32_t)t->length;
        count++;
    }
    qsort(out, count, sizeof *out, compare_tokens);
    return count;
}

static size_t common_prefix(const struct spelled_token *a, const struct spelled_token *b)
{
    size_t n = 0;
    while (n < a->length && n < b->length && a->bytes[n] == b->bytes[n]) {
        n++;
    }
    return n;
}

// `path`: [longest] the node of each byte of the token before.
static void add_token(struct constraint_vocabulary *v, const struct spelled_token *t, size_t common, size_t before,
                      uint32_t *path)
{
    for (size_t depth = common; depth < before; depth++) {
        v->nodes[path[depth]].skip = (uint32_t)v->n_nodes;
    }
    for (size_t depth = common; depth < t->length; depth++) {
        path[depth] = (uint32_t)v->n_nodes;
        v->nodes[v->n_nodes++] =
            (struct trie_node){.token = -1, .depth = (uint16_t)depth, .byte = (uint8_t)t->bytes[depth]};
    }
    struct trie_node *last = &v->nodes[path[t->length - 1]];
    v->same[t->token] = last->token;
    last->token = t->token;
}

static tern_status build_trie(struct constraint_vocabulary *v, const struct spelled_token *tokens, size_t count)
{
    size_t n_nodes = 0;
    for (size_t i = 0; i < count; i++) {
        n_nodes += tokens[i].length - (i ? common_prefix(&tokens[i - 1], &tokens[i]) : 0);
    }
    uint32_t *path = malloc((v->longest + 1) * sizeof *path);
    v->nodes = malloc((n_nodes + 1) * sizeof *v->nodes);
    if (!path || !v->nodes || n_nodes >= UINT32_MAX) {
        free(path);
        return status_fail(TERN_NO_MEMORY, "no memory for %zu bytes of tokens", n_nodes);
    }
    for (size_t i = 0; i < count; i++) {
        size_t common = i ? common_prefix(&tokens[i - 1], &tokens[i]) : 0;
        add_token(v, &tokens[i], common, i ? tokens[i - 1].length : 0, path);
    }
    for (size_t depth = 0; count > 0 && depth < tokens[count - 1].length; depth++) {
        v->nodes[path[depth]].skip = (uint32_t)v->n_nodes;
    }
    free(path);
    return TERN_OK;
}

static tern_status list_specials(struct constraint_vocabulary *v)
{
    size_t ends_room = 0, controls_room = 0;
    for (tern_token token = 0; token < v->n_tokens; token++) {
        if (tokenizer_is_end(v->tokenizer, token)) {
            TRY(constraint_grow(&v->ends, &ends_room, v->n_ends + 1, sizeof *v->ends, SIZE_MAX / 64, "end tokens"));
            v->ends[v->n_ends++] = token;
        } else if (tokenizer_is_control(v->tokenizer, token)) {
            TRY(constraint_grow(&v->controls, &controls_room, v->n_controls + 1, sizeof *v->controls, SIZE_MAX / 64,
                                "control tokens"));
            v->controls[v->n_controls++] = token;
        }
    }
    return TERN_OK;
}

static tern_status fill_vocabulary(struct constraint_vocabulary *v)
{
    struct spelled_token *tokens = malloc(((size_t)v->n_tokens + 1) * sizeof *tokens);
    v->same = malloc(((size_t)v->n_tokens + 1) * sizeof *v->same);
    if (!tokens || !v->same) {
        free(tokens);
        return status_fail(TERN_NO_MEMORY, "no memory for the bytes of %d tokens", v->n_tokens);
    }
    size_t count = list_tokens(v, tokens);
    tern_status status = build_trie(v, tokens, count);
    free(tokens);
    return status == TERN_OK ? list_specials(v) : status;
}

tern_status constraint_vocabulary_open(const struct tokenizer *tokenizer, struct constraint_vocabulary **out)
{
    *out = NULL;
    struct constraint_vocabulary *v = calloc(1, sizeof *v);
    if (!v) return status_fail(TERN_NO_MEMORY, "no memory for a vocabulary");
    v->tokenizer = tokenizer;
    v->n_tokens = tokenizer_vocabulary(tokenizer);
    tern_status status = fill_vocabulary(v);
    if (status != TERN_OK) {
        constraint_vocabulary_close(v);
        return status;
    }
    *out = v;
    return TERN_OK;
}

void constraint_vocabulary_close(struct constraint_vocabulary *v)
{
    if (!v) return;
    free(v->nodes);
    free(v->same);
    free(v->ends);
    free(v->controls);
    free(v);
}
