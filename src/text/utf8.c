#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { REPLACEMENT = 0xFFFD };

// Bytes of the character that starts with `lead`, 0 if none can. C0, C1 and F5.. would only start overlong forms or
// code points above U+10FFFF.
static int expected_bytes(unsigned char lead)
{
    if (lead < 0x80) return 1;
    if (lead < 0xC2) return 0;
    if (lead < 0xE0) return 2;
    if (lead < 0xF0) return 3;
    return lead < 0xF5 ? 4 : 0;
}

// The second byte's range is narrower after some leads: no overlong forms, surrogates or code points above U+10FFFF
// (Unicode 15, table 3-7).
static bool second_byte_fits(unsigned char lead, unsigned char second)
{
    unsigned char lowest = 0x80, highest = 0xBF;
    if (lead == 0xE0) lowest = 0xA0;
    if (lead == 0xED) highest = 0x9F;
    if (lead == 0xF0) lowest = 0x90;
    if (lead == 0xF4) highest = 0x8F;
    return second >= lowest && second <= highest;
}

int utf8_decode(const char *text, size_t length, uint32_t *code_point)
{
    const unsigned char *bytes = (const unsigned char *)text;
    int expected = expected_bytes(bytes[0]);
    if (expected == 1) {
        *code_point = bytes[0];
        return 1;
    }
    *code_point = REPLACEMENT;
    if (expected == 0) return -1;
    uint32_t value = bytes[0] & (0x7Fu >> expected);
    for (int i = 1; i < expected; i++) {
        if ((size_t)i == length || (bytes[i] & 0xC0) != 0x80) return -i;
        if (i == 1 && !second_byte_fits(bytes[0], bytes[1])) return -i;
        value = value << 6 | (bytes[i] & 0x3Fu);
    }
    *code_point = value;
    return expected;
}

int utf8_encode(uint32_t code_point, char *out)
{
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) code_point = REPLACEMENT;
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    int count = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (int i = count - 1; i > 0; i--) {
        out[i] = (char)(0x80u | (code_point & 0x3Fu));
        code_point >>= 6;
    }
    out[0] = (char)((0xF00u >> count & 0xF0u) | code_point);
    return count;
}

static bool eight_ascii(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

// Bytes at the start of the text that are well-formed.
static size_t valid_prefix(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length) {
        if (length - i >= 8 && eight_ascii(text + i)) {
            i += 8;
            continue;
        }
        uint32_t code_point;
        int n = utf8_decode(text + i, length - i, &code_point);
        if (n < 0) break;
        i += (size_t)n;
    }
    return i;
}

bool utf8_valid(const char *text, size_t length)
{
    return valid_prefix(text, length) == length;
}

void utf8_repair(char *text)
{
    for (size_t length = strlen(text), i = 0; i < length;) {
        uint32_t code_point;
        int n = utf8_decode(text + i, length - i, &code_point);
        if (n < 0) memset(text + i, '?', (size_t)-n);
        i += (size_t)abs(n);
    }
}

static tern_status append_replacement(struct buffer *out)
{
    return buffer_append(out, "\xEF\xBF\xBD", 3);
}

// True if `count` bytes, all well-formed as far as they go, are the beginning of a longer character.
static bool is_unfinished(const char *text, size_t length, int decoded)
{
    return decoded < 0 && (size_t)-decoded == length && (size_t)expected_bytes((unsigned char)text[0]) > length;
}

// Adds bytes to the held ones until they are a character or can be none. *taken: how many bytes were used.
static tern_status complete_held(struct utf8_stream *stream, const char *bytes, size_t length, size_t *taken,
                                 struct buffer *out)
{
    *taken = 0;
    while (stream->n_held > 0 && *taken < length) {
        stream->held[stream->n_held] = bytes[*taken];
        size_t count = (size_t)stream->n_held + 1;
        uint32_t code_point;
        int decoded = utf8_decode(stream->held, count, &code_point);
        if (is_unfinished(stream->held, count, decoded)) {
            stream->n_held++;
            ++*taken;
            continue;
        }
        stream->n_held = 0;
        if (decoded < 0) return append_replacement(out); // the new byte is left to start a character of its own
        ++*taken;
        return buffer_append(out, stream->held, count);
    }
    return TERN_OK;
}

tern_status utf8_stream_push(struct utf8_stream *stream, const char *bytes, size_t length, struct buffer *out)
{
    size_t i;
    TRY(complete_held(stream, bytes, length, &i, out));
    while (i < length) {
        size_t valid = valid_prefix(bytes + i, length - i);
        if (valid > 0) TRY(buffer_append(out, bytes + i, valid));
        i += valid;
        if (i == length) break;
        uint32_t code_point;
        int decoded = utf8_decode(bytes + i, length - i, &code_point);
        if (is_unfinished(bytes + i, length - i, decoded)) {
            stream->n_held = (int)(length - i);
            memcpy(stream->held, bytes + i, length - i);
            break;
        }
        TRY(append_replacement(out));
        i += (size_t)-decoded;
    }
    return TERN_OK;
}

tern_status utf8_stream_finish(struct utf8_stream *stream, struct buffer *out)
{
    if (stream->n_held == 0) return TERN_OK;
    stream->n_held = 0;
    return append_replacement(out);
}
