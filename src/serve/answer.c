#include "serve/answer.h"

#include "text/utf8.h"

json_t *answer_usage(const struct generation_usage *u)
{
    return json_pack("{s:i, s:i, s:i, s:{s:i}, s:{s:i}}", "prompt_tokens", (int)u->prompt_tokens, "completion_tokens",
                     (int)u->completion_tokens, "total_tokens", (int)(u->prompt_tokens + u->completion_tokens),
                     "prompt_tokens_details", "cached_tokens", (int)u->cached_tokens, "completion_tokens_details",
                     "reasoning_tokens", (int)u->reasoning_tokens);
}

const char *answer_finish(enum generation_finish finish)
{
    switch (finish) {
    case GENERATION_LENGTH:
        return "length";
    case GENERATION_CALLS:
        return "tool_calls";
    default:
        return "stop";
    }
}

json_t *answer_text(const char *bytes, size_t length)
{
    struct utf8_stream stream = {0};
    struct buffer text = {0};
    json_t *value = NULL;
    if (utf8_stream_push(&stream, bytes, length, &text) == TERN_OK && utf8_stream_finish(&stream, &text) == TERN_OK)
        value = json_stringn(text.length > 0 ? text.data : "", text.length);
    buffer_free(&text);
    return value;
}

json_t *answer_buffer(const struct buffer *buffer)
{
    return json_stringn(buffer->length > 0 ? buffer->data : "", buffer->length);
}
