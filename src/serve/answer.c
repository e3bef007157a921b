#include "serve/answer.h"

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

json_t *answer_buffer(const struct buffer *buffer)
{
    return json_stringn(buffer->length > 0 ? buffer->data : "", buffer->length);
}
