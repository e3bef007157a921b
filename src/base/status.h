// Errors are values: a function that can fail returns a tern_status and leaves its words with status_fail().
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <tern/tern.h>

// Longest message kept, terminator included; longer ones are cut.
enum { STATUS_MESSAGE_BYTES = 1024 };

// Sets this thread's message (printf format) and returns `status`, so that `return status_fail(...)` reads
// well. Say what was found, where, and what was expected.
tern_status status_fail(tern_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Puts `prefix` (printf format) before the message already there: "model.gguf: " + "tensor x: ...". Returns
// `status`.
tern_status status_prefix(tern_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// This thread's last message, "" if none.
const char *status_message(void);

// Returns from the calling function if the expression is not TERN_OK.
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        tern_status try_status_ = (expression);                                                                        \
        if (try_status_ != TERN_OK) return try_status_;                                                                \
    } while (0)

#endif
