// Products of every kind of matrix: all calls at once with lookup tables, and in random pieces without.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

static const int64_t token_counts[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 64};
enum { N_TOKEN_COUNTS = sizeof token_counts / sizeof token_counts[0] };

// Columns are widths of models (and 64, 576: only whole 64-groups); rows are few but odd, and once more than any
// kernel takes at a time.
static const struct shape {
    int64_t rows, columns;
} shapes[] = {{33, 512},   {100, 256}, {1, 64},    {31, 128},  {32, 576},  {70, 1536},  {33, 2048},
              {100, 2560}, {31, 4096}, {64, 6144}, {34, 6912}, {20, 9728}, {33, 12288}, {2100, 128}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0], SHAPES_WITH_ALL_COUNTS = 2 };

// Activations of one product, in the form that the matrix wants.
struct inputs {
    struct activations x;
    struct guard f32, q, scale, table;
};

static struct inputs inputs_open(struct check *check, const struct matrix *w, int64_t n_tokens, enum fill fill,
                                 bool extreme)
{
    int64_t n = n_tokens * w->columns, group = w->form == ACTIVATION_GROUP32 ? 32 : 128;
    struct inputs in = {.x = {.form = w->form, .n_tokens = n_tokens, .columns = w->columns}};
    in.x.n_scales = (w->columns + group - 1) / group;
    if (w->form == ACTIVATION_F32) {
        in.f32 = guard_open(n * 4);
        check_fill(check, fill, in.f32.data, n);
        in.x.f32 = in.f32.data;
        return in;
    }
    in.q = guard_open(n);
    in.scale = guard_open(n_tokens * in.x.n_scales * 4);
    int8_t *q = in.q.data;
    int8_t constant = check_random(check) % 2 ? 127 : -127;
    for (int64_t i = 0; i < n; i++)
        q[i] = extreme ? constant : (int8_t)check_range(check, -127, 127);
    check_fill(check, fill, in.scale.data, n_tokens * in.x.n_scales);
    in.x.q = q;
    in.x.scale = in.scale.data;
    return in;
}

static void inputs_build_tables(struct inputs *in, const struct kernels *table, const struct matrix *w)
{
    in->x.table_bytes = table->table_bytes(w, in->x.n_tokens);
    if (in->x.table_bytes == 0) return;
    in->table = guard_open(in->x.n_tokens * in->x.table_bytes);
    in->x.table = in->table.data;
    for (int64_t t = 0; t < in->x.n_tokens; t++)
        table->table_build(w, in->x.n_tokens, in->x.q + t * w->columns,
                           (uint8_t *)in->table.data + t * in->x.table_bytes);
}

static void inputs_close(struct inputs *in)
{
    struct guard *guards[] = {&in->f32, &in->q, &in->scale, &in->table};
    for (int i = 0; i < 4; i++)
        if (guards[i]->map != NULL) guard_close(guards[i]);
}

static void multiply_range(const struct kernels *table, const struct multiply *job, int64_t tile, int64_t tile_end,
                           int64_t token, int64_t token_end)
{
    struct guard scratch = guard_open(table->scratch_bytes(job->w, tile_end - tile, token_end - token));
    table->multiply(job, tile, tile_end, token, token_end, scratch.data);
    guard_close(&scratch);
}

// Cuts tiles and tokens into random pieces, pairs of tiles only between themselves.
static void multiply_pieces(struct check *check, const struct multiply *job)
{
    for (int64_t tile = 0, tile_end; tile < job->w->n_tiles; tile = tile_end) {
        tile_end = check_range(check, tile + 1, job->w->n_tiles);
        if (check->pairs && tile_end < job->w->n_tiles) tile_end += tile_end % 2;
        for (int64_t token = 0, token_end; token < job->x->n_tokens; token = token_end) {
            token_end = check_range(check, token + 1, job->x->n_tokens);
            multiply_range(check->table, job, tile, tile_end, token, token_end);
        }
    }
}

struct product_kind {
    enum dtype type;
    bool f32, dense;
};

enum { SPARE_COLUMNS = 3 }; // of out, that no kernel may touch

static void check_product(struct check *check, const struct test_matrix *m, int64_t n_tokens, enum fill fill,
                          bool extreme)
{
    const struct matrix *w = &m->matrix;
    struct inputs in = inputs_open(check, w, n_tokens, fill, extreme);
    int64_t stride = w->rows + SPARE_COLUMNS, bytes = n_tokens * stride * 4;
    struct guard got = guard_open(bytes), wanted = guard_open(bytes);
    memset(got.data, 0x3c, got.bytes);
    memset(wanted.data, 0x3c, wanted.bytes);
    struct multiply job = {w, &in.x, wanted.data, stride};
    multiply_range(check->reference, &job, 0, w->n_tiles, 0, n_tokens);
    job.out = got.data;
    char what[128];
    snprintf(what, sizeof what, "%s, form %d, %lld x %lld, group %lld, %lld tokens, %s%s", matrix_name(w), (int)w->form,
             (long long)w->rows, (long long)w->columns, (long long)w->group, (long long)n_tokens,
             check_fill_names[fill], extreme ? ", extreme" : "");
    inputs_build_tables(&in, check->table, w);
    multiply_pieces(check, &job);
    check_floats(check, got.data, wanted.data, n_tokens * stride, "%s, in pieces", what);
    memset(got.data, 0x3c, got.bytes);
    multiply_range(check->table, &job, 0, w->n_tiles, 0, n_tokens);
    check_floats(check, got.data, wanted.data, n_tokens * stride, "%s, at once", what);
    check_true(check, guard_ok(&got), "%s: writes before the start", what);
    guard_close(&got);
    guard_close(&wanted);
    inputs_close(&in);
}

// All token counts for some shapes, every fourth for the others, and nothing that takes the reference too long.
static bool wants_case(const struct check *check, int shape, int count)
{
    const struct shape *s = &shapes[shape];
    int64_t products = s->rows * s->columns * token_counts[count];
    if (products > (check->quick ? 1 << 21 : 9 << 20)) return false;
    return (shape < SHAPES_WITH_ALL_COUNTS && !check->quick) || (shape + count) % 4 == 0;
}

static enum fill random_fill(struct check *check)
{
    return check_random(check) % 2 ? FILL_NORMAL : (enum fill)check_range(check, 0, FILL_INFINITE - 1);
}

// Equal bits from loose and dense tiles, as the reference has them.
static void check_layouts(struct check *check, const struct test_matrix *m, int64_t n_tokens)
{
    struct test_matrix loose = matrix_again(check, m, (struct tile_options){.f32 = m->matrix.form == ACTIVATION_F32});
    loose.matrix.scale = m->matrix.scale;
    struct inputs in = inputs_open(check, &m->matrix, n_tokens, FILL_NORMAL, false);
    const int64_t rows = m->matrix.rows, n = n_tokens * rows;
    struct guard got = guard_open(n * 4), wanted = guard_open(n * 4);
    multiply_range(check->reference, &(struct multiply){&m->matrix, &in.x, got.data, rows}, 0, m->matrix.n_tiles, 0,
                   n_tokens);
    multiply_range(check->reference, &(struct multiply){&loose.matrix, &in.x, wanted.data, rows}, 0,
                   loose.matrix.n_tiles, 0, n_tokens);
    check_true(check, m->matrix.kind == MATRIX_PACKED_TRITS && loose.matrix.kind == MATRIX_TRITS, "kinds");
    check_floats(check, got.data, wanted.data, n, "%lld x %lld, dense and loose tiles", (long long)rows,
                 (long long)m->matrix.columns);
    guard_close(&got);
    guard_close(&wanted);
    inputs_close(&in);
    matrix_close_again(&loose);
}

static void check_shape(struct check *check, const struct product_kind *kind, int shape)
{
    const struct shape *s = &shapes[shape];
    if (dtype_row_bytes(kind->type, (uint64_t)s->columns) == 0) return;
    for (int i = 0; i < N_TOKEN_COUNTS; i++) {
        if (!wants_case(check, shape, i)) continue;
        bool extreme = check_random(check) % 4 == 0;
        struct matrix_wish wish = {.type = kind->type,
                                   .rows = s->rows,
                                   .columns = s->columns,
                                   .scales = random_fill(check),
                                   .extreme = extreme,
                                   .f32 = kind->f32,
                                   .dense = kind->dense};
        struct test_matrix m = matrix_open(check, &wish);
        if (check_random(check) % 4 == 0) m.matrix.scale = 0.3f;
        if (kind->dense && token_counts[i] <= 3) check_layouts(check, &m, token_counts[i]);
        check_product(check, &m, token_counts[i], random_fill(check), extreme);
        matrix_close(&m);
    }
}

void check_multiply(struct check *check, const char *only)
{
    static const enum dtype types[] = {DTYPE_PQ2_0, DTYPE_Q2_0_G64, DTYPE_Q1_0, DTYPE_F32,  DTYPE_F16,  DTYPE_BF16,
                                       DTYPE_Q4_0,  DTYPE_Q4_1,     DTYPE_Q8_0, DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K};
    if (!check_wanted(only, "multiply")) return;
    check_begin(check, "multiply");
    for (int shape = 0; shape < N_SHAPES; shape++)
        for (int f32 = 0; f32 < 2; f32++)
            check_shape(check, &(struct product_kind){DTYPE_PTQ1_0, f32 == 1, true}, shape);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (int shape = 0; shape < N_SHAPES; shape++) {
            check_shape(check, &(struct product_kind){types[i], true, false}, shape);
            const bool floats = types[i] == DTYPE_F32 || types[i] == DTYPE_F16 || types[i] == DTYPE_BF16;
            if (!floats) check_shape(check, &(struct product_kind){types[i], false, false}, shape);
        }
}
