#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

enum {
    MAX_TOKENS = 1 << 22,
    // Longest search in the hash table. Vocabularies that were not made to collide stay far below it; without a bound,
    // one that was would take quadratic time.
    MAX_PROBES = 1024,
};

static const uint64_t MAX_BYTES = UINT64_C(1) << 28;

static const char tokens_key[] = "tokenizer.ggml.tokens";
static const char types_key[] = "tokenizer.ggml.token_type";

// GPT-2's spelling (bytes_to_unicode in its encoder.py): printable Latin-1 characters stand for themselves, the other
// 68 bytes, in order, for U+0100 and what follows. -1 for a code point that stands for no byte.
static int byte_of_code_point(uint32_t c)
{
    if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF)) return (int)c;
    if (c < 0x100 || c > 0x143) return -1;
    uint32_t n = c - 0x100;
    if (n <= 0x20) return (int)n;
    if (n <= 0x42) return (int)(n - 0x21 + 0x7F);
    return 0xAD;
}

// A string with a character that stands for no byte is taken as it is, as Hugging Face's ByteLevel decoder does.
static size_t unspell_byte_level(struct gguf_string string, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < string.length;) {
        uint32_t code_point;
        int step = utf8_decode(string.data + i, string.length - i, &code_point);
        int byte = step < 0 ? -1 : byte_of_code_point(code_point);
        if (byte < 0) {
            memcpy(out, string.data, string.length);
            return string.length;
        }
        out[n++] = (char)byte;
        i += (size_t)step;
    }
    return n;
}

static size_t unspell_sentencepiece(struct gguf_string string, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < string.length;) {
        if (string.length - i >= 3 && memcmp(string.data + i, "\xE2\x96\x81", 3) == 0) {
            out[n++] = ' ';
            i += 3;
        } else {
            out[n++] = string.data[i++];
        }
    }
    return n;
}

size_t vocabulary_unspell(enum vocabulary_spelling spelling, struct gguf_string string, char *out)
{
    if (string.length == 0) return 0;
    return spelling == VOCABULARY_BYTE_LEVEL ? unspell_byte_level(string, out) : unspell_sentencepiece(string, out);
}

// Eight bytes at a time, multiplied by a large odd constant and folded.
static uint64_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t hash = length * UINT64_C(0x9E3779B97F4A7C15);
    while (length > 0) {
        uint64_t word = 0;
        size_t n = length < 8 ? length : 8;
        memcpy(&word, bytes, n);
        hash = (hash ^ word) * UINT64_C(0xD6E8FEB86659FD93);
        hash ^= hash >> 32;
        bytes += n;
        length -= n;
    }
    return hash;
}

static bool token_equals(const struct vocabulary *vocabulary, tern_token token, const char *bytes, size_t length)
{
    size_t own_length;
    const char *own = vocabulary_bytes(vocabulary, token, &own_length);
    return own_length == length && memcmp(own, bytes, length) == 0;
}

// The slot where these bytes are or would be put; NULL after MAX_PROBES.
static tern_token *find_slot(const struct vocabulary *vocabulary, const char *bytes, size_t length)
{
    uint32_t slot = (uint32_t)hash_bytes(bytes, length);
    for (int probe = 0; probe < MAX_PROBES; probe++) {
        tern_token *entry = &vocabulary->slots[slot++ & vocabulary->slot_mask];
        if (*entry < 0 || token_equals(vocabulary, *entry, bytes, length)) return entry;
    }
    return NULL;
}

tern_token vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, size_t length)
{
    const tern_token *slot = find_slot(vocabulary, bytes, length);
    return slot ? *slot : -1;
}

// Tokens that no merge makes: they are spelled as they are.
static bool is_special(enum token_type type)
{
    return type != TOKEN_NORMAL && type != TOKEN_BYTE;
}

static size_t unspell_token(const struct vocabulary *vocabulary, tern_token token, struct gguf_string string, char *out)
{
    if (!is_special(vocabulary->types[token])) return vocabulary_unspell(vocabulary->spelling, string, out);
    if (string.length > 0) memcpy(out, string.data, string.length);
    return string.length;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

// The value of "<0x0A>", -1 if the bytes are nothing of the kind.
static int parse_byte_name(const char *name, size_t length)
{
    if (length != 6 || memcmp(name, "<0x", 3) != 0 || name[5] != '>') return -1;
    int high = hex_digit(name[3]), low = hex_digit(name[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static tern_status read_types(const struct gguf_file *file, struct vocabulary *vocabulary)
{
    struct gguf_array types = {0};
    memset(vocabulary->types, TOKEN_NORMAL, (size_t)vocabulary->n_tokens);
    if (gguf_find(file, types_key) == NULL) return TERN_OK;
    TRY(gguf_get_array(file, types_key, GGUF_I32, &types));
    if (types.count != (uint64_t)vocabulary->n_tokens) {
        return status_fail(TERN_BAD_FILE, "%s: %s has %llu entries, expected one for each of the %d tokens", file->path,
                           types_key, (unsigned long long)types.count, vocabulary->n_tokens);
    }
    for (int32_t i = 0; i < vocabulary->n_tokens; i++) {
        int32_t type;
        memcpy(&type, types.data + 4 * (size_t)i, sizeof type);
        if (type < TOKEN_NORMAL || type > TOKEN_BYTE) {
            return status_fail(TERN_BAD_FILE, "%s: %s: token %d has type %d, expected 1 to 6", file->path, types_key, i,
                               type);
        }
        vocabulary->types[i] = (uint8_t)type;
    }
    return TERN_OK;
}

static tern_status allocate(struct vocabulary *vocabulary, size_t n_tokens, size_t n_bytes)
{
    size_t n_slots = 4;
    while (n_slots < 2 * n_tokens)
        n_slots *= 2;
    vocabulary->n_tokens = (int32_t)n_tokens;
    vocabulary->slot_mask = (uint32_t)(n_slots - 1);
    vocabulary->bytes = malloc(n_bytes + 1);
    vocabulary->starts = malloc((n_tokens + 1) * sizeof *vocabulary->starts);
    vocabulary->types = malloc(n_tokens);
    vocabulary->slots = malloc(n_slots * sizeof *vocabulary->slots);
    if (!vocabulary->bytes || !vocabulary->starts || !vocabulary->types || !vocabulary->slots) {
        return status_fail(TERN_NO_MEMORY, "no memory for a vocabulary of %zu tokens", n_tokens);
    }
    memset(vocabulary->slots, 0xFF, n_slots * sizeof *vocabulary->slots);
    memset(vocabulary->byte_ids, 0xFF, sizeof vocabulary->byte_ids);
    return TERN_OK;
}

static tern_status check_size(const struct gguf_file *file, const struct gguf_array *tokens)
{
    if (tokens->count == 0 || tokens->count > MAX_TOKENS) {
        return status_fail(TERN_BAD_FILE, "%s: %s has %llu entries, expected 1 to %d", file->path, tokens_key,
                           (unsigned long long)tokens->count, MAX_TOKENS);
    }
    uint64_t total = 0;
    for (uint64_t i = 0; i < tokens->count; i++) {
        total += tokens->strings[i].length;
        if (total > MAX_BYTES) {
            return status_fail(TERN_BAD_FILE, "%s: %s: the tokens are longer than %llu bytes together", file->path,
                               tokens_key, (unsigned long long)MAX_BYTES);
        }
    }
    return TERN_OK;
}

// Byte tokens stand for the byte that they name and are found by it alone.
static tern_status read_byte_token(const struct gguf_file *file, struct vocabulary *vocabulary, tern_token token)
{
    size_t length;
    char *bytes = vocabulary->bytes + vocabulary->starts[token];
    const char *name = vocabulary_bytes(vocabulary, token, &length);
    int byte = parse_byte_name(name, length);
    if (byte < 0 || vocabulary->byte_ids[byte] >= 0) {
        return status_fail(TERN_BAD_FILE, "%s: %s: byte token %d is \"%.*s\", expected <0x00> to <0xFF>, each once",
                           file->path, tokens_key, token, (int)(length < 64 ? length : 64), name);
    }
    bytes[0] = (char)byte;
    vocabulary->starts[token + 1] = vocabulary->starts[token] + 1;
    vocabulary->byte_ids[byte] = token;
    return TERN_OK;
}

static tern_status index_token(const struct gguf_file *file, struct vocabulary *vocabulary, tern_token token)
{
    size_t length;
    const char *bytes = vocabulary_bytes(vocabulary, token, &length);
    tern_token *slot = find_slot(vocabulary, bytes, length);
    if (!slot) {
        return status_fail(TERN_BAD_FILE, "%s: %s: token %d: too many tokens have hashes that collide", file->path,
                           tokens_key, token);
    }
    if (*slot < 0) {
        *slot = token;
    } else if (is_special(vocabulary->types[*slot]) == is_special(vocabulary->types[token])) {
        return status_fail(TERN_BAD_FILE, "%s: %s: tokens %d and %d are both \"%.*s\"", file->path, tokens_key, *slot,
                           token, (int)(length < 64 ? length : 64), bytes);
    }
    return TERN_OK;
}

static tern_status read_tokens(const struct gguf_file *file, const struct gguf_array *tokens,
                               struct vocabulary *vocabulary)
{
    vocabulary->starts[0] = 0;
    for (tern_token token = 0; token < vocabulary->n_tokens; token++) {
        uint32_t start = vocabulary->starts[token];
        size_t length = unspell_token(vocabulary, token, tokens->strings[token], vocabulary->bytes + start);
        vocabulary->starts[token + 1] = start + (uint32_t)length;
        if (vocabulary->types[token] == TOKEN_BYTE && vocabulary->spelling == VOCABULARY_SENTENCEPIECE) {
            TRY(read_byte_token(file, vocabulary, token));
        }
    }
    return TERN_OK;
}

// Ordinary tokens first: where a special token has the same bytes, the ordinary one is what merges make.
static tern_status index_tokens(const struct gguf_file *file, struct vocabulary *vocabulary)
{
    bool sentencepiece = vocabulary->spelling == VOCABULARY_SENTENCEPIECE;
    for (int special = 0; special < 2; special++) {
        for (tern_token token = 0; token < vocabulary->n_tokens; token++) {
            if (is_special(vocabulary->types[token]) != special) continue;
            if (sentencepiece && vocabulary->types[token] == TOKEN_BYTE) continue;
            TRY(index_token(file, vocabulary, token));
        }
    }
    if (sentencepiece) return TERN_OK;
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        vocabulary->byte_ids[byte] = vocabulary_find(vocabulary, &c, 1);
    }
    return TERN_OK;
}

tern_status vocabulary_read(const struct gguf_file *file, enum vocabulary_spelling spelling, struct vocabulary *out)
{
    *out = (struct vocabulary){.spelling = spelling};
    if (!gguf_find(file, tokens_key)) {
        return status_fail(TERN_BAD_FILE, "%s: %s is missing: the file has no vocabulary", file->path, tokens_key);
    }
    struct gguf_array tokens = {0};
    TRY(gguf_get_array(file, tokens_key, GGUF_STRING, &tokens));
    TRY(check_size(file, &tokens));
    size_t n_bytes = 0;
    for (uint64_t i = 0; i < tokens.count; i++) {
        n_bytes += tokens.strings[i].length;
    }
    TRY(allocate(out, (size_t)tokens.count, n_bytes));
    TRY(read_types(file, out));
    TRY(read_tokens(file, &tokens, out));
    return index_tokens(file, out);
}

void vocabulary_free(struct vocabulary *vocabulary)
{
    free(vocabulary->bytes);
    free(vocabulary->starts);
    free(vocabulary->types);
    free(vocabulary->slots);
    *vocabulary = (struct vocabulary){0};
}

tern_status vocabulary_read_id(const struct gguf_file *file, const char *key, int32_t n_tokens, tern_token *out)
{
    if (!gguf_find(file, key)) return TERN_OK;
    uint32_t id = 0;
    TRY(gguf_get_u32(file, key, &id));
    if (id >= (uint32_t)n_tokens) {
        return status_fail(TERN_BAD_FILE, "%s: %s is %u, but the vocabulary has %d tokens", file->path, key, id,
                           n_tokens);
    }
    *out = (tern_token)id;
    return TERN_OK;
}
