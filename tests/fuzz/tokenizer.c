// The first byte says what the rest is: 0 to 4 text for a vocabulary of that kind, anything else a GGUF file with a
// vocabulary of its own. Text must come back from its tokens, except where it is normalised.
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "../support/gguf_image.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) abort();
}

// ---- A vocabulary for texts -----------------------------------------------------------------------------------------

static const char *const kinds[] = {"gpt-2", "smollm", "llama-bpe", "qwen2", "llama"};

enum { N_KINDS = sizeof kinds / sizeof kinds[0], QWEN2 = 3, SENTENCEPIECE = 4 };

static const char *const pieces[] = {"ab", "abc", "\u2581a", "bc", "\u2581\u2581", "\u2581\u2581\u2581\u2581"};
static const char *const merges[] = {"a b", "ab c", "\u0120 a", "b c", "\u0120 \u0120", "\u0120\u0120 \u0120\u0120"};
static const char *const specials[] = {"<|im_start|>", "<|im_end|>", "<think>", "<|im_end|>|>", "  \n"};

enum {
    N_PIECES = sizeof pieces / sizeof pieces[0],
    N_SPECIALS = sizeof specials / sizeof specials[0],
    N_TOKENS = 256 + N_PIECES + N_SPECIALS,
};

// GPT-2's spelling of a byte.
static void put_spelled_byte(struct buffer *out, unsigned byte)
{
    static const unsigned first[] = {0x21, 0xA1, 0xAE}, last[] = {0x7E, 0xAC, 0xFF};
    unsigned code_point = 0x100;
    for (unsigned other = 0; other <= byte; other++) {
        bool printable = false;
        for (int i = 0; i < 3; i++) {
            printable = printable || (other >= first[i] && other <= last[i]);
        }
        if (other == byte && printable)
            code_point = byte;
        else if (other < byte && !printable)
            code_point++;
    }
    char spelled[5] = "";
    spelled[utf8_encode(code_point, spelled)] = 0;
    image_string(out, spelled);
}

static void put_byte_name(struct buffer *out, unsigned byte)
{
    char name[] = "<0x00>";
    name[3] = "0123456789ABCDEF"[byte >> 4];
    name[4] = "0123456789ABCDEF"[byte & 15];
    image_string(out, name);
}

// The small letters are ordinary characters, all other bytes byte tokens.
static bool is_byte_token(int kind, unsigned byte)
{
    return kind == SENTENCEPIECE && (byte < 'a' || byte > 'c') && byte != ' ';
}

static void put_tokens(struct buffer *out, int kind)
{
    image_key_array(out, "tokenizer.ggml.tokens", GGUF_STRING, N_TOKENS);
    for (unsigned byte = 0; byte < 256; byte++) {
        char letter[2] = {(char)byte, 0};
        if (is_byte_token(kind, byte))
            put_byte_name(out, byte);
        else if (kind == SENTENCEPIECE)
            image_string(out, byte == ' ' ? "\u2581" : letter);
        else
            put_spelled_byte(out, byte);
    }
    for (int i = 0; i < N_PIECES; i++) {
        const char *space = strstr(pieces[i], "\u2581");
        static const char *const spelled[] = {"\u0120a", "\u0120\u0120", "\u0120\u0120\u0120\u0120"};
        bool own = kind == SENTENCEPIECE || !space;
        image_string(out, own ? pieces[i] : spelled[i == 2 ? 0 : i - 3]);
    }
    for (int i = 0; i < N_SPECIALS; i++) {
        image_string(out, specials[i]);
    }
}

static void put_types(struct buffer *out, int kind)
{
    image_key_array(out, "tokenizer.ggml.token_type", GGUF_I32, N_TOKENS);
    for (unsigned i = 0; i < N_TOKENS; i++) {
        bool is_special = i >= 256 + N_PIECES;
        image_u32(out, is_special ? 3 + i % 2 : i < 256 && is_byte_token(kind, i) ? 6 : 1);
    }
}

static struct tokenizer *open_kind(int kind)
{
    struct buffer image = {0};
    struct gguf_file *file;
    struct tokenizer *tokenizer;
    image_begin(&image, 3, 0, 5);
    image_key_string(&image, "tokenizer.ggml.model", kind == SENTENCEPIECE ? "llama" : "gpt2");
    image_key_string(&image, "tokenizer.ggml.pre", kinds[kind]);
    put_tokens(&image, kind);
    put_types(&image, kind);
    image_key_array(&image, kind == SENTENCEPIECE ? "tokenizer.ggml.scores" : "tokenizer.ggml.merges",
                    kind == SENTENCEPIECE ? GGUF_F32 : GGUF_STRING, kind == SENTENCEPIECE ? N_TOKENS : N_PIECES);
    for (unsigned i = 0; kind == SENTENCEPIECE && i < N_TOKENS; i++) {
        image_bytes(&image, &(float){-(float)(i * 7 % 5)}, 4);
    }
    for (int i = 0; kind != SENTENCEPIECE && i < N_PIECES; i++) {
        image_string(&image, merges[i]);
    }
    must(gguf_open_memory((const uint8_t *)image.data, image.length, "fuzz", &file) == TERN_OK);
    must(tokenizer_open(file, &tokenizer) == TERN_OK);
    gguf_close(file);
    buffer_free(&image);
    return tokenizer;
}

// ---- Properties -----------------------------------------------------------------------------------------------------

static void encode(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                   struct buffer *decoded)
{
    tern_token *ids;
    size_t count;
    must(tokenizer_encode(tokenizer, text, length, flags, &ids, &count) == TERN_OK);
    for (size_t i = 0; i < count; i++) {
        size_t n;
        const char *bytes = tokenizer_token_bytes(tokenizer, ids[i], &n);
        must(bytes != NULL);
        must(buffer_append(decoded, bytes, n) == TERN_OK);
    }
    free(ids);
}

static void fuzz_text(int kind, const char *text, size_t length)
{
    static struct tokenizer *tokenizers[N_KINDS];
    if (!tokenizers[kind]) tokenizers[kind] = open_kind(kind);
    for (unsigned flags = 0; flags < 4; flags++) {
        struct buffer decoded = {0}, repaired = {0};
        struct utf8_stream stream = {0};
        encode(tokenizers[kind], text, length, flags, &decoded);
        must(utf8_stream_push(&stream, text, length, &repaired) == TERN_OK);
        must(utf8_stream_finish(&stream, &repaired) == TERN_OK);
        if (kind < QWEN2) {
            must(decoded.length == repaired.length);
            must(decoded.length == 0 || memcmp(decoded.data, repaired.data, decoded.length) == 0);
        }
        buffer_free(&decoded);
        buffer_free(&repaired);
    }
}

static void fuzz_vocabulary(const uint8_t *data, size_t size)
{
    static const char text[] = "  abc a\u0301\u00E9 <|im_end|><think> 12 \xF0\x9F\x98 \u4E2D\r\n";
    struct gguf_file *file;
    struct tokenizer *tokenizer;
    if (gguf_open_memory(data, size, "fuzz", &file) != TERN_OK) return;
    if (tokenizer_open(file, &tokenizer) == TERN_OK) {
        struct buffer decoded = {0};
        encode(tokenizer, text, sizeof text - 1, TERN_TOKENIZE_SPECIAL | TERN_TOKENIZE_BOS, &decoded);
        encode(tokenizer, text, sizeof text - 1, 0, &decoded);
        for (tern_token id = -1; id <= tokenizer_vocabulary(tokenizer); id++) {
            must(tokenizer_is_control(tokenizer, id) || !tokenizer_is_end(tokenizer, id));
        }
        buffer_free(&decoded);
        tokenizer_close(tokenizer);
    }
    gguf_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    if (data[0] < N_KINDS)
        fuzz_text(data[0], (const char *)data + 1, size - 1);
    else
        fuzz_vocabulary(data + 1, size - 1);
    return 0;
}
