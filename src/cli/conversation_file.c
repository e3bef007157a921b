// Conversations in files: /save and /load.
#include "cli/conversation.h"
#include "cli/input.h"

#include "convert/output_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- Loading ------------------------------------------------------------------------------------------------------

static const char *known_role(const char *role)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    for (size_t i = 0; role != NULL && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(role, roles[i]) == 0) return roles[i];
    return NULL;
}

// Message `index` of the file goes to the end of `chat`.
static tern_status add_from_json(struct conversation *chat, const char *path, size_t index, const json_t *object)
{
    const char *role = known_role(json_string_value(json_object_get(object, "role")));
    const char *content = json_string_value(json_object_get(object, "content"));
    const char *reasoning = json_string_value(json_object_get(object, "reasoning_content"));
    if (role == NULL || content == NULL)
        return status_fail(TERN_BAD_FILE,
                           "%s: message %zu: expected an object with \"content\" and a \"role\" that is \"system\", "
                           "\"user\" or \"assistant\"",
                           path, index + 1);
    if (strcmp(role, "system") == 0) {
        if (index > 0)
            return status_fail(TERN_BAD_FILE, "%s: message %zu: a system message stands first only", path, index + 1);
        return conversation_set_system(chat, content);
    }
    TRY(conversation_add_user(chat, content));
    struct message *added = &chat->messages[chat->n_messages - 1];
    added->role = role;
    added->reasoning = reasoning != NULL ? strdup(reasoning) : NULL;
    return TERN_OK;
}

static tern_status from_json(struct conversation *chat, const char *path, const json_t *list)
{
    if (!json_is_array(list)) return status_fail(TERN_BAD_FILE, "%s: expected a JSON array of messages", path);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(add_from_json(chat, path, i, json_array_get(list, i)));
    return TERN_OK;
}

static tern_status read_json(const char *path, json_t **out)
{
    struct buffer text = {0};
    json_error_t where;
    *out = NULL;
    tern_status status = input_read(path, &text);
    if (status == TERN_OK) *out = json_loadb(text.length > 0 ? text.data : "", text.length, 0, &where);
    if (status == TERN_OK && *out == NULL)
        status = status_fail(TERN_BAD_FILE, "%s:%d:%d: %s", path, where.line, where.column, where.text);
    buffer_free(&text);
    return status;
}

tern_status conversation_load(struct conversation *chat, const char *path)
{
    json_t *list;
    TRY(read_json(path, &list));
    struct conversation loaded;
    conversation_begin(&loaded, chat->model, chat->session, chat->thinking);
    tern_status status = from_json(&loaded, path, list);
    json_decref(list);
    struct conversation *unwanted = status == TERN_OK ? chat : &loaded;
    conversation_end(unwanted);
    if (status == TERN_OK) *chat = loaded;
    return status;
}

// ---- Saving -------------------------------------------------------------------------------------------------------

static json_t *message_to_json(const char *role, const char *content, const char *reasoning)
{
    json_t *object = json_pack("{s:s, s:s}", "role", role, "content", content);
    if (object != NULL && reasoning != NULL) json_object_set_new(object, "reasoning_content", json_string(reasoning));
    return object;
}

static json_t *to_json(const struct conversation *chat)
{
    json_t *list = json_array();
    if (chat->system != NULL) json_array_append_new(list, message_to_json("system", chat->system, NULL));
    for (size_t i = 0; i < chat->n_messages; i++) {
        const struct message *m = &chat->messages[i];
        json_array_append_new(list, message_to_json(m->role, m->content, m->reasoning));
    }
    return list;
}

// A slip of the keyboard shall not cost another file.
static tern_status check_replaced(const char *path)
{
    json_t *list;
    if (access(path, F_OK) != 0) return TERN_OK;
    tern_status status = read_json(path, &list);
    if (status != TERN_OK && status != TERN_BAD_FILE) return status;
    struct conversation there;
    conversation_begin(&there, NULL, NULL, -1);
    if (status == TERN_OK) status = from_json(&there, path, list);
    conversation_end(&there);
    json_decref(list);
    return status != TERN_BAD_FILE ? status
                                   : status_fail(status, "%s: is no saved conversation, so it is not replaced", path);
}

static tern_status write_file(const char *path, const char *text)
{
    struct output_file file;
    TRY(output_file_open(path, true, 0600, &file)); // conversations are private
    tern_status status = check_replaced(path);
    if (status == TERN_OK) status = output_file_write(&file, text, strlen(text));
    if (status == TERN_OK) status = output_file_write(&file, "\n", 1);
    if (status == TERN_OK) status = output_file_commit(&file);
    output_file_close(&file);
    return status;
}

tern_status conversation_save(const struct conversation *chat, const char *path)
{
    json_t *list = to_json(chat);
    char *text = list != NULL ? json_dumps(list, JSON_INDENT(2)) : NULL;
    tern_status status =
        text != NULL ? write_file(path, text) : status_fail(TERN_NO_MEMORY, "no memory to save the conversation");
    free(text);
    json_decref(list);
    return status;
}
