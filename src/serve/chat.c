// /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat
#include "serve/answer.h"
#include "serve/chat_request.h"
#include "serve/route.h"
#include "serve/server.h"

#include <stdlib.h>
#include <string.h>

struct chat {
    struct chat_options options;
    char id[48];
};

// ---- Logprobs -------------------------------------------------------------------------------------------------------

static json_t *token_entry(const struct generation *g, const struct scheduler_logprob *logprob)
{
    size_t length = 0;
    const char *bytes = generation_token_bytes(g, logprob->token, &length);
    json_t *numbers = json_array();
    for (size_t i = 0; i < length; i++)
        json_array_append_new(numbers, json_integer((unsigned char)bytes[i]));
    // A token that cannot come has -infinity, which JSON has not.
    double value = (double)logprob->logprob < -9999 ? -9999 : (double)logprob->logprob;
    return json_pack("{s:o, s:f, s:o}", "token", json_text(bytes, length), "logprob", value, "bytes", numbers);
}

static json_t *logprob_entry(const struct generation *g, const struct generation_logprob *logprob)
{
    json_t *entry = token_entry(g, &logprob->drawn), *top = json_array();
    for (int32_t i = 0; i < logprob->n_top; i++)
        json_array_append_new(top, token_entry(g, &logprob->top[i]));
    json_object_set_new(entry, "top_logprobs", top);
    return entry;
}

// {"content": [...], "refusal": null}, or null if none were asked for.
static json_t *logprobs(const struct chat *chat, const struct generation *g, const struct generation_logprob *list,
                        size_t count)
{
    if (!chat->options.logprobs) return json_null();
    json_t *content = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(content, logprob_entry(g, &list[i]));
    return json_pack("{s:o, s:n}", "content", content, "refusal");
}

// ---- In one piece ---------------------------------------------------------------------------------------------------

static json_t *call_object(const struct generation_call *call)
{
    return json_pack("{s:s, s:s, s:{s:o, s:o}}", "id", call->id, "type", "function", "function", "name",
                     answer_buffer(&call->name), "arguments", answer_buffer(&call->arguments));
}

static json_t *message_object(const struct generation_choice *choice)
{
    bool is_empty = choice->content.length == 0 && choice->n_calls > 0;
    json_t *message = json_pack("{s:s, s:o, s:n}", "role", "assistant", "content",
                                is_empty ? json_null() : answer_buffer(&choice->content), "refusal");
    if (choice->reasoning.length > 0)
        json_object_set_new(message, "reasoning_content", answer_buffer(&choice->reasoning));
    if (choice->n_calls == 0) return message;
    json_t *calls = json_array();
    for (size_t i = 0; i < choice->n_calls; i++)
        json_array_append_new(calls, call_object(&choice->calls[i]));
    json_object_set_new(message, "tool_calls", calls);
    return message;
}

static json_t *answer_object(const struct chat *chat, const struct generation *g, const char *object, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", chat->id, "object", object, "created",
                     (json_int_t)exchange_request(generation_exchange(g))->created, "model", generation_model_name(g),
                     "system_fingerprint", generation_fingerprint(g), "choices", choices);
}

static void answer_whole(const struct chat *chat, const struct generation *g, const struct generation_usage *usage)
{
    json_t *choices = json_array();
    const struct generation_choice *choice;
    for (size_t i = 0; (choice = generation_choice(g, i)) != NULL; i++)
        json_array_append_new(choices, json_pack("{s:i, s:o, s:o, s:s}", "index", choice->index, "message",
                                                 message_object(choice), "logprobs",
                                                 logprobs(chat, g, choice->logprobs, choice->n_logprobs),
                                                 "finish_reason", answer_finish(choice->finish)));
    json_t *answer = answer_object(chat, g, "chat.completion", choices);
    json_object_set_new(answer, "usage", answer_usage(usage));
    exchange_answer_json(generation_exchange(g), 200, answer);
}

// ---- As a stream ----------------------------------------------------------------------------------------------------

static void write_chunk(const struct chat *chat, const struct generation *g, json_t *choices, json_t *usage)
{
    json_t *chunk = answer_object(chat, g, "chat.completion.chunk", choices);
    if (chat->options.include_usage) json_object_set_new(chunk, "usage", usage != NULL ? usage : json_null());
    exchange_write_event(generation_exchange(g), NULL, chunk);
}

static void write_delta(const struct chat *chat, const struct generation *g, const struct generation_choice *choice,
                        json_t *delta, json_t *token_logprobs, const char *finish)
{
    json_t *reason = finish != NULL ? json_string(finish) : json_null();
    write_chunk(chat, g,
                json_pack("[{s:i, s:o, s:o, s:o}]", "index", choice->index, "delta", delta, "logprobs", token_logprobs,
                          "finish_reason", reason),
                NULL);
}

static void write_call(const struct chat *chat, const struct generation *g, const struct generation_event *event)
{
    json_t *call;
    if (event->kind == GENERATION_CALL_BEGIN)
        call = json_pack("{s:i, s:s, s:s, s:{s:o, s:s}}", "index", event->call_index, "id", event->call->id, "type",
                         "function", "function", "name", answer_buffer(&event->call->name), "arguments", "");
    else
        call = json_pack("{s:i, s:{s:s%}}", "index", event->call_index, "function", "arguments", event->text,
                         event->length);
    write_delta(chat, g, event->choice, json_pack("{s:[o]}", "tool_calls", call), json_null(), NULL);
}

static void begin_stream(const struct chat *chat, const struct generation *g)
{
    const struct generation_choice *choice;
    exchange_begin_stream(generation_exchange(g));
    for (size_t i = 0; (choice = generation_choice(g, i)) != NULL; i++)
        write_delta(chat, g, choice, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), json_null(), NULL);
}

static void end_stream(const struct chat *chat, const struct generation *g, const struct generation_usage *usage)
{
    static const char done[] = "data: [DONE]\n\n";
    if (chat->options.include_usage) write_chunk(chat, g, json_array(), answer_usage(usage));
    exchange_write(generation_exchange(g), done, sizeof done - 1);
    exchange_end(generation_exchange(g));
}

static void stream_event(const struct chat *chat, const struct generation *g, const struct generation_event *event)
{
    switch (event->kind) {
    case GENERATION_BEGIN:
        begin_stream(chat, g);
        break;
    case GENERATION_CONTENT:
        write_delta(chat, g, event->choice, json_pack("{s:s%}", "content", event->text, event->length),
                    logprobs(chat, g, event->logprobs, event->n_logprobs), NULL);
        break;
    case GENERATION_REASONING:
        write_delta(chat, g, event->choice, json_pack("{s:s%}", "reasoning_content", event->text, event->length),
                    json_null(), NULL);
        break;
    case GENERATION_CALL_BEGIN:
    case GENERATION_CALL_ARGUMENTS:
        write_call(chat, g, event);
        break;
    case GENERATION_CHOICE_END:
        write_delta(chat, g, event->choice, json_object(),
                    event->n_logprobs > 0 ? logprobs(chat, g, event->logprobs, event->n_logprobs) : json_null(),
                    answer_finish(event->choice->finish));
        break;
    case GENERATION_END:
        end_stream(chat, g, event->usage);
        break;
    default:
        break;
    }
}

// ---- The endpoint ---------------------------------------------------------------------------------------------------

static void on_event(void *context, const struct generation *g, const struct generation_event *event)
{
    const struct chat *chat = context;
    if (event->kind == GENERATION_ERROR)
        exchange_fail(generation_exchange(g), event->error);
    else if (chat->options.stream)
        stream_event(chat, g, event);
    else if (event->kind == GENERATION_END)
        answer_whole(chat, g, event->usage);
}

void chat_handle(struct server *server, struct exchange *exchange)
{
    const struct exchange_request *http = exchange_request(exchange);
    struct generation_request request;
    struct api_error error;
    struct chat *chat = calloc(1, sizeof *chat);
    bool fine = chat != NULL || api_error_from_status(&error, TERN_NO_MEMORY, NULL);
    if (!fine) {
        exchange_fail(exchange, &error);
        return;
    }
    if (!chat_request_parse(server, http->body, http->body_length, &request, &chat->options, &error)) {
        exchange_fail(exchange, &error);
        generation_request_free(&request);
        free(chat);
        return;
    }
    generation_make_id("chatcmpl-", chat->id, sizeof chat->id);
    generation_start(server, exchange, &request,
                     &(struct generation_sink){.on_event = on_event, .on_close = free, .context = chat});
}
