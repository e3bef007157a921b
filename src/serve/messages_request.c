#include "serve/messages_request.h"

#include <stdlib.h>
#include <string.h>

#include "serve/dialogue.h"
#include "serve/tool_schema.h"

enum { MAX_BLOCKS = 4096 };

// ---- Texts ----------------------------------------------------------------------------------------------------------

static bool read_needed_text(const struct fields *f, const char *name, const char **out)
{
    *out = NULL;
    if (!field_text(f, name, out)) return false;
    return *out != NULL || field_fail(f, name, "missing, expected a string");
}

static bool read_text_block(const struct fields *f, const char **text)
{
    int kind = -1;
    return dialogue_read_kind(f, "text", &kind) && read_needed_text(f, "text", text);
}

static bool read_text(const struct fields *f, struct generation_request *request, const char *name, const char **out)
{
    return dialogue_read_text(f, request, name, read_text_block, out);
}

// ---- Messages -------------------------------------------------------------------------------------------------------

// What a user said, between the results of tools.
static bool end_user_text(const struct fields *f, struct dialogue *c, struct buffer *text)
{
    if (text->length == 0) return true;
    const char *kept = generation_keep(c->request, json_stringn(text->data, text->length));
    text->length = 0;
    return kept != NULL ? dialogue_say(c, "user", kept) : field_fail_memory(f);
}

static bool read_result(const struct fields *f, struct dialogue *c)
{
    const char *id, *text;
    return read_needed_text(f, "tool_use_id", &id) && read_text(f, c->request, "content", &text) &&
           dialogue_result(c, id, text);
}

static bool read_user_block(const struct fields *f, struct dialogue *c, struct buffer *said)
{
    int kind = -1;
    const char *text;
    if (!dialogue_read_kind(f, "text|tool_result", &kind)) return false;
    if (kind < 0) return field_fail(f, "type", "missing, expected text or tool_result");
    if (kind == 1) return end_user_text(f, c, said) && read_result(f, c);
    return read_needed_text(f, "text", &text) && (dialogue_append_line(said, text) == TERN_OK || field_fail_memory(f));
}

static bool read_call(const struct fields *f, struct dialogue *c)
{
    const char *id, *name;
    const json_t *input = NULL;
    if (!read_needed_text(f, "id", &id) || !read_needed_text(f, "name", &name) || !field_object(f, "input", &input))
        return false;
    char *arguments = input == NULL ? strdup("{}") : json_dumps(input, JSON_COMPACT);
    bool fine = arguments == NULL ? field_fail_memory(f) : dialogue_call(c, id, name, arguments);
    free(arguments);
    return fine;
}

static bool read_assistant_block(const struct fields *f, struct dialogue *c)
{
    enum { TEXT, THINKING, REDACTED, CALL };
    int kind = -1;
    const char *text = NULL;
    if (!field_choice(f, "type", "text|thinking|redacted_thinking|tool_use", &kind)) return false;
    switch (kind) {
    case TEXT:
        return read_needed_text(f, "text", &text) && dialogue_answer(c, text);
    case THINKING:
        return read_needed_text(f, "thinking", &text) && dialogue_think(c, text);
    case REDACTED: // somebody else's, which nobody here can read
        return true;
    case CALL:
        return read_call(f, c);
    default:
        return field_fail(f, "type", "missing, expected text, thinking or tool_use");
    }
}

static bool read_blocks(const struct fields *f, bool is_user, struct dialogue *c)
{
    const json_t *blocks = NULL, *value;
    struct buffer said = {0};
    size_t index;
    bool fine = field_array(f, "content", MAX_BLOCKS, &blocks);
    json_array_foreach(blocks, index, value)
    {
        struct fields block;
        fine = fine && field_enter(f, "content", (int)index, value, &block) &&
               (is_user ? read_user_block(&block, c, &said) : read_assistant_block(&block, c));
    }
    fine = fine && end_user_text(f, c, &said);
    buffer_free(&said);
    return fine;
}

static bool read_message(const struct fields *f, struct dialogue *c)
{
    enum { USER, ASSISTANT, SYSTEM };
    int role = -1;
    const char *text;
    if (!field_choice(f, "role", "user|assistant|system", &role)) return false;
    if (role < 0) return field_fail(f, "role", "missing, expected user or assistant");
    if (!field_is_given(f, "content")) return field_fail(f, "content", "missing");
    if (role != SYSTEM && json_is_array(json_object_get(f->object, "content"))) return read_blocks(f, role == USER, c);
    if (!read_text(f, c->request, "content", &text)) return false;
    return role == ASSISTANT ? dialogue_answer(c, text) : dialogue_say(c, role == USER ? "user" : "system", text);
}

static bool read_messages(const struct fields *f, struct dialogue *c)
{
    const json_t *messages = NULL, *value;
    const char *system;
    size_t index;
    if (!read_text(f, c->request, "system", &system)) return false;
    if (system[0] != '\0' && !dialogue_say(c, "system", system)) return false;
    if (!field_array(f, "messages", GENERATION_MAX_MESSAGES, &messages)) return false;
    if (json_array_size(messages) == 0) return field_fail(f, "messages", "expected at least one message");
    json_array_foreach(messages, index, value)
    {
        struct fields message;
        if (!field_enter(f, "messages", (int)index, value, &message) || !read_message(&message, c)) return false;
    }
    return true;
}

// A last message of the assistant's is gone on with, if it only spoke.
static bool read_conversation(const struct fields *f, struct generation_request *request)
{
    struct dialogue c = {.request = request, .error = f->error};
    bool fine = read_messages(f, &c);
    fine = dialogue_end(&c) && fine;
    if (!fine) return false;
    if (request->n_messages == 0) return field_fail(f, "messages", "nothing is said in them");
    const tern_message *last = &request->messages[request->n_messages - 1];
    request->continue_last = strcmp(last->role, "assistant") == 0 && last->tool_calls == NULL;
    return true;
}

// ---- Tools ----------------------------------------------------------------------------------------------------------

static bool read_tool(const struct fields *f, json_t *tools)
{
    const char *name, *description = NULL;
    const json_t *schema = NULL;
    bool strict = false;
    int kind = -1;
    if (!field_choice(f, "type", "custom", &kind) || !read_needed_text(f, "name", &name) ||
        !field_text(f, "description", &description) || !field_object(f, "input_schema", &schema) ||
        !field_bool(f, "strict", &strict))
        return false;
    return dialogue_add_tool(tools, name, description, schema, strict) || field_fail_memory(f);
}

static bool read_tool_choice(const struct fields *f, struct generation_request *request)
{
    static const enum generation_tool_choice choices[] = {TOOL_CHOICE_AUTO, TOOL_CHOICE_REQUIRED, TOOL_CHOICE_NAMED,
                                                          TOOL_CHOICE_NONE};
    const json_t *value = NULL;
    struct fields choice;
    int kind = 0;
    if (!field_object(f, "tool_choice", &value)) return false;
    if (value == NULL) return true;
    if (!field_enter(f, "tool_choice", -1, value, &choice) ||
        !field_choice(&choice, "type", "auto|any|tool|none", &kind) ||
        !field_bool(&choice, "disable_parallel_tool_use", &request->one_call))
        return false;
    request->tool_choice = choices[kind];
    if (request->tool_choice == TOOL_CHOICE_REQUIRED && json_array_size(request->tools) == 0)
        return field_fail(&choice, "type", "a tool is required, but there are no tools");
    if (request->tool_choice != TOOL_CHOICE_NAMED) return true;
    if (!read_needed_text(&choice, "name", &request->tool_name)) return false;
    return tool_is_named(request->tools, request->tool_name) || field_fail(&choice, "name", "no tool has this name");
}

// ---- The rest -------------------------------------------------------------------------------------------------------

static bool read_stop(const struct fields *f, struct generation_request *request)
{
    const json_t *list = NULL, *value;
    size_t index;
    if (!field_array(f, "stop_sequences", GENERATION_MAX_STOP, &list)) return false;
    request->n_stop = 0;
    json_array_foreach(list, index, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL || text[0] == '\0' || strlen(text) > 1024)
            return field_fail(f, "stop_sequences", "entry %zu is no string of 1 to 1024 bytes", index);
        request->stop[request->n_stop++] = text;
    }
    return true;
}

// Without `thinking` there is none, as the API has it.
static bool read_thinking(const struct fields *f, struct generation_request *request)
{
    enum { DISABLED, ENABLED };
    const json_t *value = NULL;
    struct fields thinking;
    int kind = DISABLED, budget = -1;
    if (!field_object(f, "thinking", &value)) return false;
    request->thinking_budget = 0;
    if (value == NULL) return true;
    if (!field_enter(f, "thinking", -1, value, &thinking) ||
        !field_choice(&thinking, "type", "disabled|enabled|adaptive|between_tools", &kind) ||
        !field_int(&thinking, "budget_tokens", 1, INT32_MAX, &budget))
        return false;
    if (kind == DISABLED) return true;
    if (kind == ENABLED && budget < 0)
        return field_fail(&thinking, "budget_tokens", "missing, expected a number of tokens");
    request->thinking_budget = budget;
    if (request->reasoning_effort == NULL) request->reasoning_effort = "medium";
    return true;
}

static bool read_format(const struct fields *f, const char *name, const char *param, struct generation_request *request)
{
    const json_t *value = NULL, *schema = NULL;
    struct fields format;
    int kind = -1;
    if (!field_object(f, name, &value)) return false;
    if (value == NULL) return true;
    if (!field_enter(f, name, -1, value, &format) || !field_choice(&format, "type", "json_schema", &kind) ||
        !field_object(&format, "schema", &schema))
        return false;
    if (schema == NULL) return field_fail(&format, "schema", "missing, expected a JSON schema");
    return generation_keep_schema(request, schema, param) || field_fail_memory(f);
}

static bool read_output_config(const struct fields *f, struct generation_request *request)
{
    static const char *const efforts[] = {"low", "medium", "high", "high", "high"};
    const json_t *value = NULL;
    struct fields config;
    int effort = -1;
    if (!field_object(f, "output_config", &value)) return false;
    if (value == NULL) return true;
    if (!field_enter(f, "output_config", -1, value, &config) ||
        !field_choice(&config, "effort", "low|medium|high|xhigh|max", &effort))
        return false;
    if (effort >= 0) request->reasoning_effort = efforts[effort];
    return read_format(&config, "format", "output_config.format", request);
}

static bool read_length(const struct fields *f, struct generation_request *request)
{
    int most = request->max_tokens;
    if (!request->count_only && !field_is_given(f, "max_tokens"))
        return field_fail(f, "max_tokens", "missing, expected a number");
    if (!field_int(f, "max_tokens", 1, INT32_MAX, &most)) return false;
    request->max_tokens = most;
    return true;
}

// What this server cannot do, and what would be wrong if it were ignored. By the code of the first the official clients
// know that they have to send the whole conversation.
static bool refuse_kept_state(const struct fields *f)
{
    const json_t *servers = NULL;
    if (field_is_given(f, "thread")) {
        field_fail(f, "thread", "this server keeps no threads: send the whole conversation without it");
        f->error->code = "thread_unsupported_request";
        return false;
    }
    if (field_is_given(f, "compaction"))
        return field_fail(f, "compaction", "this server does not compact conversations");
    if (!field_array(f, "mcp_servers", 1024, &servers)) return false;
    return json_array_size(servers) == 0 || field_fail(f, "mcp_servers", "this server asks no others for tools");
}

bool messages_read_request(const struct fields *f, struct generation_request *request, bool *stream)
{
    return field_text(f, "model", &request->model) && field_bool(f, "stream", stream) && refuse_kept_state(f) &&
           read_length(f, request) && generation_read_sampling(f, request) && read_stop(f, request) &&
           read_output_config(f, request) && read_format(f, "output_format", "output_format", request) &&
           read_thinking(f, request) && dialogue_read_tools(f, request, read_tool) && read_tool_choice(f, request) &&
           field_object(f, "chat_template_kwargs", &request->template_variables) && read_conversation(f, request);
}
