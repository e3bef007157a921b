// A schema or a grammar, up to the first NUL byte, and then what a model might draw. The first byte says which of the
// two it is, and with what options. What is allowed must be accepted, what the mask refuses must not, and as long as
// only allowed tokens are taken there is always one.
#include "text/constraint.h"

#include <stdlib.h>
#include <string.h>

#include "../support/byte_vocabulary.h"

enum { MAX_STEPS = 64, N_TOKENS = BYTE_TOKEN_FIRST + 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct constraint_vocabulary *get_vocabulary(void)
{
    static const char *const extra[] = {"\": \"", "\"},", "true", "\xC3\xA9", "0000", "<call>{\""};
    static struct constraint_vocabulary *vocabulary;
    if (!vocabulary && constraint_vocabulary_open(byte_tokenizer_open(extra, 6), &vocabulary) != TERN_OK) abort();
    return vocabulary;
}

static bool bit(const uint32_t *mask, tern_token token)
{
    return mask[token / 32] >> (token % 32) & 1;
}

// The n-th allowed token, counted round; -1 if there is none.
static tern_token nth_allowed(const uint32_t *mask, unsigned n)
{
    tern_token allowed[N_TOKENS];
    unsigned count = 0;
    for (tern_token token = 0; token < N_TOKENS; token++) {
        if (bit(mask, token)) allowed[count++] = token;
    }
    return count ? allowed[n % count] : -1;
}

static bool take_step(struct constraint_state *state, uint8_t choice)
{
    uint32_t mask[(N_TOKENS + 31) / 32];
    tern_token probe = choice * 7 % N_TOKENS;
    if (constraint_mask(state, mask, N_TOKENS) != TERN_OK) return false; // LIMIT
    tern_token token = nth_allowed(mask, choice);
    if (token < 0) abort();
    if (constraint_allows(state, probe) != bit(mask, probe)) abort();
    if (!bit(mask, probe) && constraint_accept(state, probe) == TERN_OK) abort();
    if (constraint_may_end(state) != bit(mask, BYTE_TOKEN_END)) abort();
    if (constraint_must_end(state) && !constraint_may_end(state)) abort();
    if (constraint_accept(state, token) != TERN_OK) abort();
    return token != BYTE_TOKEN_END;
}

static void walk(const struct constraint *constraint, const uint8_t *choices, size_t n)
{
    struct constraint_state *state;
    if (constraint_begin(constraint, &state) != TERN_OK) return;
    for (size_t i = 0; i < n && i < MAX_STEPS && take_step(state, choices[i]); i++) {
    }
    constraint_end(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const triggers[] = {"<call>", "<call", "<<"};
    if (size < 2) return 0;
    const char *text = (const char *)data + 1, *split = memchr(text, '\0', size - 1);
    size_t length = split ? (size_t)(split - text) : size - 1;
    struct constraint_options options = {.triggers = triggers,
                                         .n_triggers = data[0] & 3,
                                         .repeat = data[0] & 4,
                                         .must_trigger = data[0] & 8,
                                         .suffix = data[0] & 16 ? "</call>" : NULL,
                                         .prefix = data[0] & 32 ? "<|tool|>" : NULL,
                                         .begins = (data[0] & 3) == 2,
                                         .behind = (data[0] & 48) == 48 ? "</t>" : NULL,
                                         .otherwise = (data[0] & 3) == 3 ? "{\"type\": \"integer\"}" : NULL,
                                         .bare = (data[0] & 67) == 65,
                                         .no_whitespace = data[0] & 64};
    struct constraint *constraint;
    tern_status status = data[0] & 128 ? constraint_open_grammar(get_vocabulary(), text, length, &options, &constraint)
                                       : constraint_open_schema(get_vocabulary(), text, length, &options, &constraint);
    if (status != TERN_OK) return 0;
    walk(constraint, (const uint8_t *)text + length, size - 1 - length);
    constraint_close(constraint);
    return 0;
}
