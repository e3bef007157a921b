#include "text/special.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NAME_BYTES = 255 };

static bool is_searched(enum token_type type)
{
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || type == TOKEN_USER_DEFINED;
}

// In the order of bytes, a prefix before what it begins.
static int compare_names(const void *a, const void *b)
{
    const struct special_token *x = a, *y = b;
    int order = memcmp(x->name, y->name, x->length < y->length ? x->length : y->length);
    if (order != 0) return order;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id; // so that a message about two of one name is the same everywhere
}

static tern_status collect(const struct vocabulary *vocabulary, struct special_tokens *out)
{
    for (tern_token id = 0; id < vocabulary->n_tokens; id++) {
        size_t length;
        const char *name = vocabulary_bytes(vocabulary, id, &length);
        if (!is_searched(vocabulary->types[id]) || length == 0) continue;
        if (length > MAX_NAME_BYTES) {
            return status_fail(TERN_UNSUPPORTED, "special token %d has a name of %zu bytes, expected at most %d", id,
                               length, MAX_NAME_BYTES);
        }
        bool control = vocabulary->types[id] != TOKEN_USER_DEFINED;
        out->tokens[out->count++] =
            (struct special_token){.name = name, .length = (uint32_t)length, .id = id, .control = control};
    }
    return TERN_OK;
}

// Names are unique, which the search counts on: no two tokens of a range end at the same depth.
static tern_status check_unique(const struct special_tokens *specials)
{
    for (uint32_t i = 1; i < specials->count; i++) {
        const struct special_token *one = &specials->tokens[i - 1], *other = &specials->tokens[i];
        if (one->length == other->length && memcmp(one->name, other->name, one->length) == 0) {
            return status_fail(TERN_BAD_FILE, "special tokens %d and %d are both \"%.*s\"", one->id, other->id,
                               (int)one->length, one->name);
        }
    }
    return TERN_OK;
}

static void index_first_bytes(struct special_tokens *specials)
{
    uint32_t at = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        specials->first[byte] = at;
        while (at < specials->count && (unsigned char)specials->tokens[at].name[0] == byte) {
            at++;
        }
    }
    specials->first[256] = at;
}

tern_status special_tokens_open(const struct vocabulary *vocabulary, struct special_tokens *out)
{
    *out = (struct special_tokens){0};
    size_t count = 0;
    for (int32_t i = 0; i < vocabulary->n_tokens; i++) {
        count += is_searched(vocabulary->types[i]);
    }
    out->tokens = malloc((count + 1) * sizeof *out->tokens);
    if (!out->tokens) return status_fail(TERN_NO_MEMORY, "no memory for %zu special tokens", count);
    TRY(collect(vocabulary, out));
    qsort(out->tokens, out->count, sizeof *out->tokens, compare_names);
    index_first_bytes(out);
    return check_unique(out);
}

void special_tokens_close(struct special_tokens *specials)
{
    free(specials->tokens);
    *specials = (struct special_tokens){0};
}

// The first of tokens[low .. high), which agree in their first `depth` bytes and are longer, whose next byte is not
// below `byte`.
static uint32_t lower_bound(const struct special_tokens *specials, uint32_t low, uint32_t high, size_t depth,
                            unsigned byte)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((unsigned char)specials->tokens[middle].name[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The longest token that the text begins with. The tokens that agree with it so far are a range, which narrows byte by
// byte; one that ends here stands at the front of the range.
static const struct special_token *longest_match(const struct special_tokens *specials, bool with_control,
                                                 const char *text, size_t length)
{
    const struct special_token *best = NULL;
    uint32_t low = specials->first[(unsigned char)text[0]], high = specials->first[(unsigned char)text[0] + 1];
    for (size_t depth = 1; low < high; depth++) {
        const struct special_token *token = &specials->tokens[low];
        if (token->length == depth) {
            if (with_control || !token->control) best = token;
            low++;
        }
        if (depth == length) break;
        unsigned byte = (unsigned char)text[depth];
        low = lower_bound(specials, low, high, depth, byte);
        high = lower_bound(specials, low, high, depth, byte + 1);
    }
    return best;
}

const struct special_token *special_tokens_find(const struct special_tokens *specials, bool with_control,
                                                const char *text, size_t length, size_t from, size_t *start)
{
    for (size_t i = from; i < length; i++) {
        const uint32_t *first = &specials->first[(unsigned char)text[i]];
        if (first[0] == first[1]) continue;
        const struct special_token *token = longest_match(specials, with_control, text + i, length - i);
        if (token) {
            *start = i;
            return token;
        }
    }
    return NULL;
}
