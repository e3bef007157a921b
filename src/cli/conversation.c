#include "cli/conversation.h"

#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

void conversation_begin(struct conversation *chat, tern_model *model, tern_session *session, int thinking)
{
    *chat = (struct conversation){.model = model, .session = session, .thinking = thinking};
}

void conversation_clear(struct conversation *chat)
{
    while (chat->n_messages > 0)
        conversation_drop_last(chat);
    chat->first = 0;
}

void conversation_end(struct conversation *chat)
{
    conversation_clear(chat);
    free(chat->messages);
    free(chat->system);
}

// ---- Messages -----------------------------------------------------------------------------------------------------

// A copy in which broken bytes are U+FFFD: templates and JSON want valid UTF-8.
static tern_status copy_valid(const char *text, char **out)
{
    struct utf8_stream stream = {0};
    struct buffer copy = {0};
    tern_status status = utf8_stream_push(&stream, text, strlen(text), &copy);
    if (status == TERN_OK) status = utf8_stream_finish(&stream, &copy);
    *out = status == TERN_OK ? buffer_take(&copy) : NULL;
    buffer_free(&copy);
    if (status == TERN_OK && *out == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a message");
    return status;
}

tern_status conversation_set_system(struct conversation *chat, const char *text)
{
    char *copy = NULL;
    if (text != NULL && text[0] != '\0') TRY(copy_valid(text, &copy));
    free(chat->system);
    chat->system = copy;
    return TERN_OK;
}

// Takes over content and reasoning, on errors too.
static tern_status add_message(struct conversation *chat, const char *role, char *content, char *reasoning)
{
    if (chat->n_messages == chat->capacity) {
        size_t capacity = chat->capacity == 0 ? 16 : chat->capacity * 2;
        struct message *messages = realloc(chat->messages, capacity * sizeof *messages);
        if (messages == NULL) {
            free(content);
            free(reasoning);
            return status_fail(TERN_NO_MEMORY, "no memory for %zu messages", capacity);
        }
        chat->messages = messages;
        chat->capacity = capacity;
    }
    chat->messages[chat->n_messages++] = (struct message){role, content, reasoning};
    return TERN_OK;
}

tern_status conversation_add_user(struct conversation *chat, const char *text)
{
    char *content;
    if (chat->n_messages >= CONVERSATION_MAX_MESSAGES)
        return status_fail(TERN_LIMIT, "the conversation has %d messages, no more are taken",
                           CONVERSATION_MAX_MESSAGES);
    TRY(copy_valid(text, &content));
    return add_message(chat, "user", content, NULL);
}

void conversation_drop_last(struct conversation *chat)
{
    if (chat->n_messages == 0) return;
    struct message *last = &chat->messages[--chat->n_messages];
    free(last->content);
    free(last->reasoning);
}

// ---- Prompt -------------------------------------------------------------------------------------------------------

struct prompt {
    tern_token *tokens;
    size_t count;
    bool thinking; // it ends inside an opened thinking block
};

static bool opens_thinking(const char *text)
{
    static const char tag[] = "<think>";
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    return length >= strlen(tag) && memcmp(text + length - strlen(tag), tag, strlen(tag)) == 0;
}

static tern_status render(const struct conversation *chat, char **text)
{
    static const char *const variables[] = {"{\"enable_thinking\": false}", "{\"enable_thinking\": true}"};
    size_t count = 0;
    tern_message *list = calloc(chat->n_messages + 1, sizeof *list);
    if (list == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %zu messages", chat->n_messages);
    if (chat->system != NULL) list[count++] = (tern_message){.role = "system", .content = chat->system};
    for (size_t i = chat->first; i < chat->n_messages; i++) {
        const struct message *m = &chat->messages[i];
        list[count++] = (tern_message){.role = m->role, .content = m->content, .reasoning = m->reasoning};
    }
    tern_chat_options options = {.variables = chat->thinking < 0 ? NULL : variables[chat->thinking != 0]};
    tern_status status = tern_chat_render(chat->model, list, count, &options, text);
    free(list);
    return status;
}

// The template has put the start token where it belongs, so the tokenizer adds none.
static tern_status make_prompt(const struct conversation *chat, struct prompt *prompt)
{
    char *text;
    TRY(render(chat, &text));
    prompt->thinking = opens_thinking(text);
    tern_status status =
        tern_tokenize(chat->model, text, strlen(text), TERN_TOKENIZE_SPECIAL, &prompt->tokens, &prompt->count);
    tern_free(text);
    if (status == TERN_OK && prompt->count == 0)
        status = status_fail(TERN_BAD_FILE, "the chat template gave an empty prompt");
    return status;
}

// Tokens to leave free for the answer: an eighth of the context, 512 at most, no more than are wanted.
static size_t answer_room(const struct conversation *chat, int32_t max_tokens)
{
    int32_t room = tern_session_context(chat->session) / 8;
    if (room > 512) room = 512;
    if (max_tokens >= 0 && max_tokens < room) room = max_tokens;
    return room > 0 ? (size_t)room : 1;
}

// Leaves out a question and its answer; false if only the last question is left.
static bool drop_oldest_turn(struct conversation *chat)
{
    size_t next = chat->first + 1;
    while (next < chat->n_messages && strcmp(chat->messages[next].role, "user") != 0)
        next++;
    if (next >= chat->n_messages) return false;
    chat->first = next;
    return true;
}

static tern_status make_fitting_prompt(struct conversation *chat, int32_t max_tokens, struct prompt *prompt)
{
    size_t context = (size_t)tern_session_context(chat->session), room = answer_room(chat, max_tokens);
    for (;;) {
        TRY(make_prompt(chat, prompt));
        if (prompt->count + room <= context) return TERN_OK;
        if (!drop_oldest_turn(chat)) break;
        tern_free(prompt->tokens);
    }
    if (prompt->count < context) return TERN_OK; // a short answer is better than none
    tern_status status =
        status_fail(TERN_LIMIT, "the prompt has %zu tokens, the context holds %zu: shorten it%s", prompt->count,
                    context, (int32_t)context < tern_model_context(chat->model) ? " or raise -c" : "");
    tern_free(prompt->tokens);
    return status;
}

// ---- Answer -------------------------------------------------------------------------------------------------------

// Cuts the session to the tokens that it shares with the prompt, all but the prompt's last: that one must be fed to get
// logits. Returns how many.
static tern_status reuse_tokens(tern_session *session, const struct prompt *prompt, size_t *shared)
{
    const tern_token *held = tern_session_tokens(session);
    size_t length = tern_session_length(session), n = 0;
    while (n < length && n + 1 < prompt->count && held[n] == prompt->tokens[n])
        n++;
    *shared = n;
    return tern_session_truncate(session, n);
}

static tern_status add_answer(struct conversation *chat, const struct answer *answer, bool thinking)
{
    char *reasoning, *content;
    if (answer->text.length == 0) return TERN_OK;
    TRY(answer_split(answer, thinking, &reasoning, &content));
    return add_message(chat, "assistant", content, reasoning);
}

tern_status conversation_answer(struct conversation *chat, const tern_generation *generation, FILE *stream,
                                struct answer *answer, tern_result *result)
{
    struct prompt prompt = {0};
    size_t shared;
    *answer = (struct answer){0};
    *result = (tern_result){0};
    TRY(make_fitting_prompt(chat, generation->max_tokens, &prompt));
    tern_status status = reuse_tokens(chat->session, &prompt, &shared);
    if (status == TERN_OK) {
        answer_begin(answer, stream, prompt.thinking);
        tern_generation g = *generation;
        g.on_text = answer_write;
        g.context = answer;
        status = tern_session_generate(chat->session, prompt.tokens + shared, prompt.count - shared, &g, result);
        status = answer_end(answer, status);
    }
    tern_free(prompt.tokens);
    if (status != TERN_OK && status != TERN_CANCELLED) return status;
    tern_status added = add_answer(chat, answer, prompt.thinking);
    return added != TERN_OK ? added : status;
}
