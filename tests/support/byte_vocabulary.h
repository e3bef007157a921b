// A vocabulary made for tests: every byte is a token (0 to 255, its own value), <|end|> ends an answer (256), <|tool|>
// is a control token (257), and then come the strings that the test wants.
#ifndef SUPPORT_BYTE_VOCABULARY_H
#define SUPPORT_BYTE_VOCABULARY_H

#include "base/status.h"
#include "gguf_image.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

#include <stdio.h>

enum { BYTE_TOKEN_END = 256, BYTE_TOKEN_CONTROL = 257, BYTE_TOKEN_FIRST = 258 };

// GPT-2's spelling: bytes that are no printable characters of Latin-1 stand from U+0100 on, in their order.
static inline void image_spelled(struct buffer *b, const char *bytes, size_t length)
{
    char text[1024];
    size_t n = 0;
    for (size_t i = 0; i < length && n < sizeof text - 4; i++) {
        uint32_t byte = (unsigned char)bytes[i], code = byte, next = 0x100;
        for (uint32_t other = 0; other <= byte; other++) {
            bool shown = (other >= 0x21 && other <= 0x7E) || (other >= 0xA1 && other != 0xAD);
            if (other == byte && !shown) code = next;
            if (!shown) next++;
        }
        n += (size_t)utf8_encode(code, text + n);
    }
    image_u64(b, n);
    image_bytes(b, text, n);
}

static inline void image_byte_tokens(struct buffer *b, const char *const *extra, size_t n_extra)
{
    image_key_array(b, "tokenizer.ggml.tokens", GGUF_STRING, BYTE_TOKEN_FIRST + n_extra);
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        image_spelled(b, &c, 1);
    }
    image_string(b, "<|end|>");
    image_string(b, "<|tool|>");
    for (size_t i = 0; i < n_extra; i++) {
        image_spelled(b, extra[i], strlen(extra[i]));
    }
    image_key_array(b, "tokenizer.ggml.token_type", GGUF_I32, BYTE_TOKEN_FIRST + n_extra);
    for (size_t i = 0; i < BYTE_TOKEN_FIRST + n_extra; i++) {
        image_u32(b, i == BYTE_TOKEN_END || i == BYTE_TOKEN_CONTROL ? 3 : 1);
    }
}

// Close with tokenizer_close().
static inline struct tokenizer *byte_tokenizer_open(const char *const *extra, size_t n_extra)
{
    struct buffer image = {0};
    struct gguf_file *file;
    struct tokenizer *tokenizer;
    image_begin(&image, 3, 0, 6);
    image_key_string(&image, "tokenizer.ggml.model", "gpt2");
    image_key_string(&image, "tokenizer.ggml.pre", "gpt-2");
    image_key_number(&image, "tokenizer.ggml.eos_token_id", GGUF_U32, BYTE_TOKEN_END, 4);
    image_byte_tokens(&image, extra, n_extra);
    image_key_array(&image, "tokenizer.ggml.merges", GGUF_STRING, 0);
    if (gguf_open_memory((const uint8_t *)image.data, image.length, "tokens", &file) != TERN_OK ||
        tokenizer_open(file, &tokenizer) != TERN_OK) {
        fprintf(stderr, "%s\n", status_message());
        abort();
    }
    gguf_close(file);
    buffer_free(&image);
    return tokenizer;
}

#endif
