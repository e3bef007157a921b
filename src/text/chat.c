#include "text/chat.h"

#include <string.h>
#include <time.h>

#include "text/template_run.h"

static tern_status set_text(struct run *run, struct dict *dict, const char *key, const char *text)
{
    return dict_set_text(run, dict, key, text ? value_text(text) : value_none());
}

// JSON text of a caller, which must be of this kind.
static tern_status parse_text(struct run *run, const char *what, const char *text, enum value_kind kind,
                              struct value *out)
{
    tern_status status = json_parse(run, text, strlen(text), out);
    if (status != TERN_OK) return status_prefix(status, "%s: ", what);
    if (out->kind == kind) return TERN_OK;
    return status_fail(TERN_INVALID, "%s: a JSON %s was expected, not %s", what,
                       kind == VALUE_LIST ? "array" : "object", value_type(*out));
}

static tern_status message_value(struct run *run, const tern_message *message, struct value *out)
{
    struct value calls;
    if (!message->role) return status_fail(TERN_INVALID, "a message has no role");
    TRY(value_new_dict(run, VALUE_DICT, out));
    TRY(set_text(run, out->dict, "role", message->role));
    TRY(set_text(run, out->dict, "content", message->content));
    if (message->reasoning) TRY(set_text(run, out->dict, "reasoning_content", message->reasoning));
    if (message->tool_call_id) TRY(set_text(run, out->dict, "tool_call_id", message->tool_call_id));
    if (!message->tool_calls) return TERN_OK;
    TRY(parse_text(run, "tool_calls", message->tool_calls, VALUE_LIST, &calls));
    return dict_set_text(run, out->dict, "tool_calls", calls);
}

static tern_status messages_value(struct run *run, const tern_message *messages, size_t n_messages, struct value *out)
{
    TRY(value_new_list(run, VALUE_LIST, n_messages, out));
    for (size_t i = 0; i < n_messages; i++) {
        tern_status status = message_value(run, &messages[i], &out->list->items[i]);
        if (status != TERN_OK) return status_prefix(status, "message %zu: ", i);
    }
    return TERN_OK;
}

// The caller's own variables come last, so that they can replace any other.
static tern_status set_options(struct run *run, const tern_chat_options *options, struct dict *variables)
{
    struct value tools = value_none(), more;
    if (options->tools) TRY(parse_text(run, "tools", options->tools, VALUE_LIST, &tools));
    TRY(dict_set_text(run, variables, "tools", tools));
    TRY(dict_set_text(run, variables, "add_generation_prompt", value_boolean(!options->no_generation_prompt)));
    if (!options->variables) return TERN_OK;
    TRY(parse_text(run, "variables", options->variables, VALUE_DICT, &more));
    for (size_t i = 0; i < more.dict->count; i++)
        TRY(dict_set(run, variables, more.dict->entries[i].key, more.dict->entries[i].value));
    return TERN_OK;
}

struct chat {
    const char *bos, *eos;
    const tern_message *messages; // [n_messages]
    size_t n_messages;
    const tern_chat_options *options;
};

static tern_status render(struct run *run, const struct template *tmpl, const struct chat *chat, struct buffer *out)
{
    static const tern_chat_options no_options;
    struct value variables, messages;
    TRY(value_new_dict(run, VALUE_DICT, &variables));
    TRY(messages_value(run, chat->messages, chat->n_messages, &messages));
    TRY(dict_set_text(run, variables.dict, "messages", messages));
    TRY(dict_set_text(run, variables.dict, "documents", value_none()));
    TRY(set_text(run, variables.dict, "bos_token", chat->bos));
    TRY(set_text(run, variables.dict, "eos_token", chat->eos));
    TRY(set_options(run, chat->options ? chat->options : &no_options, variables.dict));
    return template_execute(run, tmpl, variables.dict, out);
}

tern_status chat_render(const struct template *tmpl, const char *bos, const char *eos, const tern_message *messages,
                        size_t n_messages, const tern_chat_options *options, char **text)
{
    struct chat chat = {bos, eos, messages, n_messages, options};
    struct buffer out = {0};
    struct run run;
    TRY(run_open(&run, NULL, (int64_t)time(NULL)));
    tern_status status = render(&run, tmpl, &chat, &out);
    run_close(&run);
    if (status == TERN_OK && !(*text = buffer_take(&out))) status = status_fail(TERN_NO_MEMORY, "no memory for a chat");
    buffer_free(&out);
    return status;
}
