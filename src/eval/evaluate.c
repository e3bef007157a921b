#include "eval/evaluate.h"

#include "base/parallel.h"

#include <math.h>
#include <stdlib.h>

// Rows of one decoder pass. All of them may want logits: 78 MB of them with a vocabulary of 151,936.
enum { BATCH = 128 };

// One side of a run at one batch of a chunk.
struct side {
    struct source source;
    struct kv_cache *cache;               // of a model
    float *logits;                        // [BATCH][n_vocabulary] of the batch's scored rows
    struct prediction predictions[BATCH]; // of the same rows
    bool readable[BATCH];                 // of a file: the row could be read
};

struct run {
    const struct evaluate_options *options;
    struct evaluation *out;
    struct side a, b;
    bool two;
    int32_t n_vocabulary, context;
    struct pool *pool;

    // The batch: rows first_row .. first_row + n_rows of the chunk's scored ones.
    int64_t chunk;
    int32_t first_row, n_rows;
    const tern_token *next; // [n_rows] the tokens that came
};

// ---- Opening ------------------------------------------------------------------------------------------------------

static int32_t source_vocabulary(const struct source *source)
{
    return source->saved != NULL ? source->saved->n_vocabulary : tern_model_vocabulary(source->model);
}

static tern_status open_side(struct run *run, const struct source *source, struct side *side)
{
    side->source = *source;
    if (source->model != NULL) {
        if (run->context > source->model->config.context)
            return status_fail(TERN_INVALID, "chunks of %d tokens; the model was trained for %d", (int)run->context,
                               (int)source->model->config.context);
        TRY(kv_cache_open(&source->model->config, source->kv_type, run->context, &side->cache));
        TRY(kv_cache_reserve(side->cache, run->context));
    }
    side->logits = malloc((size_t)BATCH * (size_t)run->n_vocabulary * sizeof *side->logits);
    return side->logits != NULL ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for logits");
}

static void close_side(struct side *side)
{
    if (side->cache != NULL) kv_cache_close(side->cache);
    free(side->logits);
}

static tern_status allocate(struct run *run, struct evaluation *out)
{
    out->capacity = run->options->chunks->count * chunks_scored(run->context);
    size_t n = (size_t)out->capacity;
    out->loss_a = malloc(n * sizeof *out->loss_a);
    bool done = out->loss_a != NULL;
    if (run->two) {
        out->loss_b = malloc(n * sizeof *out->loss_b);
        out->divergence = malloc(n * sizeof *out->divergence);
        out->same_top = malloc(n);
        done = done && out->loss_b != NULL && out->divergence != NULL && out->same_top != NULL;
    }
    return done ? TERN_OK : status_fail(TERN_NO_MEMORY, "no memory for %zu positions", n);
}

static tern_status open_run(struct run *run)
{
    const struct evaluate_options *options = run->options;
    run->n_vocabulary = source_vocabulary(&options->a);
    if (run->two && source_vocabulary(&options->b) != run->n_vocabulary)
        return status_fail(TERN_INVALID, "the vocabularies differ: %d tokens and %d", (int)run->n_vocabulary,
                           (int)source_vocabulary(&options->b));
    TRY(allocate(run, run->out));
    TRY(open_side(run, &options->a, &run->a));
    if (run->two) TRY(open_side(run, &options->b, &run->b));
    const struct tern_model *model = options->a.model != NULL ? options->a.model : options->b.model;
    return pool_open(tern_model_threads(model), &run->pool);
}

static void close_run(struct run *run)
{
    close_side(&run->a);
    close_side(&run->b);
    if (run->pool != NULL) pool_close(run->pool);
}

// ---- A batch ------------------------------------------------------------------------------------------------------

// Positions begin .. begin + n of the chunk; logits of the scored ones.
static tern_status compute_logits(struct run *run, struct side *side, int32_t begin, int32_t n)
{
    struct decoder_row rows[BATCH];
    const tern_token *tokens = run->options->chunks->tokens + run->chunk * run->context;
    float *logits = side->logits;
    for (int32_t i = 0; i < n; i++) {
        bool scored = begin + i >= chunks_first(run->context);
        rows[i] = (struct decoder_row){
            .token = tokens[begin + i], .position = begin + i, .cache = side->cache, .logits = scored ? logits : NULL};
        if (scored) logits += run->n_vocabulary;
    }
    return model_forward(side->source.model, rows, n, NULL);
}

static void read_row(const struct run *run, struct side *side, int32_t row)
{
    float *logits = side->logits + (size_t)row * (size_t)run->n_vocabulary;
    if (side->source.saved != NULL) {
        side->readable[row] =
            saved_logits_read(side->source.saved, run->chunk, run->first_row + row, logits, &side->predictions[row]);
        return;
    }
    side->readable[row] = true;
    side->predictions[row] = prediction_of(logits, run->n_vocabulary, run->next[row]);
}

static void score_row(void *context, int64_t index, int worker)
{
    (void)worker;
    struct run *run = context;
    int32_t row = (int32_t)index;
    size_t at = (size_t)row * (size_t)run->n_vocabulary;
    int64_t position = run->out->n + index;
    const struct prediction *a = &run->a.predictions[row], *b = &run->b.predictions[row];
    read_row(run, &run->a, row);
    run->out->loss_a[position] = -a->log_probability;
    if (run->options->save != NULL) saved_logits_add(run->options->save, run->first_row + row, run->a.logits + at, a);
    if (!run->two) return;
    read_row(run, &run->b, row);
    run->out->loss_b[position] = -b->log_probability;
    run->out->same_top[position] = a->top == b->top;
    run->out->divergence[position] =
        prediction_divergence(run->a.logits + at, a->log_sum, run->b.logits + at, b->log_sum, run->n_vocabulary);
}

static tern_status check_side(const struct run *run, const struct side *side, const char *name)
{
    for (int32_t i = 0; i < run->n_rows; i++) {
        if (side->readable[i] && isfinite(side->predictions[i].log_sum)) continue;
        return status_fail(TERN_BAD_FILE, "%s: chunk %lld, position %d: the logits are not numbers", name,
                           (long long)run->chunk + 1, (int)(chunks_first(run->context) + run->first_row + i));
    }
    return TERN_OK;
}

static const char *source_name(const struct source *source)
{
    return source->saved != NULL ? source->saved->path : source->model->file->path;
}

static tern_status score_batch(struct run *run, int32_t begin, int32_t n)
{
    int32_t first = chunks_first(run->context), from = begin > first ? begin : first;
    run->first_row = from - first;
    run->n_rows = begin + n - from;
    run->next = run->options->chunks->tokens + run->chunk * run->context + from + 1;
    if (run->n_rows <= 0) return TERN_OK;
    pool_run(run->pool, run->n_rows, score_row, run);
    TRY(check_side(run, &run->a, source_name(&run->options->a)));
    if (run->two) TRY(check_side(run, &run->b, source_name(&run->options->b)));
    run->out->n += run->n_rows;
    return TERN_OK;
}

static tern_status report_progress(const struct run *run, int32_t done)
{
    const struct evaluate_options *options = run->options;
    double share = ((double)run->chunk + (double)done / (run->context - 1)) / (double)options->chunks->count;
    if (options->progress == NULL || options->progress(options->context, (float)share, run->out)) return TERN_OK;
    return status_fail(TERN_CANCELLED, "cancelled in chunk %lld", (long long)run->chunk + 1);
}

// ---- A chunk ------------------------------------------------------------------------------------------------------

// The last position's prediction does not count, so it is not computed.
static tern_status evaluate_chunk(struct run *run)
{
    const struct evaluate_options *options = run->options;
    if (options->a.saved != NULL) TRY(saved_logits_check_chunk(options->a.saved, run->chunk));
    for (int32_t begin = 0; begin < run->context - 1; begin += BATCH) {
        int32_t left = run->context - 1 - begin, n = left < BATCH ? left : BATCH;
        if (options->a.model != NULL) TRY(compute_logits(run, &run->a, begin, n));
        if (run->two) TRY(compute_logits(run, &run->b, begin, n));
        TRY(score_batch(run, begin, n));
        TRY(report_progress(run, begin + n));
    }
    return options->save != NULL ? saved_logits_end_chunk(options->save) : TERN_OK;
}

tern_status evaluate(const struct evaluate_options *options, struct evaluation *out)
{
    struct run run = {.options = options, .out = out, .two = options->b.model != NULL};
    *out = (struct evaluation){0};
    run.context = options->chunks->context;
    tern_status status = open_run(&run);
    for (run.chunk = 0; status == TERN_OK && run.chunk < options->chunks->count; run.chunk++)
        status = evaluate_chunk(&run);
    close_run(&run);
    if (status != TERN_OK) evaluation_free(out);
    return status;
}

void evaluation_free(struct evaluation *evaluation)
{
    free(evaluation->loss_a);
    free(evaluation->loss_b);
    free(evaluation->divergence);
    free(evaluation->same_top);
    *evaluation = (struct evaluation){0};
}
