#include "serve/tool_constraint.h"

#include <stdlib.h>
#include <string.h>

#include "serve/schema_text.h"
#include "serve/tool_schema.h"

struct tool_request {
    const struct constraint_vocabulary *vocabulary;
    const struct reply_style *style;
    const struct generation_request *request;
    struct constraint_options options;
    size_t effort; // of all that is compiled for the request: it takes no longer than one schema may
    bool loose[GENERATION_MAX_TOOLS];
};

static tern_status open_schema(const struct constraint_vocabulary *vocabulary, json_t *schema,
                               const struct constraint_options *options, struct constraint **out)
{
    char *text = schema_text(schema);
    json_decref(schema);
    if (text == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the schema of tool calls");
    tern_status status = constraint_open_schema(vocabulary, text, strlen(text), options, out);
    free(text);
    return status;
}

// Whether the schema of this tool alone can be enforced. The error names the tool.
static tern_status check_tool(struct tool_request *t, const json_t *tool)
{
    struct constraint *constraint;
    const struct constraint_options options = {.effort = &t->effort};
    tern_status status = open_schema(t->vocabulary, tool_parameters(tool), &options, &constraint);
    if (status != TERN_OK) return status_prefix(status, "tool \"%s\": ", tool_name(tool));
    constraint_close(constraint);
    return TERN_OK;
}

static bool is_object(const json_t *type)
{
    const char *name = json_string_value(type);
    return name != NULL && strcmp(name, "object") == 0;
}

static bool takes_objects(const json_t *tool)
{
    size_t index;
    json_t *item, *type = json_object_get(json_object_get(tool_function(tool), "parameters"), "type");
    if (type == NULL || is_object(type)) return true;
    json_array_foreach(type, index, item)
    {
        if (is_object(item)) return true;
    }
    return false;
}

// A tool that takes no object could never be called.
static tern_status check_types(const json_t *tools)
{
    size_t index;
    json_t *tool;
    json_array_foreach(tools, index, tool)
    {
        if (takes_objects(tool)) continue;
        return status_fail(TERN_INVALID, "tool \"%s\": schema, /type: \"object\" expected", tool_name(tool));
    }
    return TERN_OK;
}

static bool is_strict(const json_t *tool)
{
    return json_is_true(json_object_get(tool_function(tool), "strict"));
}

// Sets loose[i] for the tools that may have anything for arguments, since their schemas cannot be enforced. Fails for
// those that may not.
static tern_status loosen_tools(struct tool_request *t)
{
    size_t index;
    json_t *tool;
    json_array_foreach(t->request->tools, index, tool)
    {
        tern_status status = check_tool(t, tool);
        t->loose[index] = status == TERN_UNSUPPORTED && !is_strict(tool);
        if (status != TERN_OK && !t->loose[index]) return status;
    }
    return TERN_OK;
}

static tern_status open_calls(struct tool_request *t, struct constraint **out)
{
    const struct generation_request *request = t->request;
    const char *name = request->tool_choice == TOOL_CHOICE_NAMED ? request->tool_name : NULL;
    json_t *schema = tool_schema(t->style, request->tools, name, request->one_call || name != NULL, t->loose);
    return open_schema(t->vocabulary, schema, &t->options, out);
}

// Where a call begins and what comes after it: the end of the answer or, where the style has a mark for each call,
// another one. An answer that must be a call begins with one, behind the thinking if there is any, and one that begins
// like a call without a mark, where the style has such calls, must be one.
static void set_marks(struct tool_request *t, const char *const *call_open, const char *think_close)
{
    const struct reply_style *style = t->style;
    struct constraint_options *options = &t->options;
    enum generation_tool_choice choice = t->request->tool_choice;
    bool must = choice != TOOL_CHOICE_AUTO, one = t->request->one_call || choice == TOOL_CHOICE_NAMED;
    if (must || options->otherwise != NULL || style->call_is_bare) options->behind = think_close;
    if (must && style->call_is_bare) return;
    options->triggers = call_open;
    options->n_triggers = 1;
    options->must_trigger = options->begins = must;
    options->bare = style->call_is_bare;
    options->prefix = must ? *call_open : NULL;
    options->suffix = style->call_close[0] == '\0' ? NULL : style->call_close;
    options->repeat = !one && !style->call_is_list && !style->call_is_bare;
}

// What the answer is if it calls nothing.
static tern_status set_format(struct tool_request *t)
{
    const struct generation_request *request = t->request;
    if (request->tool_choice != TOOL_CHOICE_AUTO || request->format == FORMAT_TEXT) return TERN_OK;
    if (request->format == FORMAT_GRAMMAR)
        return status_fail(TERN_INVALID, "tools and a grammar of the answer cannot be had together");
    t->options.otherwise = request->format == FORMAT_JSON_SCHEMA ? request->format_text : "{\"type\": \"object\"}";
    struct constraint *alone;
    const struct constraint_options options = {.effort = &t->effort};
    tern_status status =
        constraint_open_schema(t->vocabulary, t->options.otherwise, strlen(t->options.otherwise), &options, &alone);
    if (status != TERN_OK) return status_prefix(status, "%s: ", request->format_param);
    constraint_close(alone);
    return TERN_OK;
}

tern_status tool_constraint_open(const struct constraint_vocabulary *vocabulary, const struct reply_style *style,
                                 const struct generation_request *request, const char *think_close,
                                 struct constraint **out)
{
    *out = NULL;
    if (json_array_size(request->tools) == 0 || request->tool_choice == TOOL_CHOICE_NONE) return TERN_OK;
    struct tool_request t = {.vocabulary = vocabulary, .style = style, .request = request};
    t.options.effort = &t.effort;
    TRY(check_types(request->tools));
    TRY(set_format(&t));
    set_marks(&t, &style->call_open, think_close);
    tern_status status = open_calls(&t, out);
    if (status != TERN_UNSUPPORTED && status != TERN_INVALID) return status;
    TRY(loosen_tools(&t));
    return open_calls(&t, out);
}
