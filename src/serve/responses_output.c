#include "serve/responses_output.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/answer.h"

// ---- Items ----------------------------------------------------------------------------------------------------------

struct responses_item *responses_open_item(struct responses_items *items, enum responses_kind kind)
{
    static const char *const prefixes[] = {"rs_", "msg_", "fc_"};
    struct responses_item *list = realloc(items->list, (items->count + 1) * sizeof *list);
    if (list == NULL) return NULL;
    items->list = list;
    items->open = true;
    struct responses_item *item = &list[items->count++];
    *item = (struct responses_item){.kind = kind, .status = "in_progress", .logprobs = json_array()};
    generation_make_id(prefixes[kind], item->id, sizeof item->id);
    return item;
}

void responses_free_items(struct responses_items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        buffer_free(&items->list[i].text);
        buffer_free(&items->list[i].name);
        json_decref(items->list[i].logprobs);
    }
    free(items->list);
    *items = (struct responses_items){0};
}

static json_t *part_json(const struct responses_item *item, json_t *text, json_t *logprobs)
{
    if (item->kind == RESPONSES_REASONING) {
        json_decref(logprobs);
        return json_pack("{s:s, s:o}", "type", "reasoning_text", "text", text);
    }
    return json_pack("{s:s, s:o, s:[], s:o}", "type", "output_text", "text", text, "annotations", "logprobs", logprobs);
}

json_t *responses_part_json(const struct responses_item *item)
{
    return part_json(item, answer_buffer(&item->text), json_incref(item->logprobs));
}

json_t *responses_new_part_json(const struct responses_item *item)
{
    return part_json(item, json_string(""), json_array());
}

static json_t *call_json(const struct responses_item *item, json_t *arguments)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "type", "function_call", "id", item->id, "status", item->status,
                     "call_id", item->call_id, "name", answer_buffer(&item->name), "arguments", arguments);
}

static json_t *content_json(const struct responses_item *item, json_t *content)
{
    if (item->kind == RESPONSES_REASONING) {
        return json_pack("{s:s, s:s, s:s, s:[], s:o}", "type", "reasoning", "id", item->id, "status", item->status,
                         "summary", "content", content);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "message", "id", item->id, "status", item->status, "role",
                     "assistant", "content", content);
}

json_t *responses_item_json(const struct responses_item *item)
{
    if (item->kind == RESPONSES_CALL) return call_json(item, answer_buffer(&item->text));
    return content_json(item, json_pack("[o]", responses_part_json(item)));
}

json_t *responses_new_item_json(const struct responses_item *item)
{
    if (item->kind == RESPONSES_CALL) return call_json(item, json_string(""));
    return content_json(item, json_array());
}

json_t *responses_output_json(const struct responses_items *items)
{
    json_t *output = json_array();
    for (size_t i = 0; i < items->count; i++)
        json_array_append_new(output, responses_item_json(&items->list[i]));
    return output;
}

// ---- The response ---------------------------------------------------------------------------------------------------

static json_t *usage_json(const struct generation_usage *usage)
{
    return json_pack("{s:i, s:{s:i, s:i}, s:i, s:{s:i}, s:i}", "input_tokens", usage->prompt_tokens,
                     "input_tokens_details", "cached_tokens", usage->cached_tokens, "cache_write_tokens", 0,
                     "output_tokens", usage->completion_tokens, "output_tokens_details", "reasoning_tokens",
                     usage->reasoning_tokens, "total_tokens", usage->prompt_tokens + usage->completion_tokens);
}

// The request's field, or what it means to leave it out; takes the reference to that.
static json_t *echo(const json_t *root, const char *name, json_t *otherwise)
{
    json_t *value = json_object_get(root, name);
    if (value == NULL || json_is_null(value)) return otherwise;
    json_decref(otherwise);
    return json_incref(value);
}

// A float's own digits and no more: 0.95, not 0.94999998807907104.
static json_t *float_json(float value)
{
    return json_real(round((double)value * 1e6) / 1e6);
}

static void add_request(json_t *object, const struct generation_request *request)
{
    const json_t *root = request->root;
    json_object_set_new(object, "instructions", echo(root, "instructions", json_null()));
    json_object_set_new(object, "max_output_tokens", echo(root, "max_output_tokens", json_null()));
    json_object_set_new(object, "max_tool_calls", echo(root, "max_tool_calls", json_null()));
    json_object_set_new(object, "metadata", echo(root, "metadata", json_object()));
    json_object_set_new(object, "parallel_tool_calls", echo(root, "parallel_tool_calls", json_true()));
    json_object_set_new(object, "reasoning", echo(root, "reasoning", json_pack("{s:n, s:n}", "effort", "summary")));
    json_object_set_new(object, "temperature", float_json(request->sampling.temperature));
    json_object_set_new(object, "top_p", float_json(request->sampling.top_p));
    json_object_set_new(object, "text", echo(root, "text", json_pack("{s:{s:s}}", "format", "type", "text")));
    json_object_set_new(object, "tool_choice", echo(root, "tool_choice", json_string("auto")));
    json_object_set_new(object, "tools", echo(root, "tools", json_array()));
    json_object_set_new(object, "top_logprobs", echo(root, "top_logprobs", json_integer(0)));
    json_object_set_new(object, "truncation", echo(root, "truncation", json_string("disabled")));
    json_object_set_new(object, "user", echo(root, "user", json_null()));
}

static json_t *error_json(const struct api_error *error)
{
    const char *code = error->status == 429 ? "rate_limit_exceeded" : "server_error";
    return json_pack("{s:s, s:s}", "code", code, "message", error->message);
}

json_t *responses_object_json(const struct generation *generation, const struct responses_state *state)
{
    bool complete = strcmp(state->status, "completed") == 0;
    json_t *cut_off = state->cut_off ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null();
    json_t *object =
        json_pack("{s:s, s:s, s:I, s:s, s:o, s:o, s:s, s:n, s:b, s:b, s:s}", "id", generation_id(generation), "object",
                  "response", "created_at", (json_int_t)exchange_request(generation_exchange(generation))->created,
                  "status", state->status, "error", state->error == NULL ? json_null() : error_json(state->error),
                  "incomplete_details", cut_off, "model", generation_model_name(generation), "previous_response_id",
                  "background", 0, "store", 0, "service_tier", "default");
    json_object_set_new(object, "completed_at", complete ? json_integer((json_int_t)time(NULL)) : json_null());
    json_object_set_new(object, "usage", state->usage == NULL ? json_null() : usage_json(state->usage));
    add_request(object, generation_request(generation));
    return object;
}
