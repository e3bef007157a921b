// The tokens of a vocabulary: the bytes that each stands for, its type, and a search by bytes.
#ifndef TEXT_VOCABULARY_H
#define TEXT_VOCABULARY_H

#include "format/gguf.h"

enum token_type { // as in tokenizer.ggml.token_type
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER_DEFINED,
    TOKEN_UNUSED,
    TOKEN_BYTE,
};

// How the strings of a file stand for bytes.
enum vocabulary_spelling {
    VOCABULARY_BYTE_LEVEL,    // GPT-2's: each byte is a printable character (0x20 is U+0120)
    VOCABULARY_SENTENCEPIECE, // U+2581 is a space, "<0x0A>" is a byte
};

struct vocabulary {
    enum vocabulary_spelling spelling;
    int32_t n_tokens;
    char *bytes;       // the tokens' bytes, one after another
    uint32_t *starts;  // [n_tokens + 1] offsets into bytes
    uint8_t *types;    // [n_tokens] enum token_type
    tern_token *slots; // [slot_mask + 1] hash table from bytes to id, -1: empty; linear probing
    uint32_t slot_mask;
    tern_token byte_ids[256]; // the token of a single byte, -1: none
};

// Reads tokenizer.ggml.tokens and .token_type. Errors: BAD_FILE, NO_MEMORY. After a failure too, give it to
// vocabulary_free().
tern_status vocabulary_read(const struct gguf_file *file, enum vocabulary_spelling spelling, struct vocabulary *out);
void vocabulary_free(struct vocabulary *vocabulary);

// The id whose bytes these are, -1 if none. Byte tokens of a SentencePiece vocabulary are not found; a special token
// is found unless an ordinary one has the same bytes.
tern_token vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, size_t length);

// The bytes that a string of the file (a token's, or a half of a merge) stands for: written to `out`, which has room
// for string.length bytes. Returns their number.
size_t vocabulary_unspell(enum vocabulary_spelling spelling, struct gguf_string string, char *out);

static inline const char *vocabulary_bytes(const struct vocabulary *vocabulary, tern_token token, size_t *length)
{
    *length = vocabulary->starts[token + 1] - vocabulary->starts[token];
    return vocabulary->bytes + vocabulary->starts[token];
}

// Ids are below n_tokens; anything else is BAD_FILE with the key's name. *out is left alone if the key is absent.
tern_status vocabulary_read_id(const struct gguf_file *file, const char *key, int32_t n_tokens, tern_token *out);

#endif
