// /tokenize, /detokenize and /apply-template, as llama.cpp's server has them (and the names of vLLM's fields).
#include "serve/answer.h"
#include "serve/chat_request.h"
#include "serve/json_memory.h"
#include "serve/models.h"
#include "serve/route.h"
#include "serve/server.h"

#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

// A request that wants a model and no scheduler. answer() gives the body, or NULL with an error.
struct errand {
    struct server *server;
    struct exchange *exchange; // a reference
    json_t *root;
    struct models_waiter waiter;
    json_t *(*answer)(const struct fields *fields, struct server *server, const struct served_model *model);
};

static void run_errand(struct models_waiter *waiter, struct served_model *model, const struct api_error *error)
{
    struct errand *errand = (struct errand *)((char *)waiter - offsetof(struct errand, waiter));
    struct api_error failure = {0};
    const struct fields fields = {.object = errand->root, .error = &failure};
    json_t *body = model != NULL ? errand->answer(&fields, errand->server, model) : NULL;
    if (json_memory_lost()) api_error_from_status(&failure, TERN_NO_MEMORY, NULL); // whatever it says besides
    if (body != NULL) {
        exchange_answer_json(errand->exchange, 200, body);
    } else {
        if (model != NULL && failure.status == 0) api_error_from_status(&failure, TERN_NO_MEMORY, NULL);
        exchange_fail(errand->exchange, model != NULL ? &failure : error);
    }
    if (model != NULL) models_release(errand->server->models, model);
    exchange_on_gone(errand->exchange, NULL, NULL);
    json_decref(errand->root);
    exchange_release(errand->exchange);
    free(errand);
}

static void leave(void *context)
{
    struct errand *errand = context;
    models_leave(errand->server->models, &errand->waiter);
}

static void start_errand(struct server *server, struct exchange *exchange,
                         json_t *(*answer)(const struct fields *, struct server *, const struct served_model *))
{
    struct api_error error;
    json_t *root = NULL;
    struct errand *errand = calloc(1, sizeof *errand);
    bool fine = errand != NULL || api_error_from_status(&error, TERN_NO_MEMORY, NULL);
    fine = fine && exchange_take_json(exchange, &root, &error);
    const struct fields fields = {.object = root, .error = &error};
    const char *model = NULL;
    if (!fine || !field_text(&fields, "model", &model)) {
        exchange_fail(exchange, &error);
        json_decref(root);
        free(errand);
        return;
    }
    *errand = (struct errand){.server = server, .exchange = exchange_hold(exchange), .root = root, .answer = answer};
    errand->waiter.name = model;
    errand->waiter.ready = run_errand;
    exchange_on_gone(exchange, leave, errand);
    models_wait(server->models, &errand->waiter);
}

// ---- Tokens ---------------------------------------------------------------------------------------------------------

static json_t *piece(const struct served_model *model, tern_token token)
{
    size_t length = 0;
    const char *bytes = tern_token_text(model->model, token, &length);
    if (bytes == NULL) length = 0;
    if (utf8_valid(bytes != NULL ? bytes : "", length)) return json_stringn(bytes != NULL ? bytes : "", length);
    json_t *list = json_array(); // part of a character
    for (size_t i = 0; i < length; i++)
        json_array_append_new(list, json_integer((unsigned char)bytes[i]));
    return list;
}

static json_t *list_tokens(const struct served_model *model, const tern_token *tokens, size_t count, bool pieces)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *id = json_integer(tokens[i]);
        json_array_append_new(list, pieces ? json_pack("{s:o, s:o}", "id", id, "piece", piece(model, tokens[i])) : id);
    }
    return json_pack("{s:o, s:I, s:i}", "tokens", list, "count", (json_int_t)count, "max_model_len",
                     (int)model->context);
}

static bool make_tokens(const struct fields *f, const struct served_model *model, tern_token **tokens, size_t *count)
{
    const char *text = NULL;
    bool bos = false, special = true;
    if (!field_text(f, "prompt", &text) || !field_text(f, "content", &text) || !field_bool(f, "add_special", &bos) ||
        !field_bool(f, "parse_special", &special))
        return false;
    if (text == NULL) return field_fail(f, "content", "it is missing");
    if (strlen(text) > model->max_text)
        return field_fail(f, "content", "%zu bytes cannot fit the context of %d tokens", strlen(text),
                          (int)model->context);
    const unsigned flags = (bos ? TERN_TOKENIZE_BOS : 0u) | (special ? TERN_TOKENIZE_SPECIAL : 0u);
    tern_status status = tern_tokenize(model->model, text, strlen(text), flags, tokens, count);
    return status == TERN_OK || api_error_from_status(f->error, status, "content");
}

static json_t *tokenize(const struct fields *f, struct server *server, const struct served_model *model)
{
    (void)server;
    bool pieces = false;
    tern_token *tokens = NULL;
    size_t count = 0;
    if (!field_bool(f, "with_pieces", &pieces) || !make_tokens(f, model, &tokens, &count)) return NULL;
    const size_t most = pieces ? FIELD_MAX_CONTAINERS : FIELD_MAX_VALUES; // what a request may bring, an answer may
    json_t *body = NULL;
    if (count > most)
        field_fail(f, "content", "%zu tokens, at most %zu are told", count, most);
    else
        body = list_tokens(model, tokens, count, pieces);
    tern_free(tokens);
    return body;
}

static bool append_token(const struct fields *f, const struct served_model *model, const json_t *item,
                         struct buffer *bytes)
{
    json_int_t id = json_integer_value(item);
    size_t length = 0;
    if (!json_is_integer(item) || id < 0 || id >= tern_model_vocabulary(model->model))
        return field_fail(f, "tokens", "expected an array of token ids from 0 to %d",
                          (int)tern_model_vocabulary(model->model) - 1);
    const char *text = tern_token_text(model->model, (tern_token)id, &length);
    if (text == NULL) return true;
    if (bytes->length + length > model->max_text)
        return field_fail(f, "tokens", "more than %zu bytes of text, which the context of %d tokens cannot hold",
                          model->max_text, (int)model->context);
    return buffer_append(bytes, text, length) == TERN_OK || field_fail_memory(f);
}

static json_t *detokenize(const struct fields *f, struct server *server, const struct served_model *model)
{
    (void)server;
    const json_t *tokens = NULL, *item;
    struct buffer bytes = {0};
    size_t index;
    if (!field_array(f, "tokens", SIZE_MAX, &tokens)) return NULL;
    if (tokens == NULL) {
        field_fail(f, "tokens", "it is missing");
        return NULL;
    }
    bool fine = true;
    json_array_foreach(tokens, index, item)
    {
        fine = fine && append_token(f, model, item, &bytes);
    }
    json_t *body = NULL;
    if (fine) {
        json_t *text = json_text(bytes.length > 0 ? bytes.data : "", bytes.length);
        body = json_pack("{s:O, s:o}", "content", text, "prompt", text);
    }
    buffer_free(&bytes);
    return body;
}

void tokenize_handle(struct server *server, struct exchange *exchange)
{
    start_errand(server, exchange, tokenize);
}

void detokenize_handle(struct server *server, struct exchange *exchange)
{
    start_errand(server, exchange, detokenize);
}

// ---- Templates ------------------------------------------------------------------------------------------------------

static json_t *apply_template(const struct fields *f, struct server *server, const struct served_model *model)
{
    struct generation_request request;
    struct chat_options options = {0};
    char *text = NULL;
    json_t *body = NULL;
    generation_request_init(server, &request, NULL);
    if (chat_request_read(f, &request, &options) && generation_render(model, &request, &text, f->error))
        body = json_pack("{s:s}", "prompt", text);
    tern_free(text);
    generation_request_free(&request);
    return body;
}

void template_handle(struct server *server, struct exchange *exchange)
{
    start_errand(server, exchange, apply_template);
}
