#include "text/nfc.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/utf8.h"

// Longest canonical decomposition of one code point.
enum { MAX_DECOMPOSITION = 4 };

// U+0300 has the UTF-8 bytes CC 80; every character from there on begins with CC or more, every one before with less.
bool nfc_is_trivial(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] >= 0xCC) return false;
    }
    return true;
}

static unsigned combining_class(utf8proc_int32_t code_point)
{
    return (unsigned)utf8proc_get_property(code_point)->combining_class & 0xFF;
}

// Stable counting sort of marks by class. utf8proc's own ordering exchanges neighbours, which takes quadratic time on
// a long row of marks.
static void sort_marks(utf8proc_int32_t *marks, size_t count, utf8proc_int32_t *scratch)
{
    size_t starts[257] = {0};
    bool sorted = true;
    for (size_t i = 0; i < count; i++) {
        unsigned class = combining_class(marks[i]);
        if (i > 0 && class < combining_class(marks[i - 1])) sorted = false;
        starts[class + 1]++;
    }
    if (sorted) return;
    for (int class = 0; class < 256; class ++) {
        starts[class + 1] += starts[class];
    }
    for (size_t i = 0; i < count; i++) {
        scratch[starts[combining_class(marks[i])]++] = marks[i];
    }
    memcpy(marks, scratch, count * sizeof *marks);
}

// Puts each row of marks (characters with a combining class other than 0) in canonical order.
static void order_marks(utf8proc_int32_t *code_points, size_t count, utf8proc_int32_t *scratch)
{
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && combining_class(code_points[end]) != 0) {
            end++;
        }
        if (end - i > 1) sort_marks(code_points + i, end - i, scratch);
        i = end + 1;
    }
}

static size_t decompose(const char *text, size_t length, utf8proc_int32_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < length;) {
        uint32_t code_point;
        i += (size_t)utf8_decode(text + i, length - i, &code_point);
        int last_class = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code_point, out + count, MAX_DECOMPOSITION,
                                                     UTF8PROC_DECOMPOSE, &last_class);
        count += (size_t)n;
    }
    return count;
}

static tern_status append_utf8(const utf8proc_int32_t *code_points, size_t count, struct buffer *out)
{
    TRY(buffer_reserve(out, 4 * count));
    for (size_t i = 0; i < count; i++) {
        char bytes[4];
        TRY(buffer_append(out, bytes, (size_t)utf8_encode((uint32_t)code_points[i], bytes)));
    }
    return TERN_OK;
}

static size_t count_characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    }
    return count;
}

tern_status nfc_append(const char *text, size_t length, struct buffer *out)
{
    size_t room = count_characters(text, length) * MAX_DECOMPOSITION;
    if (room == 0) return TERN_OK;
    utf8proc_int32_t *code_points = malloc(room * sizeof *code_points), *scratch = malloc(room * sizeof *scratch);
    tern_status status = TERN_OK;
    if (code_points && scratch) {
        size_t count = decompose(text, length, code_points);
        order_marks(code_points, count, scratch);
        utf8proc_option_t compose = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
        utf8proc_ssize_t composed = utf8proc_normalize_utf32(code_points, (utf8proc_ssize_t)count, compose);
        status = append_utf8(code_points, (size_t)composed, out);
    } else {
        status = status_fail(TERN_NO_MEMORY, "no memory to normalise a text of %zu bytes", length);
    }
    free(code_points);
    free(scratch);
    return status;
}
