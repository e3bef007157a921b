#include "serve/api_error.h"

#include "serve/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *type_of(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    default:
        return status < 500 ? "invalid_request_error" : "server_error";
    }
}

static void fill(struct api_error *error, int status, const char *param, const char *code, const char *format,
                 va_list arguments)
{
    *error = (struct api_error){.status = status, .type = type_of(status), .code = code};
    if (param != NULL) snprintf(error->param, sizeof error->param, "%s", param);
    vsnprintf(error->message, sizeof error->message, format, arguments);
}

bool api_error_invalid(struct api_error *error, const char *param, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, 400, param, code, format, arguments);
    va_end(arguments);
    return false;
}

bool api_error_status(struct api_error *error, int status, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, status, NULL, code, format, arguments);
    va_end(arguments);
    return false;
}

bool api_error_from_status(struct api_error *error, tern_status status, const char *param)
{
    switch (status) {
    case TERN_INVALID:
    case TERN_LIMIT:
    case TERN_UNSUPPORTED:
        return api_error_invalid(error, param, NULL, "%s", status_message());
    case TERN_BUSY:
        api_error_status(error, 429, "queue_full", "%s", status_message());
        error->retry_after = 1;
        return false;
    case TERN_CANCELLED:
        return api_error_status(error, 503, "cancelled", "the server is stopping");
    case TERN_NO_MEMORY:
        return api_error_status(error, 503, "no_memory", "the server has no memory for this request now");
    default:
        return api_error_status(error, 500, NULL, "the server failed; its log says why");
    }
}

// Messages are cut to their length, maybe in the middle of a character.
static json_t *text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? json_null() : json_text(text, strlen(text));
}

json_t *api_error_json(const struct api_error *error)
{
    return json_pack("{s:{s:o, s:s, s:o, s:o}}", "error", "message", text_or_null(error->message), "type", error->type,
                     "param", text_or_null(error->param), "code", text_or_null(error->code));
}
