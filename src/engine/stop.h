// Stop strings in a stream of text: what may still become one is held back.
#ifndef ENGINE_STOP_H
#define ENGINE_STOP_H

#include "base/buffer.h"

enum { STOP_MAX_STRINGS = 64, STOP_MAX_BYTES = 1024 };

// One string with the state of its Knuth-Morris-Pratt automaton.
struct stop_string {
    char *text;         // owned
    size_t length;      // 1..STOP_MAX_BYTES
    uint16_t *fallback; // [length]: of text[0..i], the longest proper prefix that is a suffix too
    size_t matched;     // bytes of it that the stream so far ends with
};

struct stop_filter {
    struct stop_string *strings; // [n_strings]
    size_t n_strings;
    struct buffer held; // text that came in and was not let out yet
    bool stopped;       // one of them came
};

// Copies the strings. Errors: INVALID (more than STOP_MAX_STRINGS, one that is empty, too long or not valid UTF-8),
// NO_MEMORY. Close with stop_close(), after an error too.
tern_status stop_open(struct stop_filter *filter, const char *const *strings, size_t n_strings);
void stop_close(struct stop_filter *filter);

// Takes in whole characters and appends to `out` those that are certain. *stopped is set when a stop string is
// complete: it and all that follows it, in later calls too, are dropped. Errors: NO_MEMORY.
tern_status stop_push(struct stop_filter *filter, const char *text, size_t length, struct buffer *out, bool *stopped);

// At the end of the stream: what was held back was no stop string after all.
tern_status stop_finish(struct stop_filter *filter, struct buffer *out);

#endif
