// Anthropic's /v1/messages: an answer is a list of blocks (thinking, text, calls of tools), and a stream tells of each
// how it begins, grows and ends. Nothing is kept: each request brings the whole conversation.
#include "serve/answer.h"
#include "serve/json_memory.h"
#include "serve/messages_request.h"
#include "serve/route.h"

#include <string.h>

enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL };

struct answer {
    bool stream;
    int n_blocks;    // begun in it
    enum block open; // the last one
};

// ---- Errors ---------------------------------------------------------------------------------------------------------

static const char *error_type(const struct api_error *error)
{
    if (error->status == 413) return "request_too_large";
    if (error->status == 503) return "overloaded_error";
    return error->status < 500 ? error->type : "api_error"; // which OpenAI calls alike
}

json_t *messages_error_json(const struct api_error *error, const char *id)
{
    json_t *details = error->code == NULL ? NULL : json_pack("{s:s}", "error_code", error->code);
    return json_pack("{s:s, s:{s:s, s:o, s:o*}, s:s}", "type", "error", "error", "type", error_type(error), "message",
                     json_text(error->message, strlen(error->message)), "details", details, "request_id", id);
}

// ---- Pieces of the answer -------------------------------------------------------------------------------------------

// Input that was computed and input that was remembered are counted apart.
static json_t *usage_json(const struct generation_usage *usage)
{
    return json_pack("{s:i, s:i, s:i, s:i}", "input_tokens", (int)(usage->prompt_tokens - usage->cached_tokens),
                     "cache_creation_input_tokens", 0, "cache_read_input_tokens", (int)usage->cached_tokens,
                     "output_tokens", (int)usage->completion_tokens);
}

static json_t *stop_reason(const struct generation_choice *choice)
{
    switch (choice->finish) {
    case GENERATION_STOP_STRING:
        return json_string("stop_sequence");
    case GENERATION_LENGTH:
        return json_string("max_tokens");
    case GENERATION_CALLS:
        return json_string("tool_use");
    default:
        return json_string("end_turn");
    }
}

static json_t *stop_string(const struct generation_choice *choice)
{
    return choice->stop_string == NULL ? json_null() : json_string(choice->stop_string);
}

// Takes the references.
static json_t *message_json(const struct generation *g, json_t *content, json_t *reason, json_t *sequence,
                            const struct generation_usage *usage)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", generation_id(g), "type", "message", "role",
                     "assistant", "model", generation_model_name(g), "content", content, "stop_reason", reason,
                     "stop_sequence", sequence, "usage", usage_json(usage));
}

static json_t *text_json(json_t *text)
{
    return json_pack("{s:s, s:o}", "type", "text", "text", text);
}

// The signature is Anthropic's proof of its own thinking.
static json_t *thinking_json(json_t *thinking)
{
    return json_pack("{s:s, s:o, s:s}", "type", "thinking", "thinking", thinking, "signature", "");
}

// By the API's custom an id begins with "toolu_".
static json_t *call_json(const struct generation_call *call, json_t *input)
{
    const char *name = strchr(call->id, '_');
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "tool_use", "id",
                     json_sprintf("toolu%s", name == NULL ? call->id : name), "name", answer_buffer(&call->name),
                     "input", input);
}

// What the model wrote as arguments, if it is an object.
static json_t *input_json(const struct generation_call *call)
{
    const struct buffer *text = &call->arguments;
    json_t *input = json_memory_read(text->length > 0 ? text->data : "", text->length, 0, NULL);
    if (json_is_object(input)) return input;
    json_decref(input);
    return json_object();
}

// Who did not ask for thinking expects words first, and gets none of what a model thinks before it can be stopped.
static bool shows_thinking(const struct generation *g)
{
    return generation_request(g)->thinking_budget != 0;
}

static json_t *content_json(const struct generation *g, const struct generation_choice *choice)
{
    json_t *content = json_array();
    if (choice->reasoning.length > 0 && shows_thinking(g))
        json_array_append_new(content, thinking_json(answer_buffer(&choice->reasoning)));
    if (choice->content.length > 0) json_array_append_new(content, text_json(answer_buffer(&choice->content)));
    for (size_t i = 0; i < choice->n_calls; i++)
        json_array_append_new(content, call_json(&choice->calls[i], input_json(&choice->calls[i])));
    return content;
}

// ---- The stream -----------------------------------------------------------------------------------------------------

// Takes the reference; adds the event's type.
static void write_event(const struct generation *g, const char *type, json_t *event)
{
    json_object_set_new(event, "type", json_string(type));
    exchange_write_event(generation_exchange(g), type, event);
}

static void end_block(struct answer *a, const struct generation *g)
{
    if (a->open != BLOCK_NONE) write_event(g, "content_block_stop", json_pack("{s:i}", "index", a->n_blocks - 1));
    a->open = BLOCK_NONE;
}

// Takes the reference to the block as it is before it has any content.
static void begin_block(struct answer *a, const struct generation *g, enum block kind, json_t *block)
{
    end_block(a, g);
    write_event(g, "content_block_start", json_pack("{s:i, s:o}", "index", a->n_blocks, "content_block", block));
    a->open = kind;
    a->n_blocks++;
}

static void write_delta(const struct answer *a, const struct generation *g, const char *type, const char *name,
                        const struct generation_event *event)
{
    json_t *delta = json_pack("{s:s, s:o}", "type", type, name, json_stringn(event->text, event->length));
    write_event(g, "content_block_delta", json_pack("{s:i, s:o}", "index", a->n_blocks - 1, "delta", delta));
}

static void begin_stream(const struct generation *g, const struct generation_usage *usage)
{
    exchange_begin_stream(generation_exchange(g));
    json_t *message = message_json(g, json_array(), json_null(), json_null(), usage);
    write_event(g, "message_start", json_pack("{s:o}", "message", message));
    write_event(g, "ping", json_object());
}

static void end_stream(struct answer *a, const struct generation *g, const struct generation_usage *usage)
{
    const struct generation_choice *choice = generation_choice(g, 0);
    end_block(a, g);
    write_event(g, "message_delta",
                json_pack("{s:{s:o, s:o}, s:o}", "delta", "stop_reason", stop_reason(choice), "stop_sequence",
                          stop_string(choice), "usage", usage_json(usage)));
    write_event(g, "message_stop", json_object());
    exchange_end(generation_exchange(g));
}

static void write_piece(struct answer *a, const struct generation *g, const struct generation_event *event)
{
    switch (event->kind) {
    case GENERATION_CONTENT:
        if (a->open != BLOCK_TEXT) begin_block(a, g, BLOCK_TEXT, text_json(json_string("")));
        write_delta(a, g, "text_delta", "text", event);
        break;
    case GENERATION_REASONING:
        if (!shows_thinking(g)) break;
        if (a->open != BLOCK_THINKING) begin_block(a, g, BLOCK_THINKING, thinking_json(json_string("")));
        write_delta(a, g, "thinking_delta", "thinking", event);
        break;
    case GENERATION_CALL_BEGIN:
        begin_block(a, g, BLOCK_CALL, call_json(event->call, json_object()));
        break;
    case GENERATION_CALL_ARGUMENTS:
        write_delta(a, g, "input_json_delta", "partial_json", event);
        break;
    case GENERATION_CALL_END:
        end_block(a, g);
        break;
    default:
        break;
    }
}

// ---- Events ---------------------------------------------------------------------------------------------------------

static void write_whole(const struct generation *g, const struct generation_usage *usage)
{
    const struct generation_choice *choice = generation_choice(g, 0);
    json_t *body = generation_request(g)->count_only
                       ? json_pack("{s:i}", "input_tokens", (int)usage->prompt_tokens)
                       : message_json(g, content_json(g, choice), stop_reason(choice), stop_string(choice), usage);
    exchange_answer_json(generation_exchange(g), 200, body);
}

static void on_event(void *context, const struct generation *g, const struct generation_event *event)
{
    struct answer *a = context;
    if (event->kind == GENERATION_ERROR) {
        exchange_fail(generation_exchange(g), event->error);
    } else if (event->kind == GENERATION_END) {
        if (a->stream)
            end_stream(a, g, event->usage);
        else
            write_whole(g, event->usage);
    } else if (a->stream && event->kind == GENERATION_BEGIN) {
        begin_stream(g, event->usage);
    } else if (a->stream) {
        write_piece(a, g, event);
    }
}

// ---- The endpoints --------------------------------------------------------------------------------------------------

static bool read(const struct fields *fields, struct generation_request *request, void *context)
{
    struct answer *a = context;
    return messages_read_request(fields, request, &a->stream);
}

static bool read_count(const struct fields *fields, struct generation_request *request, void *context)
{
    bool stream = false; // a number comes in one piece
    (void)context;
    request->count_only = true;
    return messages_read_request(fields, request, &stream);
}

void messages_handle(struct server *server, struct exchange *exchange)
{
    static const struct dialect messages = {
        .answer_bytes = sizeof(struct answer), .id_prefix = "msg_", .read = read, .on_event = on_event};
    generation_start(server, exchange, &messages);
}

void messages_count_handle(struct server *server, struct exchange *exchange)
{
    static const struct dialect count = {
        .answer_bytes = sizeof(struct answer), .id_prefix = "msg_", .read = read_count, .on_event = on_event};
    generation_start(server, exchange, &count);
}
