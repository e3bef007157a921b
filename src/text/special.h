// Finding the special tokens that stand in a text by name ("<|im_end|>").
#ifndef TEXT_SPECIAL_H
#define TEXT_SPECIAL_H

#include "text/vocabulary.h"

struct special_token {
    const char *name; // [length] in the vocabulary
    uint32_t length;
    tern_token id;
    bool control; // found only where control tokens are asked for
};

struct special_tokens {
    struct special_token *tokens; // [count] sorted by name
    uint32_t count;
    uint32_t first[257]; // tokens[first[c]] .. tokens[first[c + 1]] begin with byte c
};

// Collects control, unknown and user-defined tokens. The vocabulary must outlive it. Errors: NO_MEMORY,
// BAD_FILE (two of one name), UNSUPPORTED (a name of more than 255 bytes, the bound on the time that a search takes for
// each byte of text).
tern_status special_tokens_open(const struct vocabulary *vocabulary, struct special_tokens *out);
void special_tokens_close(struct special_tokens *specials);

// The first place at or after `from` where a special token begins, and the longest that begins there. NULL if none.
const struct special_token *special_tokens_find(const struct special_tokens *specials, bool with_control,
                                                const char *text, size_t length, size_t from, size_t *start);

#endif
