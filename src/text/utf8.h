// UTF-8: checking, and putting a stream of byte pieces together so that no character is ever split.
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include "base/buffer.h"

// Decodes one character at text[0..length), length >= 1. Returns its bytes (1..4) and the code point, or a negative
// count -n (n >= 1: the bytes that together become one U+FFFD, by the "maximal subpart" practice of Unicode chapter 3)
// with *code_point = 0xFFFD.
int utf8_decode(const char *text, size_t length, uint32_t *code_point);

// Bytes written to out[4] for a code point (invalid ones give U+FFFD).
int utf8_encode(uint32_t code_point, char *out);

// True if the bytes are well-formed throughout.
bool utf8_valid(const char *text, size_t length);

// Makes every byte that is part of no character a '?'.
void utf8_repair(char *text);

// Holds back an unfinished character at the end of what was pushed.
struct utf8_stream {
    char held[4];
    int n_held;
};

// Appends to `out` all characters that are complete; broken bytes become U+FFFD.
tern_status utf8_stream_push(struct utf8_stream *stream, const char *bytes, size_t length, struct buffer *out);
// At the end: an unfinished character becomes one U+FFFD.
tern_status utf8_stream_finish(struct utf8_stream *stream, struct buffer *out);

#endif
