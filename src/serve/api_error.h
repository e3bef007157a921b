// What a client is told when its request cannot be answered: an HTTP status and the parts of OpenAI's error body.
#ifndef SERVE_API_ERROR_H
#define SERVE_API_ERROR_H

#include "base/buffer.h"

#include <jansson.h>

enum { API_ERROR_PARAM_BYTES = 128, API_ERROR_MESSAGE_BYTES = 512 };

struct api_error {
    int status;                        // of HTTP; 0: no error
    const char *type;                  // "invalid_request_error", ...; static
    const char *code;                  // "model_not_found", ...; static; NULL: null
    char param[API_ERROR_PARAM_BYTES]; // "messages[2].content"; "": null
    char message[API_ERROR_MESSAGE_BYTES];
    int retry_after; // seconds for the header Retry-After; 0: none
};

// Each sets *error (param "" and code NULL unless given) and returns false, so that `return api_error_...` reads well.
// 400: the request makes no sense. `param` may be NULL.
bool api_error_invalid(struct api_error *error, const char *param, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// Any status; type follows from it (400 invalid_request_error, 401 authentication_error, 404 not_found_error,
// 413 invalid_request_error, 429 rate_limit_error, 5xx server_error).
bool api_error_status(struct api_error *error, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// From this thread's status_message(): INVALID, LIMIT and UNSUPPORTED are 400, BUSY is 429, CANCELLED (the server
// stops) and NO_MEMORY 503, anything else 500. Words that may name files of this machine (BAD_FILE, IO) are not sent.
bool api_error_from_status(struct api_error *error, tern_status status, const char *param);

// {"error": {"message", "type", "param", "code"}}; NULL without memory. The caller's reference.
json_t *api_error_json(const struct api_error *error);

#endif
