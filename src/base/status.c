#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[STATUS_MESSAGE_BYTES];

tern_status status_fail(tern_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status;
}

tern_status status_prefix(tern_status status, const char *format, ...)
{
    char old[STATUS_MESSAGE_BYTES];
    memcpy(old, message, sizeof old);
    va_list arguments;
    va_start(arguments, format);
    int prefix = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (prefix >= 0 && (size_t)prefix < sizeof message)
        snprintf(message + prefix, sizeof message - (size_t)prefix, "%s", old);
    return status;
}

const char *status_message(void)
{
    return message;
}
