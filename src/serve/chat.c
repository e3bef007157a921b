// /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat
#include "serve/answer.h"
#include "serve/route.h"

// {"content": [...], "refusal": null}, or null if none were asked for.
static json_t *logprobs(const struct chat_options *options, const struct generation *g,
                        const struct generation_logprob *list, size_t count)
{
    if (!options->logprobs) return json_null();
    return json_pack("{s:o, s:n}", "content", answer_logprobs(g, list, count), "refusal");
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

static json_t *choice_object(const struct chat_options *options, const struct generation *g,
                             const struct generation_choice *choice)
{
    return json_pack("{s:i, s:o, s:o, s:s}", "index", choice->index, "message", message_object(choice), "logprobs",
                     logprobs(options, g, choice->logprobs, choice->n_logprobs), "finish_reason",
                     answer_finish(choice->finish));
}

static void write_whole(const struct chat_options *options, const struct generation *g,
                        const struct generation_usage *usage)
{
    json_t *choices = json_array();
    const struct generation_choice *choice;
    for (size_t i = 0; (choice = generation_choice(g, i)) != NULL; i++)
        json_array_append_new(choices, choice_object(options, g, choice));
    answer_write_whole(g, "chat.completion", choices, usage);
}

// ---- As a stream ----------------------------------------------------------------------------------------------------

static const char chunk[] = "chat.completion.chunk";

static void write_delta(const struct chat_options *options, const struct generation *g,
                        const struct generation_choice *choice, json_t *delta, json_t *token_logprobs,
                        const char *finish)
{
    json_t *reason = finish != NULL ? json_string(finish) : json_null();
    answer_write_chunk(g, &options->stream, chunk,
                       json_pack("[{s:i, s:o, s:o, s:o}]", "index", choice->index, "delta", delta, "logprobs",
                                 token_logprobs, "finish_reason", reason));
}

static void write_call(const struct chat_options *options, const struct generation *g,
                       const struct generation_event *event)
{
    json_t *call;
    if (event->kind == GENERATION_CALL_BEGIN)
        call = json_pack("{s:i, s:s, s:s, s:{s:o, s:s}}", "index", event->call_index, "id", event->call->id, "type",
                         "function", "function", "name", answer_buffer(&event->call->name), "arguments", "");
    else
        call = json_pack("{s:i, s:{s:s%}}", "index", event->call_index, "function", "arguments", event->text,
                         event->length);
    write_delta(options, g, event->choice, json_pack("{s:[o]}", "tool_calls", call), json_null(), NULL);
}

// What may be nothing but calls does not begin with words, not even none: clients would make an empty text of them.
static void begin_stream(const struct chat_options *options, const struct generation *g)
{
    const char *content = json_array_size(generation_request(g)->tools) > 0 ? NULL : "";
    const struct generation_choice *choice;
    exchange_begin_stream(generation_exchange(g));
    for (size_t i = 0; (choice = generation_choice(g, i)) != NULL; i++)
        write_delta(options, g, choice, json_pack("{s:s, s:s*}", "role", "assistant", "content", content), json_null(),
                    NULL);
}

static void stream_event(const struct chat_options *options, const struct generation *g,
                         const struct generation_event *event)
{
    switch (event->kind) {
    case GENERATION_BEGIN:
        begin_stream(options, g);
        break;
    case GENERATION_CONTENT:
        write_delta(options, g, event->choice, json_pack("{s:s%}", "content", event->text, event->length),
                    logprobs(options, g, event->logprobs, event->n_logprobs), NULL);
        break;
    case GENERATION_REASONING:
        write_delta(options, g, event->choice, json_pack("{s:s%}", "reasoning_content", event->text, event->length),
                    json_null(), NULL);
        break;
    case GENERATION_CALL_BEGIN:
    case GENERATION_CALL_ARGUMENTS:
        write_call(options, g, event);
        break;
    case GENERATION_CHOICE_END:
        write_delta(options, g, event->choice, json_object(),
                    event->n_logprobs > 0 ? logprobs(options, g, event->logprobs, event->n_logprobs) : json_null(),
                    answer_finish(event->choice->finish));
        break;
    case GENERATION_END:
        answer_write_end(g, &options->stream, chunk, event->usage);
        break;
    default:
        break;
    }
}

// ---- The endpoint ---------------------------------------------------------------------------------------------------

static bool read(const struct fields *fields, struct generation_request *request, void *answer)
{
    return chat_request_read(fields, request, answer);
}

static void on_event(void *answer, const struct generation *g, const struct generation_event *event)
{
    const struct chat_options *options = answer;
    if (event->kind == GENERATION_ERROR)
        exchange_fail(generation_exchange(g), event->error);
    else if (options->stream.wanted)
        stream_event(options, g, event);
    else if (event->kind == GENERATION_END)
        write_whole(options, g, event->usage);
}

void chat_handle(struct server *server, struct exchange *exchange)
{
    static const struct dialect chat = {
        .answer_bytes = sizeof(struct chat_options), .id_prefix = "chatcmpl-", .read = read, .on_event = on_event};
    generation_start(server, exchange, &chat);
}
