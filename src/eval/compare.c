#include "eval/compare.h"

#include "base/half.h"
#include "base/parallel.h"
#include "format/bytes.h"
#include "format/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_COLUMNS = 4096,        // of a row that are unpacked at once: a multiple of every block
    TASK_WEIGHTS = 1 << 20,      // about as many in a task
    TASKS_BETWEEN_PROGRESS = 64, // calls of progress are some tens of milliseconds apart
    SCALE_GROUP = 64,            // weights: the finest that a ternary type has a scale for
};

// ---- One piece: columns of one row --------------------------------------------------------------------------------

struct piece {
    uint64_t row, column;
    unsigned columns; // 1..PIECE_COLUMNS
};

static const uint8_t *piece_data(const struct tensor *t, const struct piece *piece)
{
    const struct dtype_info *info = dtype_info(t->type);
    return t->data + piece->row * t->row_bytes + piece->column / info->block_elements * info->block_bytes;
}

// half_to_float() without a branch, so that loops over it become SIMD: as bits of a float, the magnitude of a half is
// 2^112 too small, subnormal or not.
static float widen_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = (uint32_t)(h & 0x7fff) << 13;
    uint32_t finite = half_to_bits32(half_from_bits32(magnitude) * 0x1p112f);
    return half_from_bits32(sign | ((h & 0x7c00) == 0x7c00 ? 0x7f800000u | magnitude : finite));
}

// Types of one element a block, for which codec_unpack_row() takes a call for each. False for all others.
static bool unpack_plain(enum dtype type, const uint8_t *restrict data, unsigned n, float *restrict out)
{
    switch (type) {
    case DTYPE_F32:
        for (unsigned i = 0; i < n; i++)
            out[i] = half_from_bits32(bytes_load_u32(data + 4 * i));
        return true;
    case DTYPE_F16:
        for (unsigned i = 0; i < n; i++)
            out[i] = widen_half(bytes_load_u16(data + 2 * i));
        return true;
    case DTYPE_BF16:
        for (unsigned i = 0; i < n; i++)
            out[i] = bfloat16_to_float(bytes_load_u16(data + 2 * i));
        return true;
    default:
        return false;
    }
}

// A piece is a tensor of one row. What may follow a tensor's rows, I2_S's scale, lies `rows * row_bytes` behind its
// start: row_bytes is chosen so that this stays true.
static void unpack_piece(const struct tensor *t, const struct piece *piece, float *out)
{
    const uint8_t *data = piece_data(t, piece), *tail = t->data + t->rows * t->row_bytes;
    if (unpack_plain(t->type, data, piece->columns, out)) return;
    struct tensor view = {
        .type = t->type,
        .n_dims = 1,
        .dims = {piece->columns, 1, 1, 1},
        .rows = 1,
        .row_bytes = (uint64_t)(tail - data),
        .data = data,
    };
    codec_unpack_row(&view, 0, out);
}

// Trits of `n` columns and the scale of every SCALE_GROUP of them.
static void unpack_trits(const struct tensor *t, const uint8_t *block, float tensor_scale, unsigned n, uint8_t *codes,
                         float *scales)
{
    const struct dtype_info *info = dtype_info(t->type);
    for (unsigned i = 0; i < n; i += info->block_elements, block += info->block_bytes) {
        uint16_t half;
        codec_unpack_trits(t->type, block, codes + i, &half);
        for (unsigned k = i; k < i + info->block_elements; k += SCALE_GROUP)
            scales[k / SCALE_GROUP] = half_to_float(half) * tensor_scale;
    }
}

// True if both hold the same codes and scales; false says nothing yet.
static bool same_trits(const struct tensor *a, const struct tensor *b, const struct piece *piece)
{
    uint8_t codes_a[PIECE_COLUMNS], codes_b[PIECE_COLUMNS];
    float scales_a[PIECE_COLUMNS / SCALE_GROUP], scales_b[PIECE_COLUMNS / SCALE_GROUP];
    unpack_trits(a, piece_data(a, piece), codec_tensor_scale(a), piece->columns, codes_a, scales_a);
    unpack_trits(b, piece_data(b, piece), codec_tensor_scale(b), piece->columns, codes_b, scales_b);
    for (unsigned i = 0; i < piece->columns / SCALE_GROUP; i++)
        if (scales_a[i] != scales_b[i]) return false;
    return memcmp(codes_a, codes_b, piece->columns) == 0;
}

static bool same_value(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

// What a task found in its pieces.
struct finding {
    uint64_t different;
    double largest;
    uint64_t row, column;
    float value_a, value_b;
};

// NaN is larger than any number.
static double larger(double a, double b)
{
    return b > a || isnan(b) ? b : a;
}

static void note_difference(struct finding *f, uint64_t row, uint64_t column, float a, float b)
{
    double distance = fabs((double)a - (double)b);
    if (f->different++ == 0) {
        f->row = row;
        f->column = column;
        f->value_a = a;
        f->value_b = b;
    }
    f->largest = larger(f->largest, distance);
}

static void compare_values(const struct tensor *a, const struct tensor *b, const struct piece *piece, struct finding *f)
{
    float values_a[PIECE_COLUMNS], values_b[PIECE_COLUMNS];
    unpack_piece(a, piece, values_a);
    unpack_piece(b, piece, values_b);
    if (memcmp(values_a, values_b, piece->columns * sizeof *values_a) == 0) return;
    for (unsigned i = 0; i < piece->columns; i++)
        if (!same_value(values_a[i], values_b[i]))
            note_difference(f, piece->row, piece->column + i, values_a[i], values_b[i]);
}

// ---- One tensor ---------------------------------------------------------------------------------------------------

struct job {
    const struct tensor *a, *b;
    bool same_layout, both_ternary;
    uint64_t pieces_per_row, pieces, pieces_per_task;
    int64_t first_task; // of this call of pool_run
    struct finding *findings;
};

static bool same_layout(enum dtype a, enum dtype b)
{
    const struct dtype_info *x = dtype_info(a), *y = dtype_info(b);
    bool prism = (a == DTYPE_PQ2_0 || a == DTYPE_Q2_0_G128) && (b == DTYPE_PQ2_0 || b == DTYPE_Q2_0_G128);
    return x == y || prism;
}

static struct job plan_job(const struct tensor *a, const struct tensor *b)
{
    uint64_t columns = a->dims[0], per_row = (columns + PIECE_COLUMNS - 1) / PIECE_COLUMNS;
    uint64_t piece_columns = columns < PIECE_COLUMNS ? columns : PIECE_COLUMNS;
    bool ternary_a = dtype_info(a->type)->kind == DTYPE_TERNARY, ternary_b = dtype_info(b->type)->kind == DTYPE_TERNARY;
    return (struct job){
        .a = a,
        .b = b,
        .same_layout = same_layout(a->type, b->type),
        .both_ternary = ternary_a && ternary_b,
        .pieces_per_row = per_row,
        .pieces = per_row * a->rows,
        .pieces_per_task = TASK_WEIGHTS / piece_columns,
    };
}

static struct piece piece_at(const struct job *job, uint64_t index)
{
    uint64_t column = index % job->pieces_per_row * PIECE_COLUMNS, left = job->a->dims[0] - column;
    return (struct piece){
        .row = index / job->pieces_per_row,
        .column = column,
        .columns = left < PIECE_COLUMNS ? (unsigned)left : PIECE_COLUMNS,
    };
}

static size_t piece_bytes(const struct tensor *t, const struct piece *piece)
{
    return piece->columns / dtype_info(t->type)->block_elements * dtype_info(t->type)->block_bytes;
}

// Equal bytes of the same layout are equal values, if the scale behind I2_S's rows is the same too.
static bool same_bytes(const struct job *job, const struct piece *piece)
{
    if (!job->same_layout || codec_tensor_scale(job->a) != codec_tensor_scale(job->b)) return false;
    return memcmp(piece_data(job->a, piece), piece_data(job->b, piece), piece_bytes(job->a, piece)) == 0;
}

static void compare_task(void *context, int64_t index, int worker)
{
    (void)worker;
    struct job *job = context;
    uint64_t begin = (uint64_t)(job->first_task + index) * job->pieces_per_task, end = begin + job->pieces_per_task;
    for (uint64_t p = begin; p < end && p < job->pieces; p++) {
        struct piece piece = piece_at(job, p);
        if (same_bytes(job, &piece) || (job->both_ternary && same_trits(job->a, job->b, &piece))) continue;
        compare_values(job->a, job->b, &piece, &job->findings[index]);
    }
}

// Findings come in the order of the tasks, so that the first difference is the same with any number of threads.
static void add_finding(struct compared_tensor *tensor, const struct finding *f)
{
    if (f->different == 0) return;
    if (tensor->different == 0) {
        tensor->row = f->row;
        tensor->column = f->column;
        tensor->value_a = f->value_a;
        tensor->value_b = f->value_b;
    }
    tensor->different += f->different;
    tensor->largest = larger(tensor->largest, f->largest);
}

struct reporter {
    bool (*progress)(void *context, float fraction);
    void *context;
    uint64_t done, total; // weights
};

static tern_status report_progress(struct reporter *reporter, uint64_t weights)
{
    reporter->done += weights;
    if (reporter->progress == NULL) return TERN_OK;
    float fraction = reporter->total > 0 ? (float)((double)reporter->done / (double)reporter->total) : 1;
    if (reporter->progress(reporter->context, fraction)) return TERN_OK;
    return status_fail(TERN_CANCELLED, "cancelled");
}

static tern_status compare_tensor(struct pool *pool, struct compared_tensor *tensor, struct reporter *reporter)
{
    struct job job = plan_job(tensor->a, tensor->b);
    int64_t n_tasks = (int64_t)((job.pieces + job.pieces_per_task - 1) / job.pieces_per_task);
    tensor->weights = tensor->a->rows * tensor->a->dims[0];
    for (; job.first_task < n_tasks; job.first_task += TASKS_BETWEEN_PROGRESS) {
        struct finding findings[TASKS_BETWEEN_PROGRESS] = {0};
        int64_t left = n_tasks - job.first_task, n = left < TASKS_BETWEEN_PROGRESS ? left : TASKS_BETWEEN_PROGRESS;
        job.findings = findings;
        pool_run(pool, n, compare_task, &job);
        for (int64_t i = 0; i < n; i++)
            add_finding(tensor, &findings[i]);
        TRY(report_progress(reporter, tensor->weights / (uint64_t)n_tasks * (uint64_t)n));
    }
    if (tensor->different > 0) tensor->state = COMPARE_DIFFERENT;
    return TERN_OK;
}

// ---- Two files ----------------------------------------------------------------------------------------------------

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
    return memcmp(a->dims, b->dims, sizeof a->dims) == 0; // unused dimensions are 1
}

static void pair_tensors(const struct gguf_file *a, const struct gguf_file *b, struct comparison *out)
{
    for (uint64_t i = 0; i < a->n_tensors; i++) {
        struct compared_tensor *pair = &out->tensors[out->n_tensors++];
        pair->a = &a->tensors[i];
        pair->b = gguf_find_tensor(b, pair->a->name);
        if (pair->b == NULL)
            pair->state = COMPARE_ONLY_A;
        else if (!same_shape(pair->a, pair->b))
            pair->state = COMPARE_MISSHAPEN;
    }
    for (uint64_t i = 0; i < b->n_tensors; i++)
        if (gguf_find_tensor(a, b->tensors[i].name) == NULL)
            out->tensors[out->n_tensors++] = (struct compared_tensor){.state = COMPARE_ONLY_B, .b = &b->tensors[i]};
}

static tern_status compare_pairs(const struct gguf_file *a, const struct gguf_file *b, struct pool *pool,
                                 struct reporter *reporter, struct comparison *out)
{
    for (uint64_t i = 0; i < out->n_tensors; i++)
        if (out->tensors[i].state == COMPARE_EQUAL)
            reporter->total += out->tensors[i].a->rows * out->tensors[i].a->dims[0];
    for (uint64_t i = 0; i < out->n_tensors; i++) {
        struct compared_tensor *pair = &out->tensors[i];
        if (pair->state != COMPARE_EQUAL) continue;
        TRY(compare_tensor(pool, pair, reporter));
        out->bytes += pair->a->bytes + pair->b->bytes;
        out->weights += pair->weights;
        out->different += pair->different;
        gguf_release_tensor(a, pair->a);
        gguf_release_tensor(b, pair->b);
    }
    for (uint64_t i = 0; i < out->n_tensors; i++)
        out->counts[out->tensors[i].state]++;
    return TERN_OK;
}

tern_status compare_weights(const struct gguf_file *a, const struct gguf_file *b, int threads,
                            bool (*progress)(void *context, float fraction), void *context, struct comparison *out)
{
    struct pool *pool;
    struct reporter reporter = {.progress = progress, .context = context};
    *out = (struct comparison){0};
    out->tensors = calloc(a->n_tensors + b->n_tensors + 1, sizeof *out->tensors);
    if (out->tensors == NULL) return status_fail(TERN_NO_MEMORY, "no memory for the list of tensors");
    pair_tensors(a, b, out);
    tern_status status = pool_open(threads, &pool);
    if (status == TERN_OK) {
        status = compare_pairs(a, b, pool, &reporter, out);
        pool_close(pool);
    }
    if (status != TERN_OK) comparison_free(out);
    return status;
}

void comparison_free(struct comparison *comparison)
{
    free(comparison->tensors);
    *comparison = (struct comparison){0};
}

const struct compared_tensor *comparison_first(const struct comparison *comparison)
{
    for (uint64_t i = 0; i < comparison->n_tensors; i++)
        if (comparison->tensors[i].state != COMPARE_EQUAL) return &comparison->tensors[i];
    return NULL;
}

bool comparison_is_equal(const struct comparison *comparison)
{
    return comparison_first(comparison) == NULL;
}

const char *compared_name(const struct compared_tensor *tensor)
{
    return tensor->a != NULL ? tensor->a->name : tensor->b->name;
}
