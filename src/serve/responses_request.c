#include "serve/responses_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/dialogue.h"
#include "serve/tool_schema.h"

// ---- What was said --------------------------------------------------------------------------------------------------

static bool read_part(const struct fields *f, const char **text)
{
    static const char *const kinds = "input_text|output_text|text|reasoning_text|summary_text|refusal";
    int kind = -1;
    if (!dialogue_read_kind(f, kinds, &kind)) return false;
    const char *name = kind == 5 ? "refusal" : "text";
    if (!field_text(f, name, text)) return false;
    return *text != NULL || field_fail(f, name, "missing, expected a string");
}

static bool read_text(const struct fields *f, struct generation_request *request, const char *name, const char **out)
{
    return dialogue_read_text(f, request, name, read_part, out);
}

static bool read_message(const struct fields *f, struct dialogue *c)
{
    enum { USER, ASSISTANT, SYSTEM, DEVELOPER };
    int role = -1;
    const char *text;
    if (!field_choice(f, "role", "user|assistant|system|developer", &role)) return false;
    if (role < 0) return field_fail(f, "role", "missing, expected user, assistant, system or developer");
    if (!field_is_given(f, "content")) return field_fail(f, "content", "missing");
    if (!read_text(f, c->request, "content", &text)) return false;
    if (role == ASSISTANT) return dialogue_answer(c, text);
    return dialogue_say(c, role == USER ? "user" : "system", text);
}

static bool read_call(const struct fields *f, struct dialogue *c)
{
    const char *id = "", *name = NULL, *arguments = "{}";
    if (!field_text(f, "call_id", &id) || !field_text(f, "name", &name) || !field_text(f, "arguments", &arguments))
        return false;
    if (name == NULL) return field_fail(f, "name", "missing, expected the function's name");
    return dialogue_call(c, id, name, arguments);
}

static bool read_call_output(const struct fields *f, struct dialogue *c)
{
    const char *id = "", *text;
    if (!field_text(f, "call_id", &id)) return false;
    if (!field_is_given(f, "output")) return field_fail(f, "output", "missing");
    return read_text(f, c->request, "output", &text) && dialogue_result(c, id, text);
}

// What the model thought stands in `content`; other servers' items have only a summary.
static bool read_reasoning(const struct fields *f, struct dialogue *c)
{
    const char *text;
    if (!read_text(f, c->request, json_array_size(json_object_get(f->object, "content")) > 0 ? "content" : "summary",
                   &text))
        return false;
    return text[0] == '\0' || dialogue_think(c, text);
}

static bool read_item(const struct fields *f, struct dialogue *c)
{
    bool (*const readers[])(const struct fields *, struct dialogue *) = {read_message, read_call, read_call_output,
                                                                         read_reasoning};
    int kind = 0;
    if (!field_choice(f, "type", "message|function_call|function_call_output|reasoning", &kind)) return false;
    return readers[kind](f, c);
}

static bool read_items(const struct fields *f, struct dialogue *c)
{
    const json_t *items = NULL;
    size_t index;
    json_t *item;
    if (!field_array(f, "input", GENERATION_MAX_MESSAGES, &items)) return false;
    json_array_foreach(items, index, item)
    {
        struct fields entry;
        if (!field_enter(f, "input", (int)index, item, &entry) || !read_item(&entry, c)) return false;
    }
    return true;
}

static bool read_pieces(const struct fields *f, struct dialogue *c)
{
    const char *text = NULL;
    if (!field_text(f, "instructions", &text)) return false;
    if (text != NULL && !dialogue_say(c, "system", text)) return false;
    if (!json_is_string(json_object_get(f->object, "input"))) return read_items(f, c);
    return field_text(f, "input", &text) && dialogue_say(c, "user", text);
}

static bool read_input(const struct fields *f, struct generation_request *request)
{
    struct dialogue c = {.request = request, .error = f->error};
    request->messages_param = "input";
    if (!field_is_given(f, "input")) return field_fail(f, "input", "missing, expected a string or an array");
    bool fine = read_pieces(f, &c);
    fine = dialogue_end(&c) && fine;
    if (fine && request->n_messages == 0) return field_fail(f, "input", "there are no messages in it");
    return fine;
}

// ---- Tools ----------------------------------------------------------------------------------------------------------

static bool read_tool(const struct fields *f, json_t *tools)
{
    const char *name = NULL, *description = NULL;
    const json_t *parameters = NULL;
    bool strict = false;
    int kind = -1;
    if (!field_choice(f, "type", "function", &kind) || !field_text(f, "name", &name) ||
        !field_text(f, "description", &description) || !field_object(f, "parameters", &parameters) ||
        !field_bool(f, "strict", &strict))
        return false;
    if (name == NULL || name[0] == '\0') return field_fail(f, "name", "missing, expected the function's name");
    return dialogue_add_tool(tools, name, description, parameters, strict) || field_fail_memory(f);
}

static bool read_named_choice(const struct fields *f, struct generation_request *request)
{
    if (!field_text(f, "name", &request->tool_name)) return false;
    if (request->tool_name == NULL || !tool_is_named(request->tools, request->tool_name))
        return field_fail(f, "name", "no tool has this name");
    request->tool_choice = TOOL_CHOICE_NAMED;
    return true;
}

static bool read_tool_choice(const struct fields *f, struct generation_request *request)
{
    const json_t *value = json_object_get(f->object, "tool_choice");
    struct fields choice;
    int word = TOOL_CHOICE_AUTO, kind = -1;
    if (json_is_object(value)) {
        if (!field_enter(f, "tool_choice", -1, value, &choice)) return false;
        if (!field_choice(&choice, "type", "function|allowed_tools", &kind)) return false;
        if (kind < 0) return field_fail(&choice, "type", "missing, expected function or allowed_tools");
        return kind == 0 ? read_named_choice(&choice, request) : generation_read_allowed_tools(&choice, request);
    }
    if (!field_choice(f, "tool_choice", "auto|none|required", &word)) return false;
    request->tool_choice = (enum generation_tool_choice)word;
    if (word == TOOL_CHOICE_REQUIRED && json_array_size(request->tools) == 0)
        return field_fail(f, "tool_choice", "a tool is required, but there are no tools");
    return true;
}

// ---- The rest -------------------------------------------------------------------------------------------------------

static bool read_format(const struct fields *text, struct generation_request *request)
{
    const json_t *value = NULL, *schema = NULL;
    struct fields format;
    int kind = 0;
    if (!field_object(text, "format", &value)) return false;
    if (value == NULL) return true;
    if (!field_enter(text, "format", -1, value, &format)) return false;
    if (!field_choice(&format, "type", "text|json_object|json_schema", &kind)) return false;
    request->format = (enum generation_format)kind;
    request->format_param = "text.format";
    if (kind != FORMAT_JSON_SCHEMA) return true;
    if (!field_object(&format, "schema", &schema)) return false;
    if (schema == NULL) return field_fail(&format, "schema", "missing, expected a JSON schema");
    return generation_keep_schema(request, schema, "text.format") || field_fail_memory(text);
}

static bool read_text_options(const struct fields *f, struct generation_request *request)
{
    const json_t *value = NULL;
    struct fields text;
    if (!field_object(f, "text", &value)) return false;
    return value == NULL || (field_enter(f, "text", -1, value, &text) && read_format(&text, request));
}

static bool read_reasoning_options(const struct fields *f, struct generation_request *request)
{
    static const char *const efforts[] = {"none", "minimal", "low", "medium", "high", "high", "high"};
    const json_t *value = NULL;
    struct fields reasoning;
    int effort = -1;
    if (!field_object(f, "reasoning", &value)) return false;
    if (value == NULL) return true;
    if (!field_enter(f, "reasoning", -1, value, &reasoning) ||
        !field_choice(&reasoning, "effort", "none|minimal|low|medium|high|xhigh|max", &effort))
        return false;
    if (effort >= 0) request->reasoning_effort = efforts[effort];
    return true;
}

static bool read_logprobs(const struct fields *f, struct generation_request *request)
{
    const json_t *include = NULL;
    size_t index;
    json_t *entry;
    int top = 0;
    if (!field_array(f, "include", 64, &include) || !field_int(f, "top_logprobs", 0, SCHEDULER_MAX_TOP, &top))
        return false;
    json_array_foreach(include, index, entry)
    {
        const char *what = json_string_value(entry);
        if (what != NULL && strcmp(what, "message.output_text.logprobs") == 0) request->n_logprobs = top;
    }
    if (top > 0) request->n_logprobs = top;
    return true;
}

// What this server cannot do, and what would be wrong if it were ignored.
static bool refuse_kept_state(const struct fields *f)
{
    bool background = false;
    if (field_is_given(f, "previous_response_id") || field_is_given(f, "conversation")) {
        const char *name = field_is_given(f, "conversation") ? "conversation" : "previous_response_id";
        field_fail(f, name, "this server keeps no responses: send the whole conversation as input");
        f->error->code = "unsupported_parameter";
        return false;
    }
    if (field_is_given(f, "prompt")) return field_fail(f, "prompt", "this server keeps no prompts");
    if (!field_bool(f, "background", &background)) return false;
    return !background || field_fail(f, "background", "this server keeps no responses: wait for the answer");
}

static bool read_limits(const struct fields *f, struct generation_request *request)
{
    int most = request->max_tokens;
    bool parallel = true;
    if (!field_int(f, "max_output_tokens", 1, INT32_MAX, &most) || !field_bool(f, "parallel_tool_calls", &parallel))
        return false;
    request->max_tokens = most;
    request->max_tokens_param = "max_output_tokens";
    request->one_call = !parallel;
    return field_object(f, "chat_template_kwargs", &request->template_variables);
}

bool responses_read_request(const struct fields *f, struct generation_request *request, bool *stream)
{
    return field_text(f, "model", &request->model) && field_bool(f, "stream", stream) && refuse_kept_state(f) &&
           read_limits(f, request) && generation_read_sampling(f, request) && read_text_options(f, request) &&
           read_reasoning_options(f, request) && read_logprobs(f, request) &&
           dialogue_read_tools(f, request, read_tool) && read_tool_choice(f, request) && read_input(f, request);
}
