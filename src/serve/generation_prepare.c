// From a request to what the scheduler takes: the prompt's tokens, constraints, and a part for each answer.
#include "serve/generation_parts.h"
#include "serve/tool_constraint.h"
#include "serve/tool_prompt.h"

#include <stdlib.h>
#include <string.h>

static bool fail_memory(struct generation *g)
{
    return api_error_from_status(&g->error, TERN_NO_MEMORY, NULL);
}

// Messages of the engine may begin with the file's path, which is nobody's business.
static bool tell_without_path(const struct served_model *model, const char *message, const char *param,
                              struct api_error *error)
{
    const char *path = model->model->file->path;
    size_t length = strlen(path);
    bool has_path = strncmp(message, path, length) == 0;
    return api_error_invalid(error, param, NULL, "%s%s", has_path ? "the model" : "",
                             message + (has_path ? length : 0));
}

static bool tell_failure(const struct served_model *model, tern_status status, const char *param,
                         struct api_error *error)
{
    // A template that raises an exception speaks of the conversation, not of its file.
    bool is_about_text = status == TERN_BAD_FILE || status == TERN_UNSUPPORTED || status == TERN_LIMIT;
    if (!is_about_text) return api_error_from_status(error, status, param);
    return tell_without_path(model, status_message(), param, error);
}

static bool fail(struct generation *g, tern_status status, const char *param)
{
    return tell_failure(g->model, status, param, &g->error);
}

// ---- The text -------------------------------------------------------------------------------------------------------

static bool is_thinking_refused(const struct generation_request *request)
{
    const char *effort = request->reasoning_effort;
    return request->thinking_budget == 0 || (effort != NULL && strcmp(effort, "none") == 0);
}

static bool is_thinking_wanted(const struct generation_request *request)
{
    if (is_thinking_refused(request)) return false;
    return request->reasoning_effort != NULL || request->thinking_budget > 0 ||
           json_is_true(json_object_get(request->template_variables, "enable_thinking"));
}

// The request's own variables go before those that follow from reasoning_effort. The caller's; NULL without memory.
static char *make_variables(const struct generation_request *request)
{
    json_t *all = json_object();
    if (is_thinking_refused(request))
        json_object_set_new(all, "enable_thinking", json_false());
    else if (is_thinking_wanted(request))
        json_object_set_new(all, "enable_thinking", json_true());
    if (request->reasoning_effort != NULL)
        json_object_set_new(all, "reasoning_effort", json_string(request->reasoning_effort));
    if (request->template_variables != NULL) json_object_update(all, (json_t *)(uintptr_t)request->template_variables);
    char *text = all != NULL ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    return text;
}

// What the assistant has begun to say, behind the prompt that asks for it.
static tern_status append_begun(char **text, const char *begun)
{
    struct buffer whole = {0};
    tern_status status = buffer_append_string(&whole, *text);
    if (status == TERN_OK) status = buffer_append_string(&whole, begun);
    if (status == TERN_OK) {
        tern_free(*text);
        *text = buffer_take(&whole);
    }
    buffer_free(&whole);
    return *text != NULL ? status : status_fail(TERN_NO_MEMORY, "no memory for a prompt");
}

static tern_status render_messages(const struct served_model *model, const struct generation_request *request,
                                   const struct tool_prompt *prompt, char **text)
{
    size_t n = prompt->n_messages;
    const char *begun = request->continue_last && n > 0 ? prompt->messages[n - 1].content : NULL;
    char *variables = make_variables(request);
    if (variables == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a prompt");
    const tern_chat_options options = {.tools = prompt->tools, .variables = variables};
    tern_status status = tern_chat_render(model->model, prompt->messages, begun != NULL ? n - 1 : n, &options, text);
    free(variables);
    if (status == TERN_OK && begun != NULL) status = append_begun(text, begun);
    return status;
}

static tern_status render_conversation(const struct served_model *model, const struct generation_request *request,
                                       char **text)
{
    struct tool_prompt prompt;
    *text = NULL;
    tern_status status = tool_prompt_open(&model->style, request, &prompt);
    if (status == TERN_OK) status = render_messages(model, request, &prompt, text);
    tool_prompt_close(&prompt);
    return status;
}

bool generation_render(const struct served_model *model, const struct generation_request *request, char **text,
                       struct api_error *error)
{
    tern_status status = render_conversation(model, request, text);
    return status == TERN_OK || tell_failure(model, status, request->messages_param, error);
}

// ---- Thinking -------------------------------------------------------------------------------------------------------

static bool ends_with(const char *text, const char *mark)
{
    size_t length = strlen(text), n = strlen(mark);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    return length >= n && memcmp(text + length - n, mark, n) == 0;
}

// What ends thinking that took too long.
static tern_status open_budget(struct generation *g)
{
    struct buffer text = {0};
    if (g->request.thinking_budget < 0 || g->style.think_close == NULL) return TERN_OK;
    TRY(buffer_append_format(&text, "\n%s\n\n", g->style.think_close));
    g->close_text = buffer_take(&text);
    if (g->close_text == NULL) return status_fail(TERN_NO_MEMORY, "no memory for a prompt");
    return tern_tokenize(g->model->model, g->close_text, strlen(g->close_text), TERN_TOKENIZE_SPECIAL, &g->close_tokens,
                         &g->n_close);
}

// Finds out where the answer begins; a prompt that opens thinking when none is wanted is made to close it.
static tern_status look_at_thinking(struct generation *g, char **text)
{
    reply_style_read_prompt(&g->style, *text, strlen(*text));
    TRY(open_budget(g));
    if (!g->style.think_opened || !is_thinking_refused(&g->request)) return TERN_OK;
    struct buffer close = {0};
    TRY(buffer_append_format(&close, "\n%s\n\n", g->style.think_close));
    tern_status status = append_begun(text, close.data);
    buffer_free(&close);
    g->style.think_opened = false;
    return status;
}

// ---- Tokens ---------------------------------------------------------------------------------------------------------

// Programs over many servers know an error of this kind by its words alone: these are Anthropic's and OpenAI's.
static bool fail_length(struct generation *g, const char *param, size_t count, const char *unit)
{
    return api_error_invalid(&g->error, param, "context_length_exceeded",
                             "%s: prompt is too long: %zu %s, and this model's maximum context length is %d tokens, "
                             "answer included",
                             param, count, unit, (int)g->model->context);
}

static bool add_prompt(struct generation *g, tern_token *tokens, size_t count, const char *param)
{
    g->prompts[g->n_prompts++] = (struct prompt){tokens, count};
    if (count == 0) return api_error_invalid(&g->error, param, NULL, "%s: the prompt is empty", param);
    if (count < (size_t)g->model->context || g->request.count_only) return true;
    return fail_length(g, param, count, "tokens");
}

static bool tokenize(struct generation *g, const char *text, size_t length, unsigned flags, const char *param)
{
    tern_token *tokens = NULL;
    size_t count = 0;
    if (length > g->model->max_text) return fail_length(g, param, length, "bytes");
    tern_status status = tern_tokenize(g->model->model, text, length, flags, &tokens, &count);
    if (status != TERN_OK) return fail(g, status, param);
    return add_prompt(g, tokens, count, param);
}

static bool prepare_conversation(struct generation *g, bool *ends_thinking)
{
    char *text;
    const char *param = g->request.messages_param;
    tern_status status = render_conversation(g->model, &g->request, &text);
    if (status == TERN_OK) status = look_at_thinking(g, &text);
    bool fine = status == TERN_OK || fail(g, status, param);
    *ends_thinking = fine && g->style.think_close != NULL && ends_with(text, g->style.think_close);
    if (fine) fine = tokenize(g, text, strlen(text), TERN_TOKENIZE_SPECIAL, param);
    tern_free(text);
    return fine;
}

static bool prepare_prompts(struct generation *g)
{
    for (size_t i = 0; i < g->request.n_prompts; i++) {
        struct generation_prompt *prompt = &g->request.prompts[i];
        if (prompt->tokens == NULL) {
            const unsigned flags = TERN_TOKENIZE_SPECIAL | TERN_TOKENIZE_BOS;
            if (!tokenize(g, prompt->text, strlen(prompt->text), flags, "prompt")) return false;
            continue;
        }
        if (!add_prompt(g, prompt->tokens, prompt->n_tokens, "prompt")) return false;
        prompt->tokens = NULL;
    }
    return true;
}

// ---- Constraints ----------------------------------------------------------------------------------------------------

// think_close: the answer begins with thinking; think_open besides: that has to be opened first.
static tern_status open_format(const struct generation *g, const char *think_open, const char *think_close,
                               struct constraint **out)
{
    const struct generation_request *request = &g->request;
    const struct constraint_vocabulary *vocabulary = g->model->vocabulary;
    const struct constraint_options options = {
        .triggers = &think_close,
        .n_triggers = think_close != NULL,
        .must_trigger = think_close != NULL,
        .prefix = think_open,
    };
    size_t length = request->format_text != NULL ? strlen(request->format_text) : 0;
    *out = NULL;
    switch (request->format) {
    case FORMAT_JSON_OBJECT:
        return constraint_open_json(vocabulary, &options, out);
    case FORMAT_JSON_SCHEMA:
        return constraint_open_schema(vocabulary, request->format_text, length, &options, out);
    case FORMAT_GRAMMAR:
        return constraint_open_grammar(vocabulary, request->format_text, length, &options, out);
    default:
        return TERN_OK;
    }
}

static bool uses_tools(const struct generation_request *request)
{
    return json_array_size(request->tools) > 0 && request->tool_choice != TOOL_CHOICE_NONE;
}

static tern_status open_one(struct generation *g, const char *think_open, const char *think_close,
                            struct constraint **out)
{
    if (!uses_tools(&g->request)) return open_format(g, think_open, think_close, out);
    return tool_constraint_open(g->model->vocabulary, &g->style, &g->request, think_close, out);
}

// A model that thinks does so before what is constrained: if its prompt opened thinking, or if the request asks for it.
static bool open_constraints(struct generation *g, bool ends_thinking)
{
    const char *open = NULL, *close = g->style.think_opened ? g->style.think_close : NULL;
    if (close == NULL && !ends_thinking && g->style.think_open != NULL && is_thinking_wanted(&g->request)) {
        open = g->style.think_open;
        close = g->style.think_close;
    }
    tern_status status = open_one(g, open, close, &g->constraint);
    if (status == TERN_OK && g->constraint != NULL && close != NULL && g->close_text != NULL)
        status = open_one(g, NULL, NULL, &g->after_thinking);
    return status == TERN_OK || fail(g, status, uses_tools(&g->request) ? "tools" : g->request.format_param);
}

// ---- Parts ----------------------------------------------------------------------------------------------------------

static bool open_parts(struct generation *g)
{
    size_t n = (size_t)g->request.n;
    if (g->n_prompts * n > (size_t)g->model->places)
        return api_error_invalid(&g->error, "n", NULL, "n: %zu answers, and at most %d may be in progress or wait",
                                 g->n_prompts * n, (int)g->model->places);
    g->parts = calloc(g->n_prompts * n, sizeof *g->parts);
    if (g->parts == NULL) return fail_memory(g);
    for (size_t i = 0; i < g->n_prompts * n; i++) {
        struct part *part = &g->parts[g->n_parts++];
        part->generation = g;
        part->prompt = i / n;
        part->choice.index = (int)i;
        tern_status status = answer_part_open(part);
        if (status != TERN_OK) return fail(g, status, "stop");
    }
    return true;
}

bool generation_prepare(struct generation *g)
{
    bool is_conversation = g->request.prompts == NULL, ends_thinking = false;
    size_t n_prompts = is_conversation ? 1 : g->request.n_prompts;
    g->style = g->model->style;
    g->prompts = calloc(n_prompts, sizeof *g->prompts);
    if (g->prompts == NULL) return fail_memory(g);
    bool fine = is_conversation ? prepare_conversation(g, &ends_thinking) : prepare_prompts(g);
    return fine && open_constraints(g, ends_thinking) && open_parts(g);
}
