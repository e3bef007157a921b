#include "convert/tensor_pack.h"

#include "convert/dense.h"
#include "convert/tensor_fit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STRIPS_PER_THREAD = 4 }; // of a batch: enough that threads seldom wait for each other at its end

static const uint64_t COPY_BYTES = 8 << 20;

struct strip_result {
    struct pack_tally tally;
    struct fault fault;
};

// Strips that are packed together, then written.
struct batch {
    const struct tensor_plan *plan;
    struct strip_scratch **scratch; // [threads]
    struct strip_result *results;   // [capacity]
    uint8_t *out;                   // [capacity][STRIP_ROWS][row_bytes]
    uint64_t row_bytes;
    uint64_t capacity; // strips
    uint64_t first;    // strip
};

static uint64_t count_strips(const struct tensor *t)
{
    return (t->rows + STRIP_ROWS - 1) / STRIP_ROWS;
}

static uint64_t rows_of_strip(const struct tensor *t, uint64_t strip)
{
    uint64_t left = t->rows - strip * STRIP_ROWS;
    return left < STRIP_ROWS ? left : STRIP_ROWS;
}

uint64_t tensor_pack_bytes(const struct tensor_plan *plan)
{
    const struct tensor *t = &plan->source->tensor;
    return t->rows * dtype_row_bytes(plan->type, t->dims[0]) + dtype_info(plan->type)->tail_bytes;
}

// ---- Words ------------------------------------------------------------------------------------------------------

// What --lossless could have kept.
static const char *exact_form(enum dtype type)
{
    enum dtype_kind kind = dtype_info(type)->kind;
    return kind == DTYPE_TERNARY  ? " (exact are {-s, 0, +s} with one scale s, a half)"
           : kind == DTYPE_BINARY ? " (exact are {-s, +s} with one scale s, a half)"
                                  : "";
}

static tern_status explain_fault(const struct tensor_plan *plan, const struct fault *fault)
{
    const char *type = dtype_info(plan->type)->name;
    uint64_t group = pack_group(plan), start = fault->column / group * group;
    double found = (double)fault->found, becomes = (double)fault->becomes;
    char place[160];
    snprintf(place, sizeof place, "row %" PRIu64 ", group %" PRIu64 " (columns %" PRIu64 " to %" PRIu64 ")", fault->row,
             fault->column / group, start, start + group - 1);
    const char *name = plan->source->tensor.name;
    switch (fault->kind) {
    case FAULT_NOT_FINITE:
        return status_fail(TERN_BAD_FILE, "tensor %s: row %" PRIu64 ", column %" PRIu64 " is %g, expected a number",
                           name, fault->row, fault->column, found);
    case FAULT_TOO_LARGE:
        return status_fail(TERN_UNSUPPORTED, "tensor %s: %s: %g is beyond the range of %s", name, place, found, type);
    case FAULT_NOT_EXACT:
        return status_fail(TERN_UNSUPPORTED,
                           "tensor %s: %s is not exact in %s: %.9g in column %" PRIu64 " would become %.9g%s", name,
                           place, type, found, fault->column, becomes, exact_form(plan->type));
    case FAULT_TWO_SCALES:
        return status_fail(TERN_UNSUPPORTED,
                           "tensor %s: %s has two scales, %.9g and %.9g; a group of %s has one. "
                           "--method least-squares would round them",
                           name, place, found, becomes, type);
    case FAULT_SCALE:
        return status_fail(TERN_UNSUPPORTED,
                           "tensor %s: %s has the scale %.9g, which is not a half as %s needs it. "
                           "--method least-squares would round it to %.9g",
                           name, place, found, type, becomes);
    default:
        return status_fail(TERN_UNSUPPORTED,
                           "tensor %s: %s holds twice its scale (code 3), which %s cannot hold. "
                           "--method least-squares would round it",
                           name, place, type);
    }
}

// ---- Batches ----------------------------------------------------------------------------------------------------

static void pack_strip(void *context, int64_t index, int worker)
{
    struct batch *batch = context;
    const struct tensor *t = &batch->plan->source->tensor;
    uint64_t strip = batch->first + (uint64_t)index;
    struct strip_result *result = &batch->results[index];
    *result = (struct strip_result){0};
    strip_pack(batch->plan, batch->scratch[worker], strip * STRIP_ROWS, rows_of_strip(t, strip),
               batch->out + (uint64_t)index * STRIP_ROWS * batch->row_bytes, &result->tally, &result->fault);
}

static tern_status open_batch(struct batch *batch, struct pool *pool)
{
    const struct tensor *t = &batch->plan->source->tensor;
    int threads = pool_threads(pool);
    batch->row_bytes = dtype_row_bytes(batch->plan->type, t->dims[0]);
    batch->capacity = (uint64_t)threads * STRIPS_PER_THREAD;
    if (batch->capacity > count_strips(t)) batch->capacity = count_strips(t);
    batch->scratch = calloc((size_t)threads, sizeof *batch->scratch);
    batch->results = calloc((size_t)batch->capacity, sizeof *batch->results);
    batch->out = calloc((size_t)(batch->capacity * batch->row_bytes), t->rows < STRIP_ROWS ? t->rows : STRIP_ROWS);
    if (batch->scratch == NULL || batch->results == NULL || batch->out == NULL)
        return status_fail(TERN_NO_MEMORY, "tensor %s: no memory to pack it", t->name);
    for (int i = 0; i < threads; i++)
        TRY(strip_scratch_new(batch->plan, &batch->scratch[i]));
    return TERN_OK;
}

static void close_batch(struct batch *batch, struct pool *pool)
{
    for (int i = 0; batch->scratch != NULL && i < pool_threads(pool); i++)
        strip_scratch_free(batch->scratch[i]);
    free(batch->scratch);
    free(batch->results);
    free(batch->out);
}

// Adds up the strips of a batch; the first fault, in the order of rows, ends it.
static tern_status take_results(const struct batch *batch, uint64_t strips, struct pack_tally *tally)
{
    for (uint64_t i = 0; i < strips; i++) {
        if (batch->results[i].fault.kind != FAULT_NONE) return explain_fault(batch->plan, &batch->results[i].fault);
        pack_tally_add(tally, &batch->results[i].tally);
    }
    return TERN_OK;
}

static tern_status report_progress(const struct tensor_sink *sink, uint64_t rows)
{
    if (sink->progress == NULL || sink->progress(sink->context, rows)) return TERN_OK;
    return status_fail(TERN_CANCELLED, "packing was cancelled");
}

static tern_status run_batches(struct batch *batch, const struct source *source, struct pool *pool,
                               const struct tensor_sink *sink, struct pack_tally *tally)
{
    const struct tensor *t = &batch->plan->source->tensor;
    uint64_t total = count_strips(t);
    for (; batch->first < total; batch->first += batch->capacity) {
        uint64_t strips = total - batch->first < batch->capacity ? total - batch->first : batch->capacity;
        uint64_t first_row = batch->first * STRIP_ROWS;
        uint64_t rows = first_row + strips * STRIP_ROWS < t->rows ? strips * STRIP_ROWS : t->rows - first_row;
        pool_run(pool, (int64_t)strips, pack_strip, batch);
        TRY(take_results(batch, strips, tally));
        TRY(output_file_write(sink->file, batch->out, (size_t)(rows * batch->row_bytes)));
        source_release_rows(source, batch->plan->source, first_row, rows);
        TRY(report_progress(sink, first_row + rows));
    }
    return TERN_OK;
}

// ---- Copies -----------------------------------------------------------------------------------------------------

static bool is_copy(const struct tensor_plan *plan)
{
    return plan->source->tensor.type == plan->type && plan->source->rotated_half == 0 && !plan->source->packed_bitnet &&
           !plan->rounded;
}

static tern_status copy_tensor(const struct tensor_plan *plan, const struct source *source,
                               const struct tensor_sink *sink, struct pack_tally *tally)
{
    const struct tensor *t = &plan->source->tensor;
    uint64_t step = COPY_BYTES / t->row_bytes + 1;
    for (uint64_t row = 0; row < t->rows; row += step) {
        uint64_t rows = t->rows - row < step ? t->rows - row : step;
        TRY(output_file_write(sink->file, t->data + row * t->row_bytes, (size_t)(rows * t->row_bytes)));
        source_release_rows(source, plan->source, row, rows);
        TRY(report_progress(sink, row + rows));
    }
    tally->weights = t->rows * t->dims[0];
    tally->groups = tally->exact_groups = tally->weights / pack_group(plan);
    return output_file_write(sink->file, t->data + t->rows * t->row_bytes, (size_t)dtype_info(t->type)->tail_bytes);
}

// ---- Tensors ----------------------------------------------------------------------------------------------------

static tern_status write_tail(const struct tensor_plan *plan, struct output_file *file)
{
    uint8_t tail[32] = {0};
    dense_store_f32(tail, plan->fit.scale);
    return output_file_write(file, tail, sizeof tail);
}

tern_status tensor_pack(struct tensor_plan *plan, const struct source *source, struct pool *pool,
                        const struct tensor_sink *sink, struct pack_tally *tally)
{
    *tally = (struct pack_tally){0};
    if (is_copy(plan)) return copy_tensor(plan, source, sink, tally);
    if (plan->type == DTYPE_I2_S) plan->tensor_wide = true;
    if (plan->tensor_wide) TRY(tensor_fit(plan, source, pool));
    struct batch batch = {.plan = plan};
    tern_status status = open_batch(&batch, pool);
    if (status == TERN_OK) status = run_batches(&batch, source, pool, sink, tally);
    close_batch(&batch, pool);
    if (status == TERN_OK && plan->type == DTYPE_I2_S) status = write_tail(plan, sink->file);
    return status;
}
