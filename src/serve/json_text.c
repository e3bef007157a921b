#include "serve/json_text.h"

#include "serve/json_memory.h"

#include "text/utf8.h"

json_t *json_text(const char *bytes, size_t length)
{
    struct utf8_stream stream = {0};
    struct buffer text = {0};
    json_t *value = NULL;
    if (utf8_stream_push(&stream, bytes, length, &text) == TERN_OK && utf8_stream_finish(&stream, &text) == TERN_OK)
        value = json_stringn(text.length > 0 ? text.data : "", text.length);
    else
        json_memory_lose();
    buffer_free(&text);
    return value;
}
