#include "serve/chat_request.h"

#include "serve/tool_schema.h"

#include <stdio.h>
#include <string.h>

// ---- Content --------------------------------------------------------------------------------------------------------

// The text of one part of a content array.
static bool read_part(const struct fields *message, int index, const json_t *part, const char **text)
{
    struct fields f;
    const char *type = NULL;
    *text = NULL;
    if (!field_enter(message, "content", index, part, &f) || !field_text(&f, "type", &type)) return false;
    if (type == NULL) return field_fail(&f, "type", "it is missing");
    bool is_text = strcmp(type, "text") == 0 || strcmp(type, "input_text") == 0 || strcmp(type, "output_text") == 0;
    if (!is_text && strcmp(type, "refusal") != 0)
        return field_fail(&f, "type", "parts of type '%.40s' are not supported: this server's models read text only",
                          type);
    if (!field_text(&f, is_text ? "text" : "refusal", text)) return false;
    return *text != NULL || field_fail(&f, is_text ? "text" : "refusal", "it is missing");
}

// All parts' texts one after the other.
static bool join_parts(const struct fields *f, struct generation_request *request, const json_t *parts,
                       const char **content)
{
    struct buffer all = {0};
    size_t index;
    const json_t *part;
    bool fine = true;
    json_array_foreach(parts, index, part)
    {
        const char *text;
        fine = fine && read_part(f, (int)index, part, &text);
        if (fine && buffer_append_string(&all, text) != TERN_OK) fine = field_fail_memory(f);
    }
    if (fine) *content = generation_keep(request, json_stringn(all.length > 0 ? all.data : "", all.length));
    buffer_free(&all);
    return fine && (*content != NULL || field_fail_memory(f));
}

static bool read_content(const struct fields *f, struct generation_request *request, const char **content)
{
    const json_t *value = json_object_get(f->object, "content");
    if (json_is_array(value)) return join_parts(f, request, value, content);
    return field_text(f, "content", content);
}

// ---- Messages -------------------------------------------------------------------------------------------------------

static bool check_call(const struct fields *message, int index, const json_t *call)
{
    struct fields f, function;
    const char *name = NULL, *arguments = NULL;
    if (!field_enter(message, "tool_calls", index, call, &f) ||
        !field_enter(&f, "function", -1, json_object_get(call, "function"), &function) ||
        !field_text(&function, "name", &name) || !field_text(&function, "arguments", &arguments))
        return false;
    return name != NULL || field_fail(&function, "name", "it is missing");
}

static bool read_calls(const struct fields *f, struct generation_request *request, const char **out)
{
    const json_t *calls = NULL, *call;
    size_t index;
    if (!field_array(f, "tool_calls", 1024, &calls)) return false;
    if (json_array_size(calls) == 0) return true;
    json_array_foreach(calls, index, call)
    {
        if (!check_call(f, (int)index, call)) return false;
    }
    char *text = json_dumps(calls, JSON_COMPACT);
    *out = text != NULL ? generation_keep(request, json_string(text)) : NULL;
    free(text);
    return *out != NULL || field_fail_memory(f);
}

static bool read_assistant(const struct fields *f, struct generation_request *request, tern_message *message)
{
    if (!field_text(f, "reasoning", &message->reasoning) || !field_text(f, "reasoning_content", &message->reasoning) ||
        !read_calls(f, request, &message->tool_calls))
        return false;
    if (message->content == NULL && message->tool_calls == NULL)
        return field_fail(f, "content", "it is missing, and so are tool_calls");
    return true;
}

static bool read_message(const struct fields *parent, int index, const json_t *value,
                         struct generation_request *request)
{
    static const char *const roles[] = {"system", "system", "user", "assistant", "tool", "tool"};
    struct fields f;
    tern_message message = {0};
    int role = -1;
    if (!field_enter(parent, "messages", index, value, &f) ||
        !field_choice(&f, "role", "system|developer|user|assistant|tool|function", &role))
        return false;
    if (role < 0) return field_fail(&f, "role", "it is missing");
    message.role = roles[role];
    if (!read_content(&f, request, &message.content)) return false;
    if (strcmp(message.role, "assistant") == 0) {
        if (!read_assistant(&f, request, &message)) return false;
    } else if (message.content == NULL) {
        return field_fail(&f, "content", "it is missing");
    }
    if (strcmp(message.role, "tool") == 0 && !field_text(&f, "tool_call_id", &message.tool_call_id)) return false;
    return generation_add_message(request, &message) || field_fail_memory(parent);
}

static bool read_messages(const struct fields *f, struct generation_request *request)
{
    const json_t *messages = NULL, *message;
    size_t index;
    if (!field_array(f, "messages", GENERATION_MAX_MESSAGES, &messages)) return false;
    if (json_array_size(messages) == 0) return field_fail(f, "messages", "expected at least one message");
    json_array_foreach(messages, index, message)
    {
        if (!read_message(f, (int)index, message, request)) return false;
    }
    return true;
}

// ---- Tools ----------------------------------------------------------------------------------------------------------

static bool check_tool(const struct fields *parent, int index, const json_t *tool)
{
    struct fields f, function;
    const char *name = NULL, *description = NULL;
    const json_t *parameters = NULL;
    int type = 0;
    bool strict = false;
    if (!field_enter(parent, "tools", index, tool, &f) || !field_choice(&f, "type", "function", &type) ||
        !field_enter(&f, "function", -1, json_object_get(tool, "function"), &function) ||
        !field_text(&function, "name", &name) || !field_text(&function, "description", &description) ||
        !field_object(&function, "parameters", &parameters) || !field_bool(&function, "strict", &strict))
        return false;
    if (name == NULL || name[0] == '\0') return field_fail(&function, "name", "it is missing");
    return strlen(name) <= 256 || field_fail(&function, "name", "longer than 256 bytes");
}

static bool read_tools(const struct fields *f, struct generation_request *request)
{
    const json_t *tools = NULL, *tool;
    size_t index;
    if (!field_array(f, "tools", GENERATION_MAX_TOOLS, &tools)) return false;
    json_array_foreach(tools, index, tool)
    {
        if (!check_tool(f, (int)index, tool)) return false;
    }
    if (json_array_size(tools) > 0) request->tools = tools;
    return true;
}

static bool read_named_choice(const struct fields *f, struct generation_request *request)
{
    struct fields function;
    if (!field_enter(f, "function", -1, json_object_get(f->object, "function"), &function) ||
        !field_text(&function, "name", &request->tool_name))
        return false;
    request->tool_choice = TOOL_CHOICE_NAMED;
    return (request->tool_name != NULL && tool_is_named(request->tools, request->tool_name)) ||
           field_fail(&function, "name", "there is no such tool in tools");
}

static bool read_allowed_tools(const struct fields *f, struct generation_request *request)
{
    struct fields allowed;
    return field_enter(f, "allowed_tools", -1, json_object_get(f->object, "allowed_tools"), &allowed) &&
           generation_read_allowed_tools(&allowed, request);
}

static bool read_tool_choice(const struct fields *f, struct generation_request *request)
{
    const json_t *value = json_object_get(f->object, "tool_choice");
    struct fields choice;
    int word = TOOL_CHOICE_AUTO, type = 0;
    if (value == NULL || json_is_null(value)) return true;
    if (!json_is_string(value)) {
        if (!field_enter(f, "tool_choice", -1, value, &choice) ||
            !field_choice(&choice, "type", "function|allowed_tools", &type))
            return false;
        return type == 0 ? read_named_choice(&choice, request) : read_allowed_tools(&choice, request);
    }
    if (!field_choice(f, "tool_choice", "auto|none|required", &word)) return false;
    request->tool_choice = (enum generation_tool_choice)word;
    if (request->tool_choice == TOOL_CHOICE_REQUIRED && request->tools == NULL)
        return field_fail(f, "tool_choice", "'required' needs tools");
    return true;
}

static bool read_conversation(const struct fields *f, struct generation_request *request)
{
    bool parallel = true;
    if (!read_messages(f, request) || !read_tools(f, request) || !read_tool_choice(f, request) ||
        !field_bool(f, "parallel_tool_calls", &parallel) ||
        !field_object(f, "chat_template_kwargs", &request->template_variables))
        return false;
    request->one_call = !parallel;
    return true;
}

// ---- Format ---------------------------------------------------------------------------------------------------------

static bool keep_schema(const struct fields *f, struct generation_request *request, const json_t *schema,
                        const char *param)
{
    return generation_keep_schema(request, schema, param) || field_fail_memory(f);
}

static bool read_json_schema(const struct fields *format, struct generation_request *request)
{
    struct fields f;
    const json_t *schema = NULL;
    const char *name = NULL;
    bool strict = false;
    const json_t *value = json_object_get(format->object, "json_schema");
    if (value == NULL) return field_fail(format, "json_schema", "it is missing");
    if (!field_enter(format, "json_schema", -1, value, &f) || !field_text(&f, "name", &name) ||
        !field_bool(&f, "strict", &strict) || !field_object(&f, "schema", &schema))
        return false;
    if (schema == NULL) return field_fail(&f, "schema", "it is missing");
    return keep_schema(format, request, schema, "response_format.json_schema.schema");
}

static bool read_response_format(const struct fields *parent, struct generation_request *request)
{
    struct fields f;
    int type = 0;
    const json_t *schema = NULL, *value = json_object_get(parent->object, "response_format");
    if (value == NULL || json_is_null(value)) return true;
    if (!field_enter(parent, "response_format", -1, value, &f) ||
        !field_choice(&f, "type", "text|json_object|json_schema", &type) || !field_object(&f, "schema", &schema))
        return false;
    if (type == FORMAT_JSON_SCHEMA) return read_json_schema(&f, request);
    request->format = (enum generation_format)type;
    // llama.cpp's server takes a schema here too.
    return type != FORMAT_JSON_OBJECT || schema == NULL || keep_schema(&f, request, schema, "response_format.schema");
}

// Names that llama.cpp's server has: a grammar in GBNF, or a JSON Schema.
static bool read_grammar(const struct fields *f, struct generation_request *request)
{
    const json_t *schema = NULL;
    const char *grammar = NULL;
    if (!field_text(f, "grammar", &grammar) || !field_object(f, "json_schema", &schema)) return false;
    bool several = (grammar != NULL) + (schema != NULL) + (request->format != FORMAT_TEXT) > 1;
    if (several) return field_fail(f, "grammar", "only one of grammar, json_schema and response_format can be given");
    if (grammar != NULL) {
        request->format = FORMAT_GRAMMAR;
        request->format_text = grammar;
        request->format_param = "grammar";
    }
    return schema == NULL || keep_schema(f, request, schema, "json_schema");
}

// ---- The rest -------------------------------------------------------------------------------------------------------

bool chat_request_read_stream(const struct fields *f, struct stream_options *options)
{
    const json_t *value = NULL;
    struct fields stream;
    if (!field_bool(f, "stream", &options->wanted) || !field_object(f, "stream_options", &value)) return false;
    if (value == NULL) return true;
    return field_enter(f, "stream_options", -1, value, &stream) &&
           field_bool(&stream, "include_usage", &options->include_usage);
}

static bool read_logprobs(const struct fields *f, struct generation_request *request, struct chat_options *options)
{
    int top = 0;
    if (!field_bool(f, "logprobs", &options->logprobs) || !field_int(f, "top_logprobs", 0, SCHEDULER_MAX_TOP, &top))
        return false;
    if (top > 0 && !options->logprobs) return field_fail(f, "top_logprobs", "it needs logprobs to be true");
    if (options->logprobs) request->n_logprobs = top;
    return true;
}

static bool read_lengths(const struct fields *f, struct generation_request *request)
{
    int most = -1;
    if (!field_int(f, "max_tokens", -1, INT32_MAX, &most)) return false;
    if (field_is_given(f, "max_completion_tokens")) {
        request->max_tokens_param = "max_completion_tokens";
        if (!field_int(f, "max_completion_tokens", -1, INT32_MAX, &most)) return false;
    }
    if (most == 0) return field_fail(f, request->max_tokens_param, "expected 1 or more, or -1 for no bound");
    request->max_tokens = most;
    return field_int(f, "n", 1, GENERATION_MAX_CHOICES, &request->n);
}

static bool read_thinking(const struct fields *f, struct generation_request *request)
{
    int effort = 0, budget = -1;
    if (!field_choice(f, "reasoning_effort", "none|minimal|low|medium|high|xhigh|max", &effort) ||
        !field_text(f, "reasoning_effort", &request->reasoning_effort) ||
        !field_int(f, "reasoning_budget", -1, INT32_MAX, &budget) ||
        !field_int(f, "thinking_budget", -1, INT32_MAX, &budget))
        return false;
    request->thinking_budget = budget;
    return true;
}

static bool read_continuation(const struct fields *f, struct generation_request *request)
{
    const tern_message *last = &request->messages[request->n_messages - 1];
    if (!field_bool(f, "continue_final_message", &request->continue_last)) return false;
    bool is_begun = strcmp(last->role, "assistant") == 0 && last->content != NULL && last->tool_calls == NULL;
    return !request->continue_last || is_begun ||
           field_fail(f, "continue_final_message", "the last message is no words of the assistant's");
}

// What would be wrong if it were ignored: the answer would be of another kind than the one asked for.
static bool refuse_other_kinds(const struct fields *f)
{
    const json_t *functions = NULL, *modalities = NULL, *kind;
    size_t index;
    if (!field_array(f, "functions", GENERATION_MAX_TOOLS, &functions) ||
        !field_array(f, "modalities", 16, &modalities))
        return false;
    if (json_array_size(functions) > 0)
        return field_fail(f, "functions", "the older form of tools is not supported: send them as tools");
    json_array_foreach(modalities, index, kind)
    {
        const char *name = json_string_value(kind);
        if (name == NULL || strcmp(name, "text") != 0)
            return field_fail(f, "modalities", "this server's models write text only");
    }
    return true;
}

bool chat_request_read(const struct fields *f, struct generation_request *request, struct chat_options *options)
{
    const char *user = NULL;
    return field_text(f, "model", &request->model) && refuse_other_kinds(f) && read_conversation(f, request) &&
           read_continuation(f, request) && read_response_format(f, request) && read_grammar(f, request) &&
           generation_read_sampling(f, request) && read_lengths(f, request) && read_logprobs(f, request, options) &&
           read_thinking(f, request) && chat_request_read_stream(f, &options->stream) &&
           field_bool(f, "ignore_eos", &request->ignore_end) && field_text(f, "user", &user);
}
