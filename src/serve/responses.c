// /v1/responses: OpenAI's newer dialect, in which an answer is a list of items and a stream tells of each of them how
// it begins, grows and ends. Nothing is kept: each request brings the whole conversation.
#include "serve/answer.h"
#include "serve/responses_output.h"
#include "serve/responses_request.h"
#include "serve/route.h"

#include <string.h>

struct answer {
    bool stream;
    bool begun;   // the stream
    int sequence; // number of the next event
    struct responses_items items;
    bool cut_off;
    bool lost; // there was no memory for some of it
};

// ---- Writing --------------------------------------------------------------------------------------------------------

// Takes the reference; adds the event's type and number.
static void write_event(struct answer *a, const struct generation *g, const char *type, json_t *event)
{
    json_object_set_new(event, "type", json_string(type));
    json_object_set_new(event, "sequence_number", json_integer(a->sequence++));
    exchange_write_event(generation_exchange(g), type, event);
}

static json_t *response_json(const struct answer *a, const struct generation *g, const char *status,
                             const struct generation_usage *usage, const struct api_error *error)
{
    const struct responses_state state = {.status = status, .cut_off = a->cut_off, .usage = usage, .error = error};
    json_t *object = responses_object_json(g, &state);
    json_object_set_new(object, "output", responses_output_json(&a->items));
    return object;
}

static void write_response(struct answer *a, const struct generation *g, const char *type, json_t *response)
{
    write_event(a, g, type, json_pack("{s:o}", "response", response));
}

static struct responses_item *last_item(struct answer *a)
{
    return &a->items.list[a->items.count - 1];
}

// An event about the whole of the last item.
static void write_item(struct answer *a, const struct generation *g, const char *type, json_t *item)
{
    int index = (int)a->items.count - 1;
    if (!a->stream)
        json_decref(item);
    else
        write_event(a, g, type, json_pack("{s:i, s:o}", "output_index", index, "item", item));
}

// An event about the last item's content, with one field more: takes the reference to that.
static void write_content(struct answer *a, const struct generation *g, const char *type, const char *name,
                          json_t *value)
{
    const struct responses_item *item = last_item(a);
    if (!a->stream) {
        json_decref(value);
        return;
    }
    json_t *event =
        json_pack("{s:s, s:i, s:o}", "item_id", item->id, "output_index", (int)a->items.count - 1, name, value);
    if (item->kind != RESPONSES_CALL) json_object_set_new(event, "content_index", json_integer(0));
    write_event(a, g, type, event);
}

// The same with the probabilities that go with a message's text.
static void write_text(struct answer *a, const struct generation *g, const char *type, const char *name, json_t *text,
                       json_t *logprobs)
{
    const struct responses_item *item = last_item(a);
    if (!a->stream) {
        json_decref(text);
        json_decref(logprobs);
        return;
    }
    write_event(a, g, type,
                json_pack("{s:s, s:i, s:i, s:o, s:o}", "item_id", item->id, "output_index", (int)a->items.count - 1,
                          "content_index", 0, name, text, "logprobs", logprobs));
}

// ---- Items ----------------------------------------------------------------------------------------------------------

static void end_item(struct answer *a, const struct generation *g, bool complete)
{
    if (!a->items.open) return;
    struct responses_item *item = last_item(a);
    item->status = complete ? "completed" : "incomplete";
    a->items.open = false;
    if (item->kind == RESPONSES_CALL)
        write_content(a, g, "response.function_call_arguments.done", "arguments", answer_buffer(&item->text));
    else if (item->kind == RESPONSES_REASONING)
        write_content(a, g, "response.reasoning_text.done", "text", answer_buffer(&item->text));
    else
        write_text(a, g, "response.output_text.done", "text", answer_buffer(&item->text), json_incref(item->logprobs));
    if (item->kind != RESPONSES_CALL)
        write_content(a, g, "response.content_part.done", "part", responses_part_json(item));
    write_item(a, g, "response.output_item.done", responses_item_json(item));
}

// The item that takes this kind of text: the last one, or a new one; NULL without memory.
static struct responses_item *item_for(struct answer *a, const struct generation *g, enum responses_kind kind)
{
    if (a->items.open && last_item(a)->kind == kind && kind != RESPONSES_CALL) return last_item(a);
    end_item(a, g, true);
    struct responses_item *item = responses_open_item(&a->items, kind);
    a->lost = a->lost || item == NULL;
    return item;
}

static bool keep(struct answer *a, struct buffer *out, const char *text, size_t length)
{
    bool fine = buffer_append(out, text, length) == TERN_OK;
    a->lost = a->lost || !fine;
    return fine;
}

static struct responses_item *begin_text(struct answer *a, const struct generation *g, enum responses_kind kind)
{
    size_t before = a->items.count;
    struct responses_item *item = item_for(a, g, kind);
    if (item == NULL || a->items.count == before) return item;
    write_item(a, g, "response.output_item.added", responses_new_item_json(item));
    write_content(a, g, "response.content_part.added", "part", responses_new_part_json(item));
    return item;
}

static void add_content(struct answer *a, const struct generation *g, const struct generation_event *event)
{
    struct responses_item *item = begin_text(a, g, RESPONSES_MESSAGE);
    if (item == NULL || !keep(a, &item->text, event->text, event->length)) return;
    json_t *logprobs = answer_logprobs(g, event->logprobs, event->n_logprobs);
    json_array_extend(item->logprobs, logprobs);
    write_text(a, g, "response.output_text.delta", "delta", json_stringn(event->text, event->length), logprobs);
}

static void add_reasoning(struct answer *a, const struct generation *g, const struct generation_event *event)
{
    struct responses_item *item = begin_text(a, g, RESPONSES_REASONING);
    if (item == NULL || !keep(a, &item->text, event->text, event->length)) return;
    write_content(a, g, "response.reasoning_text.delta", "delta", json_stringn(event->text, event->length));
}

static void begin_call(struct answer *a, const struct generation *g, const struct generation_call *call)
{
    struct responses_item *item = item_for(a, g, RESPONSES_CALL);
    if (item == NULL || !keep(a, &item->name, call->name.data, call->name.length)) return;
    memcpy(item->call_id, call->id, sizeof item->call_id);
    write_item(a, g, "response.output_item.added", responses_new_item_json(item));
}

static void add_arguments(struct answer *a, const struct generation *g, const struct generation_event *event)
{
    if (!a->items.open || !keep(a, &last_item(a)->text, event->text, event->length)) return;
    write_content(a, g, "response.function_call_arguments.delta", "delta", json_stringn(event->text, event->length));
}

// An answer without any words has an empty message.
static void end_choice(struct answer *a, const struct generation *g, const struct generation_event *event)
{
    a->cut_off = event->choice->finish == GENERATION_LENGTH;
    if (a->items.count == 0) begin_text(a, g, RESPONSES_MESSAGE);
    if (a->items.open) {
        json_t *logprobs = answer_logprobs(g, event->logprobs, event->n_logprobs);
        json_array_extend(last_item(a)->logprobs, logprobs);
        json_decref(logprobs);
    }
    end_item(a, g, !a->cut_off);
}

// ---- Events ---------------------------------------------------------------------------------------------------------

static void begin(struct answer *a, const struct generation *g)
{
    if (!a->stream) return;
    a->begun = true;
    exchange_begin_stream(generation_exchange(g));
    write_response(a, g, "response.created", response_json(a, g, "in_progress", NULL, NULL));
    write_response(a, g, "response.in_progress", response_json(a, g, "in_progress", NULL, NULL));
}

static void complete(struct answer *a, const struct generation *g, const struct generation_usage *usage)
{
    json_t *response = response_json(a, g, a->cut_off ? "incomplete" : "completed", usage, NULL);
    if (!a->stream) {
        exchange_answer_json(generation_exchange(g), 200, response);
        return;
    }
    write_response(a, g, a->cut_off ? "response.incomplete" : "response.completed", response);
    exchange_end(generation_exchange(g));
}

static void fail(struct answer *a, const struct generation *g, const struct api_error *error)
{
    if (!a->begun) {
        exchange_fail(generation_exchange(g), error);
        return;
    }
    end_item(a, g, false);
    write_response(a, g, "response.failed", response_json(a, g, "failed", NULL, error));
    exchange_end(generation_exchange(g));
}

static void end(struct answer *a, const struct generation *g, const struct generation_usage *usage)
{
    struct api_error error;
    if (!a->lost) {
        complete(a, g, usage);
    } else {
        api_error_from_status(&error, TERN_NO_MEMORY, NULL);
        fail(a, g, &error);
    }
}

static void on_event(void *context, const struct generation *g, const struct generation_event *event)
{
    struct answer *a = context;
    switch (event->kind) {
    case GENERATION_BEGIN:
        begin(a, g);
        break;
    case GENERATION_CONTENT:
        add_content(a, g, event);
        break;
    case GENERATION_REASONING:
        add_reasoning(a, g, event);
        break;
    case GENERATION_CALL_BEGIN:
        begin_call(a, g, event->call);
        break;
    case GENERATION_CALL_ARGUMENTS:
        add_arguments(a, g, event);
        break;
    case GENERATION_CALL_END:
        end_item(a, g, true);
        break;
    case GENERATION_CHOICE_END:
        end_choice(a, g, event);
        break;
    case GENERATION_END:
        end(a, g, event->usage);
        break;
    case GENERATION_ERROR:
        fail(a, g, event->error);
        break;
    }
}

static void on_close(void *context)
{
    struct answer *a = context;
    responses_free_items(&a->items);
}

// ---- The endpoint ---------------------------------------------------------------------------------------------------

static bool read(const struct fields *fields, struct generation_request *request, void *context)
{
    struct answer *a = context;
    return responses_read_request(fields, request, &a->stream);
}

void responses_handle(struct server *server, struct exchange *exchange)
{
    static const struct dialect responses = {.answer_bytes = sizeof(struct answer),
                                             .id_prefix = "resp_",
                                             .read = read,
                                             .on_event = on_event,
                                             .on_close = on_close};
    generation_start(server, exchange, &responses);
}
