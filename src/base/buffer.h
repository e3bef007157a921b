// A growable array of bytes: strings under construction, packed headers, lists of anything.
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/status.h"

struct buffer {
    char *data;      // owned; NUL-terminated whenever length > 0 (the NUL does not count)
    size_t length;   // bytes in use
    size_t capacity; // bytes allocated
    size_t limit;    // most bytes it may hold; 0: no bound. Reaching it gives TERN_LIMIT
};

// All zero is a valid empty buffer: `struct buffer b = {0};`
void buffer_free(struct buffer *b); // frees the data and leaves a valid empty buffer

tern_status buffer_reserve(struct buffer *b, size_t more); // room for `more` bytes after length
tern_status buffer_append(struct buffer *b, const void *data, size_t length);
tern_status buffer_append_string(struct buffer *b, const char *string);
tern_status buffer_append_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Hands the bytes over as a NUL-terminated malloc'd string (never NULL unless out of memory) and empties the
// buffer.
char *buffer_take(struct buffer *b);

#endif
