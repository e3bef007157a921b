#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){.limit = b->limit};
}

tern_status buffer_reserve(struct buffer *b, size_t more)
{
    if (more >= SIZE_MAX - b->length) return status_fail(TERN_NO_MEMORY, "%zu more bytes are beyond any memory", more);
    size_t needed = b->length + more;
    if (b->limit != 0 && needed > b->limit)
        return status_fail(TERN_LIMIT, "text of %zu bytes, the bound is %zu", needed, b->limit);
    if (needed < b->capacity) return TERN_OK;

    size_t capacity = b->capacity < 64 ? 64 : b->capacity;
    while (capacity <= needed) // one more than needed: the terminator
        capacity = capacity > SIZE_MAX / 2 ? needed + 1 : capacity * 2;
    char *data = realloc(b->data, capacity);
    if (data == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a buffer of %zu bytes", capacity);
    b->data = data;
    b->capacity = capacity;
    return TERN_OK;
}

tern_status buffer_append(struct buffer *b, const void *data, size_t length)
{
    TRY(buffer_reserve(b, length));
    if (length > 0) memcpy(b->data + b->length, data, length);
    b->length += length;
    b->data[b->length] = '\0';
    return TERN_OK;
}

tern_status buffer_append_string(struct buffer *b, const char *string)
{
    return buffer_append(b, string, strlen(string));
}

tern_status buffer_append_format(struct buffer *b, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);

    tern_status status = length < 0 ? status_fail(TERN_INVALID, "format \"%s\" cannot be printed", format)
                                    : buffer_reserve(b, (size_t)length);
    if (status == TERN_OK) {
        vsnprintf(b->data + b->length, (size_t)length + 1, format, again);
        b->length += (size_t)length;
    }
    va_end(again);
    return status;
}

char *buffer_take(struct buffer *b)
{
    char *data = b->data != NULL ? b->data : calloc(1, 1);
    *b = (struct buffer){.limit = b->limit};
    return data;
}
