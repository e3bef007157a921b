#include "serve/tool_prompt.h"

#include <stdlib.h>
#include <string.h>

#include "serve/json_memory.h"
#include "serve/tool_schema.h"

enum { SHORT_ID = 9 };

static tern_status no_memory(void)
{
    return status_fail(TERN_NO_MEMORY, "no memory for a conversation with tools");
}

// Takes the bytes of `text` as a string that lives as long as the prompt.
static tern_status keep(struct tool_prompt *prompt, struct buffer *text, const char **out)
{
    json_t *string = json_stringn_nocheck(text->length > 0 ? text->data : "", text->length);
    buffer_free(text);
    if (json_array_append_new(prompt->kept, string) != 0) return no_memory();
    *out = json_string_value(string);
    return TERN_OK;
}

static json_t *read_json(const char *text)
{
    return json_memory_read(text, strlen(text), 0, NULL);
}

static tern_status append_json(struct buffer *out, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    if (text == NULL) return no_memory();
    tern_status status = buffer_append_string(out, text);
    free(text);
    return status;
}

static tern_status keep_json(struct tool_prompt *prompt, const json_t *value, const char **out)
{
    struct buffer text = {0};
    tern_status status = append_json(&text, value);
    if (status == TERN_OK) return keep(prompt, &text, out);
    buffer_free(&text);
    return status;
}

// ---- Templates that know tools ------------------------------------------------------------------------------------

// The arguments as an object where they are the text of one: templates write them as JSON themselves.
static void parse_arguments(json_t *call)
{
    json_t *function = json_object_get(call, "function");
    const char *text = json_string_value(json_object_get(function, "arguments"));
    json_t *arguments = text == NULL ? NULL : read_json(text);
    if (json_is_object(arguments))
        json_object_set_new(function, "arguments", arguments);
    else
        json_decref(arguments);
}

// Mistral's ids: the last 9 letters and digits of one, with zeros before if there are fewer. out: [10]
static void shorten_id(const char *id, char *out)
{
    int left = SHORT_ID;
    memset(out, '0', SHORT_ID);
    out[SHORT_ID] = '\0';
    for (size_t i = strlen(id); i > 0 && left > 0; i--) {
        bool fits = (id[i - 1] >= '0' && id[i - 1] <= '9') || (id[i - 1] >= 'a' && id[i - 1] <= 'z') ||
                    (id[i - 1] >= 'A' && id[i - 1] <= 'Z');
        if (fits) out[--left] = id[i - 1];
    }
}

static void shorten_call_id(json_t *call)
{
    char id[SHORT_ID + 1];
    const char *given = json_string_value(json_object_get(call, "id"));
    shorten_id(given == NULL ? "" : given, id);
    json_object_set_new(call, "id", json_string(id));
}

static tern_status give_calls(struct tool_prompt *prompt, bool short_ids, tern_message *message)
{
    size_t index;
    json_t *call, *calls = read_json(message->tool_calls);
    json_array_foreach(calls, index, call)
    {
        parse_arguments(call);
        if (short_ids) shorten_call_id(call);
    }
    if (message->content == NULL) message->content = ""; // many templates search it
    tern_status status = keep_json(prompt, calls, &message->tool_calls);
    json_decref(calls);
    return status;
}

static tern_status give_id(struct tool_prompt *prompt, tern_message *message)
{
    char id[SHORT_ID + 1];
    struct buffer text = {0};
    shorten_id(message->tool_call_id, id);
    TRY(buffer_append_string(&text, id));
    return keep(prompt, &text, &message->tool_call_id);
}

static tern_status write_for_tools(struct tool_prompt *prompt, bool short_ids)
{
    for (size_t i = 0; i < prompt->n_messages; i++) {
        tern_message *message = &prompt->messages[i];
        if (message->tool_calls != NULL) TRY(give_calls(prompt, short_ids, message));
        if (message->tool_call_id != NULL && short_ids) TRY(give_id(prompt, message));
    }
    return TERN_OK;
}

// ---- Templates that do not ----------------------------------------------------------------------------------------

static const char before_tools[] =
    "You may call functions to help with the user's request. These are the functions, as JSON:\n<tools>\n";
static const char after_tools[] =
    "</tools>\n\nTo call a function, write a JSON object with its name and its arguments between <tool_call> and "
    "</tool_call>:\n<tool_call>\n{\"name\": NAME, \"arguments\": {...}}\n</tool_call>";

static tern_status append_tools(struct buffer *out, const json_t *tools)
{
    size_t index;
    json_t *tool;
    TRY(buffer_append_string(out, before_tools));
    json_array_foreach(tools, index, tool)
    {
        TRY(append_json(out, tool_function(tool)));
        TRY(buffer_append_string(out, "\n"));
    }
    return buffer_append_string(out, after_tools);
}

// The conversation's system message, made if there is none.
static tern_message *system_message(struct tool_prompt *prompt)
{
    if (prompt->n_messages > 0 && strcmp(prompt->messages[0].role, "system") == 0) return prompt->messages;
    memmove(prompt->messages + 1, prompt->messages, prompt->n_messages * sizeof *prompt->messages);
    prompt->n_messages++;
    prompt->messages[0] = (tern_message){.role = "system"};
    return prompt->messages;
}

static tern_status tell_of_tools(struct tool_prompt *prompt, const json_t *tools)
{
    tern_message *message = system_message(prompt);
    struct buffer text = {0};
    tern_status status = TERN_OK;
    if (message->content != NULL && message->content[0] != '\0')
        status = buffer_append_format(&text, "%s\n\n", message->content);
    if (status == TERN_OK) status = append_tools(&text, tools);
    if (status == TERN_OK) return keep(prompt, &text, &message->content);
    buffer_free(&text);
    return status;
}

static tern_status append_call(struct buffer *out, const json_t *call)
{
    const char *arguments = json_string_value(json_object_get(tool_function(call), "arguments"));
    json_t *name = json_string(tool_name(call));
    tern_status status =
        buffer_append_string(out, out->length > 0 ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
    if (status == TERN_OK) status = append_json(out, name);
    json_decref(name);
    if (status != TERN_OK) return status;
    return buffer_append_format(out, ", \"arguments\": %s}\n</tool_call>", arguments == NULL ? "{}" : arguments);
}

static tern_status append_calls(struct buffer *out, const json_t *calls)
{
    size_t index;
    json_t *call;
    json_array_foreach(calls, index, call)
    {
        TRY(append_call(out, call));
    }
    return TERN_OK;
}

static tern_status write_calls(struct tool_prompt *prompt, tern_message *message)
{
    struct buffer text = {0};
    json_t *calls = read_json(message->tool_calls);
    tern_status status = message->content == NULL ? TERN_OK : buffer_append_string(&text, message->content);
    if (status == TERN_OK) status = append_calls(&text, calls);
    json_decref(calls);
    message->tool_calls = NULL;
    if (status == TERN_OK) return keep(prompt, &text, &message->content);
    buffer_free(&text);
    return status;
}

// Results that follow each other are one message: many templates want user and assistant to take turns. Returns how
// many messages were taken.
static size_t append_results(struct buffer *out, const tern_message *messages, size_t n_messages, tern_status *status)
{
    size_t taken = 0;
    while (*status == TERN_OK && taken < n_messages && strcmp(messages[taken].role, "tool") == 0) {
        const char *content = messages[taken].content == NULL ? "" : messages[taken].content;
        *status = buffer_append_format(out, "%s<tool_response>\n%s\n</tool_response>", taken > 0 ? "\n" : "", content);
        taken++;
    }
    return taken;
}

static tern_status write_results(struct tool_prompt *prompt, size_t from, tern_message *out, size_t *taken)
{
    struct buffer text = {0};
    tern_status status = TERN_OK;
    *taken = append_results(&text, prompt->messages + from, prompt->n_messages - from, &status);
    *out = (tern_message){.role = "user"};
    if (status == TERN_OK) return keep(prompt, &text, &out->content);
    buffer_free(&text);
    return status;
}

static tern_status write_as_text(struct tool_prompt *prompt, const json_t *tools)
{
    if (json_array_size(tools) > 0) TRY(tell_of_tools(prompt, tools));
    size_t n_written = 0;
    for (size_t i = 0, taken; i < prompt->n_messages; i += taken) {
        tern_message message = prompt->messages[i];
        taken = 1;
        if (message.tool_calls != NULL) TRY(write_calls(prompt, &message));
        if (strcmp(message.role, "tool") == 0) TRY(write_results(prompt, i, &message, &taken));
        prompt->messages[n_written++] = message;
    }
    prompt->n_messages = n_written;
    return TERN_OK;
}

// -------------------------------------------------------------------------------------------------------------------

tern_status tool_prompt_open(const struct reply_style *style, const struct generation_request *request,
                             struct tool_prompt *out)
{
    size_t n = request->n_messages;
    const json_t *tools = request->tool_choice == TOOL_CHOICE_NONE ? NULL : request->tools;
    *out =
        (struct tool_prompt){.messages = calloc(n + 1, sizeof *out->messages), .n_messages = n, .kept = json_array()};
    if (out->messages == NULL || out->kept == NULL) return no_memory();
    if (n > 0) memcpy(out->messages, request->messages, n * sizeof *out->messages);
    if (!style->shows_tools) return write_as_text(out, tools);
    TRY(write_for_tools(out, style->short_ids));
    return json_array_size(tools) == 0 ? TERN_OK : keep_json(out, tools, &out->tools);
}

void tool_prompt_close(struct tool_prompt *prompt)
{
    free(prompt->messages);
    json_decref(prompt->kept);
    *prompt = (struct tool_prompt){0};
}
