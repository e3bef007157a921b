// /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings
#include "serve/answer.h"
#include "serve/field.h"
#include "serve/json_memory.h"
#include "serve/models.h"
#include "serve/route.h"
#include "serve/server.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_INPUTS = 2048, // as many as clients of OpenAI's send
    MAX_RUNNING = 8,   // of a request's texts at once: more would fill the queue, which others want too
    ROWS_A_TURN = 32,  // written by the writer, for whom the streams of others wait
};

// One text and the row that it becomes.
struct input {
    struct embedding *embedding;
    tern_token *tokens; // owned
    size_t n_tokens;
    float *row; // [width]
    uint64_t id;
    struct scheduler_result result;
    char message[256];
};

// A request on its way: a worker reads it; then it is the writer's, but for what the scheduler's thread counts.
struct embedding {
    struct server *server;
    struct exchange *exchange; // a reference
    json_t *root;
    struct models_waiter waiter;
    struct served_model *model;
    enum scheduler_pooling pooling;
    bool base64, normalised;
    int dimensions;       // 0: all
    struct input *inputs; // [n_inputs]
    size_t n_inputs;
    float *rows; // [n_inputs][width]
    size_t n_submitted;
    struct buffer text;     // the answer
    size_t n_written;       // rows in it
    struct api_error error; // status 0: none

    struct work work; // the writer's turn
    pthread_mutex_t mutex;
    bool queued;
    size_t n_ended;
    atomic_bool gone;
};

// ---- The request ----------------------------------------------------------------------------------------------------

static bool read_options(const struct fields *f, struct embedding *e, const char **model)
{
    int format = 0, pooling = SCHEDULER_POOL_MEAN;
    const char *user = NULL;
    e->normalised = true;
    if (!field_text(f, "model", model) || !field_choice(f, "encoding_format", "float|base64", &format) ||
        !field_choice(f, "pooling", "none|mean|last|cls", &pooling) || !field_bool(f, "normalize", &e->normalised) ||
        !field_int(f, "dimensions", 1, INT32_MAX, &e->dimensions) || !field_text(f, "user", &user))
        return false;
    if (pooling == SCHEDULER_POOL_NONE) return field_fail(f, "pooling", "expected one of mean|last|cls");
    e->base64 = format == 1;
    e->pooling = (enum scheduler_pooling)pooling;
    return true;
}

static void embedding_free(struct embedding *e)
{
    for (size_t i = 0; i < e->n_inputs; i++)
        tern_free(e->inputs[i].tokens);
    free(e->inputs);
    free(e->rows);
    buffer_free(&e->text);
    json_decref(e->root);
    if (e->model != NULL) models_release(e->server->models, e->model);
    exchange_release(e->exchange);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

static bool read_input(const struct fields *f, struct embedding *e, const json_t *value)
{
    struct input *input = &e->inputs[e->n_inputs++];
    const char *text = json_string_value(value);
    input->embedding = e;
    if (text != NULL && json_string_length(value) > e->model->max_text) {
        return field_fail(f, "input", "%zu bytes cannot fit the context of %d tokens", json_string_length(value),
                          (int)e->model->context);
    }
    if (text != NULL) {
        tern_status status = tern_tokenize(e->model->model, text, json_string_length(value), TERN_TOKENIZE_BOS,
                                           &input->tokens, &input->n_tokens);
        if (status != TERN_OK) return api_error_from_status(f->error, status, "input");
    } else if (!json_is_array(value)) {
        return field_fail(f, "input", "expected a string, an array of strings, of token ids, or of arrays of them");
    } else if (!field_tokens(f, "input", value, &input->tokens, &input->n_tokens)) {
        return false;
    }
    if (input->n_tokens == 0) return field_fail(f, "input", "a text is empty");
    if (input->n_tokens < (size_t)e->model->context) return true;
    return field_fail(f, "input", "a text has %zu tokens, at most %d are taken", input->n_tokens,
                      (int)e->model->context - 1);
}

// "a text", ["some", "texts"], [1, 2, 3], [[1, 2], [3]]
static bool read_inputs(const struct fields *f, struct embedding *e)
{
    const json_t *value = json_object_get(f->object, "input");
    if (value == NULL || json_is_null(value)) return field_fail(f, "input", "it is missing");
    bool is_one = !json_is_array(value) || json_is_number(json_array_get(value, 0));
    size_t count = is_one ? 1 : json_array_size(value);
    if (count == 0) return field_fail(f, "input", "it is empty");
    if (count > MAX_INPUTS) return field_fail(f, "input", "%zu texts, at most %d are taken", count, MAX_INPUTS);
    e->inputs = calloc(count, sizeof *e->inputs);
    e->rows = calloc(count * (size_t)e->model->width, sizeof *e->rows);
    if (e->inputs == NULL || e->rows == NULL) return field_fail_memory(f);
    for (size_t i = 0; i < count; i++) {
        e->inputs[i].row = e->rows + i * (size_t)e->model->width;
        if (!read_input(f, e, is_one ? value : json_array_get(value, i))) return false;
    }
    if (e->dimensions <= e->model->width) return true;
    return field_fail(f, "dimensions", "%d, and the model has %d", e->dimensions, (int)e->model->width);
}

// ---- The answer -----------------------------------------------------------------------------------------------------

static void normalise(float *row, int width)
{
    double sum = 0;
    for (int i = 0; i < width; i++)
        sum += (double)row[i] * (double)row[i];
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (int i = 0; i < width; i++)
        row[i] = (float)((double)row[i] * scale);
}

// Base64 of the floats' bytes, lowest first (RFC 4648).
static json_t *encode_base64(const float *row, int width)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = (size_t)width * 4, n = 0;
    char *text = malloc((length + 2) / 3 * 4 + 1);
    if (text == NULL) return NULL;
    for (size_t i = 0; i < length; i += 3) {
        unsigned bits = 0;
        for (size_t k = i; k < i + 3; k++) {
            uint32_t word = 0;
            if (k < length) memcpy(&word, &row[k / 4], sizeof word);
            bits = bits << 8 | (word >> k % 4 * 8 & 0xFF);
        }
        for (size_t k = 0; k < 4; k++)
            text[n++] = i + k > length ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    json_t *value = json_stringn(text, n);
    free(text);
    return value;
}

// NULL without memory.
static json_t *row_value(const struct embedding *e, float *row)
{
    int width = e->dimensions > 0 ? e->dimensions : (int)e->model->width;
    if (e->normalised) normalise(row, width);
    if (e->base64) return encode_base64(row, width);
    json_t *list = json_array();
    for (int i = 0; i < width; i++) {
        if (json_array_append_new(list, json_real((double)row[i])) == 0) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

// Takes the reference; NULL is no memory.
static tern_status append_json(struct buffer *out, json_t *value)
{
    bool written = json_memory_write(value, out);
    json_decref(value);
    return written ? TERN_OK : TERN_NO_MEMORY;
}

// The next text's entry. Numbers as JSON values take several times the memory of their text: there are only one row's.
static tern_status append_row(struct embedding *e)
{
    const int i = (int)e->n_written;
    TRY(buffer_append_string(&e->text, i == 0 ? "{\"object\":\"list\",\"data\":[" : ","));
    TRY(append_json(&e->text, json_pack("{s:s, s:i, s:o}", "object", "embedding", "index", i, "embedding",
                                        row_value(e, e->inputs[i].row))));
    e->n_written++;
    return TERN_OK;
}

static tern_status append_end(struct embedding *e)
{
    size_t n_tokens = 0;
    for (size_t i = 0; i < e->n_inputs; i++)
        n_tokens += e->inputs[i].n_tokens;
    TRY(buffer_append_string(&e->text, "],\"model\":"));
    TRY(append_json(&e->text, json_string(e->model->name)));
    TRY(buffer_append_string(&e->text, ",\"usage\":"));
    TRY(append_json(&e->text, json_pack("{s:I, s:I}", "prompt_tokens", (json_int_t)n_tokens, "total_tokens",
                                        (json_int_t)n_tokens)));
    return buffer_append_string(&e->text, "}");
}

static void note_facts(const struct embedding *e)
{
    struct exchange_facts facts = {0};
    if (e->model == NULL) return;
    snprintf(facts.model, sizeof facts.model, "%s", e->model->name);
    for (size_t i = 0; i < e->n_inputs; i++)
        facts.prompt_tokens += (int)e->inputs[i].n_tokens;
    if (e->n_inputs > 0) facts.queue_seconds = e->inputs[0].result.queue_seconds;
    exchange_set_facts(e->exchange, &facts);
}

// What a broken model computes may be no number, and JSON has none such.
static bool is_finite(const struct embedding *e)
{
    for (size_t i = 0; i < e->n_inputs * (size_t)e->model->width; i++)
        if (!isfinite(e->rows[i])) return false;
    return true;
}

// Some more of the answer; true if that is all of it, or there is none.
static bool write_rows(struct embedding *e)
{
    size_t end = e->n_written + ROWS_A_TURN;
    tern_status status = TERN_OK;
    if (e->error.status != 0 || atomic_load(&e->gone)) return true;
    if (e->n_written == 0 && !is_finite(e)) {
        api_error_status(&e->error, 500, NULL, "the model gives no finite numbers for this");
        return true;
    }
    while (status == TERN_OK && e->n_written < e->n_inputs && e->n_written < end)
        status = append_row(e);
    if (status == TERN_OK && e->n_written < e->n_inputs) return false;
    if (status == TERN_OK) status = append_end(e);
    if (status != TERN_OK) api_error_from_status(&e->error, status, NULL);
    return true;
}

static void find_error(struct embedding *e)
{
    pthread_mutex_lock(&e->mutex);
    for (size_t i = 0; i < e->n_submitted && e->error.status == 0; i++) {
        const struct input *input = &e->inputs[i];
        if (input->result.end == SCHEDULER_END_ERROR)
            api_error_from_status(&e->error, status_fail(input->result.status, "%s", input->message), "input");
        else if (input->result.end == SCHEDULER_END_CANCELLED)
            api_error_from_status(&e->error, TERN_CANCELLED, NULL);
    }
    pthread_mutex_unlock(&e->mutex);
}

// ---- The work -------------------------------------------------------------------------------------------------------

// The writer's turn. With the mutex.
static void wake(struct embedding *e)
{
    if (e->queued) return;
    e->queued = true;
    workers_submit(e->server->writer, &e->work);
}

static void wake_again(struct embedding *e)
{
    pthread_mutex_lock(&e->mutex);
    wake(e);
    pthread_mutex_unlock(&e->mutex);
}

static void take_end(void *context, const struct scheduler_result *result)
{
    struct input *input = context;
    struct embedding *e = input->embedding;
    pthread_mutex_lock(&e->mutex);
    input->result = *result;
    snprintf(input->message, sizeof input->message, "%s", result->message);
    e->n_ended++;
    wake(e);
    pthread_mutex_unlock(&e->mutex);
}

static void note_gone(void *context)
{
    struct embedding *e = context;
    atomic_store(&e->gone, true);
    models_leave(e->server->models, &e->waiter);
    wake_again(e);
}

static tern_status submit_next(struct embedding *e)
{
    struct input *input = &e->inputs[e->n_submitted];
    const struct scheduler_request request = {
        .prompt = input->tokens,
        .n_prompt = input->n_tokens,
        .n_logprobs = -1,
        .client = exchange_request(e->exchange)->client,
        .pooling = e->pooling,
        .embedding = input->row,
        .on_end = take_end,
        .context = input,
    };
    TRY(scheduler_submit(e->model->scheduler, &request, &input->id));
    e->n_submitted++;
    return TERN_OK;
}

// Submits what may run beside the `running` ones.
static void submit_more(struct embedding *e, size_t running)
{
    tern_status status = TERN_OK;
    while (status == TERN_OK && e->n_submitted < e->n_inputs && running < MAX_RUNNING) {
        status = submit_next(e);
        running++;
    }
    bool may_wait = status == TERN_BUSY && running > 1; // the next turn comes when one of its own has ended
    if (status != TERN_OK && !may_wait) api_error_from_status(&e->error, status, "input");
}

static void cancel(struct embedding *e)
{
    for (size_t i = 0; i < e->n_submitted; i++)
        scheduler_cancel(e->model->scheduler, e->inputs[i].id);
}

static size_t count_running(struct embedding *e, bool *queued)
{
    pthread_mutex_lock(&e->mutex);
    size_t running = e->n_submitted - e->n_ended;
    *queued = e->queued;
    pthread_mutex_unlock(&e->mutex);
    return running;
}

static void finish(struct embedding *e)
{
    bool queued;
    note_facts(e);
    if (e->error.status != 0)
        exchange_fail(e->exchange, &e->error);
    else if (!atomic_load(&e->gone))
        exchange_answer(e->exchange, 200, "application/json", &e->text);
    exchange_on_gone(e->exchange, NULL, NULL);
    count_running(e, &queued);
    if (!queued) embedding_free(e);
}

static void take_turn(struct work *work)
{
    struct embedding *e = (struct embedding *)((char *)work - offsetof(struct embedding, work));
    bool queued;
    pthread_mutex_lock(&e->mutex);
    e->queued = false;
    pthread_mutex_unlock(&e->mutex);
    find_error(e);
    size_t running = count_running(e, &queued);
    if (e->error.status == 0 && !atomic_load(&e->gone)) submit_more(e, running);
    if (e->error.status != 0 || atomic_load(&e->gone)) cancel(e);
    bool is_over = e->n_submitted == e->n_inputs || e->error.status != 0 || atomic_load(&e->gone);
    if (count_running(e, &queued) > 0 || queued || !is_over) return;
    if (write_rows(e))
        finish(e);
    else
        wake_again(e);
}

static void start(struct models_waiter *waiter, struct served_model *model, const struct api_error *error)
{
    struct embedding *e = (struct embedding *)((char *)waiter - offsetof(struct embedding, waiter));
    const struct fields fields = {.object = e->root, .error = &e->error};
    e->model = model;
    if (model == NULL)
        e->error = *error;
    else if (!atomic_load(&e->gone))
        read_inputs(&fields, e);
    pthread_mutex_lock(&e->mutex);
    e->queued = false; // until here the turn was kept from coming
    wake(e);
    pthread_mutex_unlock(&e->mutex);
}

void embeddings_handle(struct server *server, struct exchange *exchange)
{
    struct api_error error;
    struct embedding *e = calloc(1, sizeof *e);
    if (e == NULL) {
        exchange_fail_memory(exchange);
        return;
    }
    *e = (struct embedding){
        .server = server, .exchange = exchange_hold(exchange), .work.run = take_turn, .queued = true};
    pthread_mutex_init(&e->mutex, NULL);
    bool fine = exchange_take_json(exchange, &e->root, &error);
    const struct fields fields = {.object = e->root, .error = &error};
    if (!fine || !read_options(&fields, e, &e->waiter.name)) {
        exchange_fail(exchange, &error);
        embedding_free(e);
        return;
    }
    e->waiter.ready = start;
    exchange_on_gone(exchange, note_gone, e);
    models_wait(server->models, &e->waiter);
}
