#include "serve/dialogue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool fail_memory(struct dialogue *c)
{
    return api_error_from_status(c->error, TERN_NO_MEMORY, NULL);
}

tern_status dialogue_append_line(struct buffer *out, const char *text)
{
    if (out->length > 0) TRY(buffer_append(out, "\n", 1));
    return buffer_append_string(out, text);
}

static bool add(struct dialogue *c, const tern_message *message)
{
    if (generation_add_message(c->request, message)) return true;
    if (c->request->n_messages < GENERATION_MAX_MESSAGES) return fail_memory(c);
    return api_error_invalid(c->error, NULL, NULL, "more than %d messages", GENERATION_MAX_MESSAGES);
}

// The buffer's text, "" if it is empty; NULL without memory.
static const char *keep(struct dialogue *c, const struct buffer *text)
{
    return generation_keep(c->request, json_stringn(text->length > 0 ? text->data : "", text->length));
}

static const char *keep_calls(struct dialogue *c)
{
    char *text = json_dumps(c->calls, JSON_COMPACT);
    const char *kept = text == NULL ? NULL : generation_keep(c->request, json_string(text));
    free(text);
    return kept;
}

static bool add_turn(struct dialogue *c)
{
    tern_message message = {.role = "assistant", .content = keep(c, &c->text)};
    if (c->reasoning.length > 0) message.reasoning = keep(c, &c->reasoning);
    if (c->calls != NULL) message.tool_calls = keep_calls(c);
    bool kept = message.content != NULL && (c->reasoning.length == 0 || message.reasoning != NULL) &&
                (c->calls == NULL || message.tool_calls != NULL);
    return kept ? add(c, &message) : fail_memory(c);
}

// A template has one place for what the system says, at the beginning: what comes there in pieces is gathered, and kept
// once.
static bool gather_system(struct dialogue *c, const char *text)
{
    bool fine = !c->system_open || buffer_append_string(&c->system, "\n\n") == TERN_OK;
    c->system_open = true;
    return (fine && buffer_append_string(&c->system, text) == TERN_OK) || fail_memory(c);
}

static bool add_system(struct dialogue *c)
{
    const char *text = keep(c, &c->system);
    c->system_open = false;
    return text != NULL ? add(c, &(tern_message){.role = "system", .content = text}) : fail_memory(c);
}

static bool close_turn(struct dialogue *c)
{
    bool fine = (!c->system_open || add_system(c)) && (!c->open || add_turn(c));
    c->open = false;
    c->text.length = c->reasoning.length = 0;
    json_decref(c->calls);
    c->calls = NULL;
    return fine;
}

bool dialogue_end(struct dialogue *c)
{
    bool fine = close_turn(c);
    buffer_free(&c->system);
    buffer_free(&c->text);
    buffer_free(&c->reasoning);
    return fine;
}

bool dialogue_say(struct dialogue *c, const char *role, const char *text)
{
    bool is_first = c->request->n_messages == 0 && !c->open;
    if (is_first && strcmp(role, "system") == 0) return gather_system(c, text);
    return close_turn(c) && add(c, &(tern_message){.role = role, .content = text});
}

bool dialogue_answer(struct dialogue *c, const char *text)
{
    c->open = true;
    return dialogue_append_line(&c->text, text) == TERN_OK || fail_memory(c);
}

bool dialogue_think(struct dialogue *c, const char *text)
{
    c->open = true;
    return dialogue_append_line(&c->reasoning, text) == TERN_OK || fail_memory(c);
}

bool dialogue_call(struct dialogue *c, const char *id, const char *name, const char *arguments)
{
    c->open = true;
    if (c->calls == NULL) c->calls = json_array();
    json_t *call = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type", "function", "function", "name", name,
                             "arguments", arguments);
    return json_array_append_new(c->calls, call) == 0 || fail_memory(c);
}

bool dialogue_result(struct dialogue *c, const char *id, const char *text)
{
    return close_turn(c) && add(c, &(tern_message){.role = "tool", .content = text, .tool_call_id = id});
}

// ---- Fields of a request --------------------------------------------------------------------------------------------

enum { MAX_PARTS = 4096 };

bool dialogue_read_kind(const struct fields *part, const char *words, int *out)
{
    const char *type = NULL;
    if (!field_text(part, "type", &type)) return false;
    return field_choice(part, "type", words, out) ||
           field_fail(part, "type", "'%.40s' is not supported, expected one of %s: this server's models read text only",
                      type, words);
}

static bool join_parts(const struct fields *f, const char *name, const json_t *parts,
                       bool (*read_part)(const struct fields *part, const char **text), struct buffer *out)
{
    size_t index;
    const json_t *value;
    json_array_foreach(parts, index, value)
    {
        struct fields part;
        const char *text = NULL;
        if (!field_enter(f, name, (int)index, value, &part) || !read_part(&part, &text)) return false;
        if (dialogue_append_line(out, text) != TERN_OK) return field_fail_memory(f);
    }
    return true;
}

bool dialogue_read_text(const struct fields *f, struct generation_request *request, const char *name,
                        bool (*read_part)(const struct fields *part, const char **text), const char **out)
{
    const json_t *parts = NULL;
    struct buffer text = {0};
    *out = "";
    if (!json_is_array(json_object_get(f->object, name))) return field_text(f, name, out);
    bool fine = field_array(f, name, MAX_PARTS, &parts) && join_parts(f, name, parts, read_part, &text);
    if (fine) *out = generation_keep(request, json_stringn(text.length > 0 ? text.data : "", text.length));
    buffer_free(&text);
    return fine && (*out != NULL || field_fail_memory(f));
}

bool dialogue_read_tools(const struct fields *f, struct generation_request *request,
                         bool (*read_tool)(const struct fields *tool, json_t *tools))
{
    const json_t *list = NULL, *value;
    size_t index;
    json_t *tools = json_array();
    request->tools = tools;
    if (generation_keep(request, tools) == NULL) return field_fail_memory(f);
    if (!field_array(f, "tools", GENERATION_MAX_TOOLS, &list)) return false;
    json_array_foreach(list, index, value)
    {
        struct fields tool;
        if (!field_enter(f, "tools", (int)index, value, &tool) || !read_tool(&tool, tools)) return false;
    }
    return true;
}

bool dialogue_add_tool(json_t *tools, const char *name, const char *description, const json_t *parameters, bool strict)
{
    json_t *function = json_pack("{s:s}", "name", name);
    if (description != NULL) json_object_set_new(function, "description", json_string(description));
    if (parameters != NULL) json_object_set(function, "parameters", (json_t *)(uintptr_t)parameters);
    if (strict) json_object_set_new(function, "strict", json_true());
    return json_array_append_new(tools, json_pack("{s:s, s:o}", "type", "function", "function", function)) == 0;
}
