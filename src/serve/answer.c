#include "serve/answer.h"

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

// ---- Probabilities --------------------------------------------------------------------------------------------------

json_t *answer_logprob(float value)
{
    return json_real(value < -9999.0F ? -9999 : (double)value); // OpenAI's number for it
}

// A token may be a part of a character: its bytes say more than its text.
static json_t *token_entry(const struct generation *g, const struct scheduler_logprob *logprob)
{
    size_t length = 0;
    const char *bytes = generation_token_bytes(g, logprob->token, &length);
    json_t *numbers = json_array();
    for (size_t i = 0; i < length; i++)
        json_array_append_new(numbers, json_integer((unsigned char)bytes[i]));
    return json_pack("{s:o, s:o, s:o}", "token", json_text(bytes, length), "logprob", answer_logprob(logprob->logprob),
                     "bytes", numbers);
}

json_t *answer_logprobs(const struct generation *g, const struct generation_logprob *list, size_t count)
{
    json_t *entries = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *entry = token_entry(g, &list[i].drawn), *top = json_array();
        for (int32_t k = 0; k < list[i].n_top; k++)
            json_array_append_new(top, token_entry(g, &list[i].top[k]));
        json_object_set_new(entry, "top_logprobs", top);
        json_array_append_new(entries, entry);
    }
    return entries;
}

// ---- Whole and in chunks --------------------------------------------------------------------------------------------

static json_t *usage_object(const struct generation_usage *u)
{
    return json_pack("{s:i, s:i, s:i, s:{s:i}, s:{s:i}}", "prompt_tokens", (int)u->prompt_tokens, "completion_tokens",
                     (int)u->completion_tokens, "total_tokens", (int)(u->prompt_tokens + u->completion_tokens),
                     "prompt_tokens_details", "cached_tokens", (int)u->cached_tokens, "completion_tokens_details",
                     "reasoning_tokens", (int)u->reasoning_tokens);
}

static json_t *make_object(const struct generation *g, const char *object, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", generation_id(g), "object", object, "created",
                     (json_int_t)exchange_request(generation_exchange(g))->created, "model", generation_model_name(g),
                     "system_fingerprint", generation_fingerprint(g), "choices", choices);
}

void answer_write_whole(const struct generation *g, const char *object, json_t *choices,
                        const struct generation_usage *usage)
{
    json_t *answer = make_object(g, object, choices);
    json_object_set_new(answer, "usage", usage_object(usage));
    exchange_answer_json(generation_exchange(g), 200, answer);
}

// Takes both references.
static void write_chunk(const struct generation *g, const struct stream_options *options, const char *object,
                        json_t *choices, json_t *usage)
{
    json_t *chunk = make_object(g, object, choices);
    if (options->include_usage) json_object_set(chunk, "usage", usage);
    json_decref(usage);
    exchange_write_event(generation_exchange(g), NULL, chunk);
}

void answer_write_chunk(const struct generation *g, const struct stream_options *options, const char *object,
                        json_t *choices)
{
    write_chunk(g, options, object, choices, json_null());
}

void answer_write_end(const struct generation *g, const struct stream_options *options, const char *object,
                      const struct generation_usage *usage)
{
    static const char done[] = "data: [DONE]\n\n";
    if (options->include_usage) write_chunk(g, options, object, json_array(), usage_object(usage));
    exchange_write(generation_exchange(g), done, sizeof done - 1);
    exchange_end(generation_exchange(g));
}
