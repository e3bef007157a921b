#include "serve/api_error.h"

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

// vsnprintf() may cut a character in two, and JSON takes whole ones only.
static void drop_cut_character(char *text)
{
    size_t length = strlen(text), start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0u) == 0x80)
        start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < wanted) text[start - 1] = '\0';
}

static void fill(struct api_error *error, int status, const char *param, const char *code, const char *format,
                 va_list arguments)
{
    *error = (struct api_error){.status = status, .type = type_of(status), .code = code};
    if (param != NULL) snprintf(error->param, sizeof error->param, "%s", param);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    drop_cut_character(error->param);
    drop_cut_character(error->message);
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

static json_t *text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? json_null() : json_string(text);
}

json_t *api_error_json(const struct api_error *error)
{
    return json_pack("{s:{s:s, s:s, s:o, s:o}}", "error", "message", error->message, "type", error->type, "param",
                     text_or_null(error->param), "code", text_or_null(error->code));
}
