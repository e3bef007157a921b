#include "cli/calibration.h"

#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/loading.h"
#include "cli/terminal.h"
#include "cli/time_left.h"

#include "engine/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 512, MAX_TOKENS = 65536, MATRICES_PER_LAYER = 7, NAME_BYTES = 48 };

struct observed {
    char name[NAME_BYTES]; // of the matrix's tensor
    const struct weight *weight;
    int64_t columns; // 0: nothing was observed
    int64_t rows;
    double *sums; // [columns] of squares
    float *means; // [columns], when all is done
};

struct calibration {
    size_t n_matrices;
    struct observed *matrices; // [n_matrices]
    bool no_memory;            // while observing, where nothing can be said
};

// ---- Observing ----------------------------------------------------------------------------------------------------

static struct observed *find_weight(struct calibration *c, const struct weight *weight)
{
    for (size_t i = 0; i < c->n_matrices; i++)
        if (c->matrices[i].weight == weight) return &c->matrices[i];
    return NULL;
}

static void observe(void *context, const struct weight *weight, const float *x, int64_t n_rows, int64_t columns)
{
    struct calibration *c = context;
    struct observed *matrix = find_weight(c, weight);
    if (matrix == NULL) return;
    if (matrix->sums == NULL) {
        matrix->sums = calloc((size_t)columns, sizeof *matrix->sums);
        matrix->columns = columns;
    }
    if (matrix->sums == NULL) {
        c->no_memory = true;
        return;
    }
    for (int64_t row = 0; row < n_rows; row++, x += columns)
        for (int64_t i = 0; i < columns; i++)
            matrix->sums[i] += (double)x[i] * (double)x[i];
    matrix->rows += n_rows;
}

static void add_matrix(struct calibration *c, const struct weight *weight, const char *format, int layer)
{
    struct observed *matrix = &c->matrices[c->n_matrices++];
    snprintf(matrix->name, sizeof matrix->name, format, layer);
    matrix->weight = weight;
}

static bool list_matrices(struct calibration *c, const struct tern_model *model)
{
    const struct weights *w = model->weights;
    c->matrices = calloc((size_t)w->n_layers * MATRICES_PER_LAYER + 1, sizeof *c->matrices);
    if (c->matrices == NULL) return false;
    for (int32_t i = 0; i < w->n_layers; i++) {
        const struct layer *layer = &w->layers[i];
        add_matrix(c, layer->q, "blk.%d.attn_q.weight", i);
        add_matrix(c, layer->k, "blk.%d.attn_k.weight", i);
        add_matrix(c, layer->v, "blk.%d.attn_v.weight", i);
        add_matrix(c, layer->attn_output, "blk.%d.attn_output.weight", i);
        add_matrix(c, layer->gate, "blk.%d.ffn_gate.weight", i);
        add_matrix(c, layer->up, "blk.%d.ffn_up.weight", i);
        add_matrix(c, layer->down, "blk.%d.ffn_down.weight", i);
    }
    add_matrix(c, w->head, model->config.tied_head ? "token_embd.weight" : "output.weight", 0);
    return true;
}

// Means; the sums are no longer needed.
static bool conclude(struct calibration *c)
{
    for (size_t i = 0; i < c->n_matrices; i++) {
        struct observed *matrix = &c->matrices[i];
        if (matrix->columns == 0) continue;
        matrix->means = calloc((size_t)matrix->columns, sizeof *matrix->means);
        if (matrix->means == NULL) return false;
        for (int64_t j = 0; j < matrix->columns; j++)
            matrix->means[j] = (float)(matrix->sums[j] / (double)matrix->rows);
        free(matrix->sums);
        matrix->sums = NULL;
    }
    return !c->no_memory;
}

// ---- Running ------------------------------------------------------------------------------------------------------

static tern_status feed_chunks(tern_session *session, const tern_token *tokens, size_t count)
{
    size_t chunk = (size_t)tern_session_context(session);
    struct time_left line;
    tern_status status = TERN_OK;
    time_left_begin(&line, "calibrating");
    for (size_t at = 0; at < count && status == TERN_OK; at += chunk) {
        status = tern_session_truncate(session, 0);
        if (status == TERN_OK)
            status = tern_session_feed(session, tokens + at, count - at < chunk ? count - at : chunk);
        time_left_show(&line, (float)(at + chunk) / (float)(count + chunk), "");
    }
    time_left_end(&line);
    return status;
}

static tern_status run_text(tern_model *model, const struct buffer *text)
{
    tern_token *tokens;
    size_t count;
    tern_session *session;
    TRY(tern_tokenize(model, text->data, text->length, 0, &tokens, &count));
    if (count > MAX_TOKENS) count = MAX_TOKENS;
    int32_t context = tern_model_context(model);
    tern_status status =
        tern_session_open(model, &(tern_session_options){.context = context < CHUNK ? context : CHUNK}, &session);
    if (status == TERN_OK) {
        interrupt_watch(session);
        status = feed_chunks(session, tokens, count);
        interrupt_watch(NULL);
        tern_session_close(session);
    }
    tern_free(tokens);
    return status;
}

static tern_status observe_model(tern_model *model, const struct buffer *text, struct calibration *c)
{
    if (!list_matrices(c, model)) return status_fail(TERN_NO_MEMORY, "no memory to calibrate");
    device_observe(model->device, observe, c);
    TRY(run_text(model, text));
    return conclude(c) ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory to calibrate");
}

int calibration_run(const char *model_path, const char *text_path, int threads, struct calibration **out)
{
    struct buffer text = {0};
    tern_model *model;
    *out = NULL;
    tern_status read = input_read(text_path, &text);
    if (read == TERN_OK && text.length == 0) read = status_fail(TERN_INVALID, "%s: the text is empty", text_path);
    if (read != TERN_OK) {
        buffer_free(&text);
        return terminal_error(EXIT_FAILED, "--calibrate: %s", tern_last_error());
    }
    int code =
        loading_open_model(model_path, (tern_model_options){.threads = threads, .f32_activations = true}, &model);
    if (code != EXIT_OK) {
        buffer_free(&text);
        return code;
    }
    struct calibration *c = calloc(1, sizeof *c);
    tern_status status = c != NULL ? observe_model(model, &text, c) : status_fail(TERN_NO_MEMORY, "no memory");
    tern_model_close(model);
    buffer_free(&text);
    *out = c;
    if (status == TERN_OK) return EXIT_OK;
    calibration_free(c);
    *out = NULL;
    return status == TERN_CANCELLED ? EXIT_INTERRUPTED : terminal_error(EXIT_FAILED, "%s", tern_last_error());
}

void calibration_free(struct calibration *calibration)
{
    if (calibration == NULL) return;
    for (size_t i = 0; i < calibration->n_matrices; i++) {
        free(calibration->matrices[i].sums);
        free(calibration->matrices[i].means);
    }
    free(calibration->matrices);
    free(calibration);
}

const float *calibration_find(void *calibration, const char *name, uint64_t columns)
{
    const struct calibration *c = calibration;
    for (size_t i = 0; i < c->n_matrices; i++)
        if (strcmp(c->matrices[i].name, name) == 0 && (uint64_t)c->matrices[i].columns == columns)
            return c->matrices[i].means;
    return NULL;
}
