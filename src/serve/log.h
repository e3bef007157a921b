// What the server says on standard error: a line for each request, as text or as JSON.
#ifndef SERVE_LOG_H
#define SERVE_LOG_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>

struct log {
    bool json;    // a JSON object a line
    bool verbose; // details too
};

// A sentence. Any thread.
void log_say(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same with a reason to look at it.
void log_warn(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same if verbose.
void log_detail_list(const struct log *log, const char *format, va_list arguments);

// A line of facts: {"id": ..., "status": 200} as JSON or as "id=... status=200". Takes the reference.
void log_facts(const struct log *log, const char *what, json_t *facts);

#endif
