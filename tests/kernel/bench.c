// Times of one table. Machines are noisy: everything is measured in turn with its yardstick (the reference, a stream of
// reads over the same memory, a chain of additions that take a clock each), and the median of the ratios is what
// counts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parallel.h"
#include "matrix.h"

enum { MAX_REPEATS = 64, STREAM_BYTES = 1 << 28, STREAM_AHEAD = 8192, PARTS = 2 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return values[n / 2];
}

// Seconds that one clock of this core takes now: additions that wait for one another.
static double clock_seconds(void)
{
    enum { CHAINS = 20000, LINKS = 16 };
    uint64_t x = 0;
    double start = now();
    for (int i = 0; i < CHAINS; i++)
        for (int k = 0; k < LINKS; k++) {
            x += 3;
            __asm__ volatile("" : "+r"(x));
        }
    return (now() - start) / ((double)CHAINS * LINKS);
}

struct bench {
    struct check check; // for random inputs
    const struct kernels *table;
    struct pool *pool;
    int threads;
    double seconds;
    uint8_t *memory; // [STREAM_BYTES], 64-byte aligned
};

// ---- Streaming ------------------------------------------------------------------------------------------------------

struct stream {
    const uint8_t *memory;
    int64_t bytes; // of one task
    volatile uint64_t sink;
};

static void stream_task(void *context, int64_t index, int worker)
{
    struct stream *s = context;
    const uint64_t *p = (const uint64_t *)(const void *)(s->memory + index * s->bytes);
    uint64_t sums[16] = {0};
    for (int64_t i = 0; i + 16 <= s->bytes / 8; i += 16) {
        __builtin_prefetch(p + i + STREAM_AHEAD / 8);
        __builtin_prefetch(p + i + STREAM_AHEAD / 8 + 8);
        for (int k = 0; k < 16; k++)
            sums[k] += p[i + k];
    }
    for (int k = 1; k < 16; k++)
        sums[0] += sums[k];
    s->sink = sums[0];
    (void)worker;
}

// Seconds to read the memory once with all threads.
static double stream_seconds(struct bench *b)
{
    enum { TASKS = 64 };
    struct stream s = {b->memory, STREAM_BYTES / TASKS, 0};
    double start = now();
    pool_run(b->pool, TASKS, stream_task, &s);
    return now() - start;
}

// ---- Products -------------------------------------------------------------------------------------------------------

// Copies of one matrix, more than any cache holds, multiplied one after the other.
struct products {
    const struct bench *bench;
    struct matrix *copies; // [n_copies]
    int64_t n_copies;
    struct activations x;
    float *out;
    void **scratch; // [threads]
    int64_t parts;  // that a matrix's tiles are cut into
};

static void products_task(void *context, int64_t index, int worker)
{
    const struct products *p = context;
    const struct matrix *w = &p->copies[index / p->parts];
    int64_t part = index % p->parts, n_pairs = w->n_tiles / 2; // shapes of whole pairs
    int64_t tile = n_pairs * part / p->parts * 2, end = n_pairs * (part + 1) / p->parts * 2;
    const struct kernels *table = p->bench->table;
    struct multiply job = {w, &p->x, p->out, w->rows};
    if (table->read_ahead != NULL && p->x.n_tokens <= table->few_tokens) table->read_ahead(w, tile);
    table->multiply(&job, tile, end, 0, p->x.n_tokens, p->scratch[worker]);
}

static double products_seconds(struct products *p)
{
    double start = now();
    pool_run(p->bench->pool, p->n_copies * p->parts, products_task, p);
    return now() - start;
}

// Seconds that the reference takes on one thread for the whole matrix, by its first tiles.
static double reference_seconds(const struct products *p)
{
    enum { TILES = 2 };
    const struct matrix *w = &p->copies[0];
    struct multiply job = {w, &p->x, p->out, w->rows};
    double start = now();
    p->bench->check.reference->multiply(&job, 0, TILES, 0, p->x.n_tokens, NULL);
    return (now() - start) * (double)w->n_tiles / TILES;
}

static void report_products(struct bench *b, struct products *p)
{
    const struct matrix *w = &p->copies[0];
    double bytes = (double)(w->kind == MATRIX_DENSE ? w->rows * w->row_bytes : w->n_tiles * w->tile_bytes);
    double products = (double)(w->rows * w->columns * p->x.n_tokens), share[MAX_REPEATS], times[MAX_REPEATS];
    double clocks[MAX_REPEATS], reference = reference_seconds(p);
    int n = 0;
    for (double end = now() + b->seconds; n < 3 || (n < MAX_REPEATS && now() < end); n++) {
        double stream = stream_seconds(b) / STREAM_BYTES;
        times[n] = products_seconds(p) / (double)p->n_copies;
        share[n] = stream * bytes / times[n];
        clocks[n] = times[n] * b->threads / clock_seconds();
    }
    double t = median(times, n);
    printf("%-9s multiply %-20s %-4s %5lld x %-5lld %4lld tokens %7.1f GB/s %5.0f %% of streaming %7.1f G "
           "multiply-adds/s %8.4f clocks/weight %6.0f times the reference's speed\n",
           b->table->name, matrix_name(w), w->form == ACTIVATION_F32 ? "f32" : "int8", (long long)w->rows,
           (long long)w->columns, (long long)p->x.n_tokens, bytes / t / 1e9, 100 * median(share, n), products / t / 1e9,
           median(clocks, n) / (double)(w->rows * w->columns), reference / (t * b->threads));
    fflush(stdout);
}

static void *allocate(int64_t bytes)
{
    void *p = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64 + 64);
    if (p == NULL) {
        perror("kernel/check: memory");
        exit(2);
    }
    return p;
}

static void bench_product(struct bench *b, const struct matrix_wish *wish, int64_t n_tokens)
{
    struct test_matrix m = matrix_open(&b->check, wish);
    const int64_t rows = wish->rows, columns = wish->columns;
    const struct matrix *w = &m.matrix;
    int64_t bytes = w->kind == MATRIX_DENSE ? rows * w->row_bytes : (int64_t)tile_matrix_bytes(w);
    int64_t room = (bytes + 63) / 64 * 64, group = w->form == ACTIVATION_GROUP32 ? 32 : 128;
    struct products p = {.bench = b, .n_copies = n_tokens > 32 ? PARTS : STREAM_BYTES / room, .parts = PARTS};
    p.copies = allocate(p.n_copies * (int64_t)sizeof *p.copies);
    for (int64_t i = 0; i < p.n_copies; i++) {
        p.copies[i] = *w;
        p.copies[i].data = b->memory + i * room;
        memcpy(b->memory + i * room, w->data, (size_t)bytes);
    }
    p.x = (struct activations){.form = w->form, .n_tokens = n_tokens, .columns = columns};
    p.x.n_scales = (columns + group - 1) / group;
    float *x = allocate(n_tokens * columns * 4), *scale = allocate(n_tokens * p.x.n_scales * 4);
    int8_t *q = allocate(n_tokens * columns);
    check_fill(&b->check, FILL_NORMAL, x, n_tokens * columns);
    for (int64_t t = 0; t < n_tokens; t++)
        b->table->quantise(x + t * columns, columns, group, q + t * columns, scale + t * p.x.n_scales);
    p.x.f32 = x, p.x.q = q, p.x.scale = scale;
    p.x.table_bytes = wish->f32 ? 0 : b->table->table_bytes(w, n_tokens);
    uint8_t *table = allocate(p.x.table_bytes * n_tokens);
    if (p.x.table_bytes > 0) {
        p.x.table = table;
        for (int64_t t = 0; t < n_tokens; t++)
            b->table->table_build(w, n_tokens, q + t * columns, table + t * p.x.table_bytes);
    }
    p.out = allocate(n_tokens * rows * 4);
    p.scratch = allocate(b->threads * (int64_t)sizeof *p.scratch);
    for (int i = 0; i < b->threads; i++)
        p.scratch[i] = allocate(b->table->scratch_bytes(w, w->n_tiles, n_tokens));
    report_products(b, &p);
    for (int i = 0; i < b->threads; i++)
        free(p.scratch[i]);
    void *owned[] = {p.copies, x, scale, q, table, p.out, p.scratch};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    matrix_close(&m);
}

static void bench_products(struct bench *b)
{
    static const struct {
        enum dtype type;
        bool dense;
    } tiles[] = {{DTYPE_PTQ1_0, false}, {DTYPE_PTQ1_0, true}, {DTYPE_Q1_0, false}}; // trits without code 3
    static const int64_t shapes[][2] = {{2048, 2048}, {6144, 2048}, {2048, 6144}};
    static const int64_t tokens[] = {1, 2, 4, 6, 8, 9, 16, 17, 32, 33, 48, 128};
    static const enum dtype dense[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_F16, DTYPE_BF16,
                                       DTYPE_F32,  DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K};
    for (size_t i = 0; i < sizeof tiles / sizeof tiles[0]; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
            for (size_t t = 0; t < sizeof tokens / sizeof tokens[0]; t++)
                if (s == 0 || tokens[t] == 1 || tokens[t] >= 32)
                    bench_product(b,
                                  &(struct matrix_wish){tiles[i].type, shapes[s][0], shapes[s][1], .equal_pairs = true,
                                                        .dense = tiles[i].dense},
                                  tokens[t]);
    for (int64_t t = 1; t <= 32; t *= 32) {
        bench_product(b, &(struct matrix_wish){DTYPE_PTQ1_0, 2048, 2048, .equal_pairs = true, .f32 = true}, t);
        bench_product(b, &(struct matrix_wish){DTYPE_Q1_0, 2048, 2048, .equal_pairs = true, .f32 = true}, t);
    }
    for (size_t i = 0; i < sizeof dense / sizeof dense[0]; i++)
        for (int64_t t = 1; t <= 48; t += 47)
            bench_product(b, &(struct matrix_wish){dense[i], 2048, 2048, .equal_pairs = true}, t);
}

// ---- Filling --------------------------------------------------------------------------------------------------------

static void bench_fill(struct bench *b)
{
    enum { ROWS = 2048, COLUMNS = 2048 };
    for (int choice = 0; choice < 2 * DTYPE_COUNT; choice++) {
        const enum dtype type = (enum dtype)(choice / 2);
        const bool dense = choice % 2 == 1;
        if (dtype_info(type)->kind == DTYPE_DENSE || (dense && dtype_info(type)->kind != DTYPE_TERNARY)) continue;
        struct test_matrix m =
            matrix_open(&b->check, &(struct matrix_wish){type, ROWS, COLUMNS, .equal_pairs = true, .dense = dense});
        double times[MAX_REPEATS];
        int n = 0;
        for (double end = now() + b->seconds; n < 3 || (n < MAX_REPEATS && now() < end); n++) {
            double start = now();
            for (int64_t i = 0; i < m.matrix.n_tiles; i++)
                tile_fill(&m.tensor, &m.matrix, i, b->memory);
            times[n] = now() - start;
        }
        printf("tile_fill %-20s %6.2f G weights/s\n", matrix_name(&m.matrix),
               (double)ROWS * COLUMNS / median(times, n) / 1e9);
        matrix_close(&m);
    }
}

// ---- Vectors --------------------------------------------------------------------------------------------------------

// Inputs of every function of vectors, so that one signature serves all.
struct vectors {
    float *a, *b, *c, *out;
    int8_t *q;
    uint16_t *half;
    tern_kv_type kv_type;
    uint8_t *keys, *values; // room for any type
    void *scratch;
    int64_t n, n_queries;
};

static void run_quantise(const struct kernels *k, struct vectors *v)
{
    k->quantise(v->a, v->n, 128, v->q, v->out);
}

static void run_norm(const struct kernels *k, struct vectors *v)
{
    k->rms_norm(v->a, v->b, v->n, 1e-6f, v->out);
}

static void run_add(const struct kernels *k, struct vectors *v)
{
    k->add(v->c, v->b, v->n);
}

static void run_silu(const struct kernels *k, struct vectors *v)
{
    k->silu_gate(v->a, v->b, v->n, v->out);
}

static void run_relu2(const struct kernels *k, struct vectors *v)
{
    k->relu2_gate(v->a, v->b, v->n, v->out);
}

static void run_rope(const struct kernels *k, struct vectors *v)
{
    k->rope(v->c, v->a, v->b, v->n / 2, false);
}

static void run_rope_interleaved(const struct kernels *k, struct vectors *v)
{
    k->rope(v->c, v->a, v->b, v->n / 2, true);
}

static void run_half(const struct kernels *k, struct vectors *v)
{
    k->to_half(v->a, v->n, v->half);
}

static void run_attend(const struct kernels *k, struct vectors *v)
{
    enum { QUERIES = 16, HEAD = 128 };
    const float *queries[QUERIES];
    float max[QUERIES], sum[QUERIES], *acc[QUERIES];
    int32_t visible[QUERIES];
    for (int i = 0; i < QUERIES; i++) {
        queries[i] = v->a + i * HEAD;
        acc[i] = v->out + i * HEAD;
        max[i] = 0.0f, sum[i] = 0.0f, visible[i] = ATTENTION_BLOCK;
    }
    k->attend(&(struct attention_block){HEAD, v->kv_type, v->keys, v->values, NULL, v->n_queries, queries, visible,
                                        0.1f, max, sum, acc},
              v->scratch);
}

static double call_seconds(const struct kernels *k, void (*run)(const struct kernels *, struct vectors *),
                           struct vectors *v, int calls)
{
    double start = now();
    for (int i = 0; i < calls; i++)
        run(k, v);
    return (now() - start) / calls;
}

static void bench_vector(struct bench *b, const char *name, void (*run)(const struct kernels *, struct vectors *),
                         struct vectors *v)
{
    double times[MAX_REPEATS], ratios[MAX_REPEATS];
    int n = 0;
    for (double end = now() + b->seconds; n < 3 || (n < MAX_REPEATS && now() < end); n++) {
        double reference = call_seconds(b->check.reference, run, v, 20);
        times[n] = call_seconds(b->table, run, v, 200);
        ratios[n] = reference / times[n];
    }
    printf("%-9s %-24s %8.0f ns %6.1f times the reference's speed\n", b->table->name, name, 1e9 * median(times, n),
           median(ratios, n));
}

static void bench_vectors(struct bench *b)
{
    enum { N = 2048, HALVES = 128 * ATTENTION_BLOCK };
    struct vectors v = {.n = N, .n_queries = 1};
    float **floats[] = {&v.a, &v.b, &v.c, &v.out};
    for (int i = 0; i < 4; i++) {
        *floats[i] = allocate(N * 4);
        check_fill(&b->check, FILL_NORMAL, *floats[i], N);
    }
    v.q = allocate(N), v.half = allocate(N * 2), v.keys = allocate(HALVES * 2), v.values = allocate(HALVES * 2);
    v.scratch = allocate(b->table->attention_scratch_bytes);
    for (int i = 0; i < HALVES; i++)
        ((uint16_t *)(void *)v.keys)[i] = ((uint16_t *)(void *)v.values)[i] = check_half(&b->check, FILL_NORMAL);
    bench_vector(b, "quantise 2048", run_quantise, &v);
    bench_vector(b, "rms_norm 2048", run_norm, &v);
    bench_vector(b, "add 2048", run_add, &v);
    bench_vector(b, "silu_gate 2048", run_silu, &v);
    bench_vector(b, "relu2_gate 2048", run_relu2, &v);
    bench_vector(b, "rope 1024 pairs", run_rope, &v);
    bench_vector(b, "rope 1024 interleaved", run_rope_interleaved, &v);
    bench_vector(b, "to_half 2048", run_half, &v);
    static const char *const names[][2] = {{"attend f16, 1 query", "attend f16, 16 queries"},
                                           {"attend q8_0, 1 query", "attend q8_0, 16 queries"},
                                           {"attend q4_0, 1 query", "attend q4_0, 16 queries"}};
    for (int type = TERN_KV_F16; type <= TERN_KV_Q4_0; type++) {
        v.kv_type = (tern_kv_type)type;
        v.n_queries = 1;
        bench_vector(b, names[type][0], run_attend, &v);
        v.n_queries = 16;
        bench_vector(b, names[type][1], run_attend, &v);
    }
    void *owned[] = {v.a, v.b, v.c, v.out, v.q, v.half, v.keys, v.values, v.scratch};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
}

void check_bench(const struct kernels *table, const char *only, int threads, double seconds)
{
    int count;
    struct bench b = {
        .check = {.table = table, .reference = kernel_tables(&count)[0], .pairs = table->pairs_tiles, .random = 1},
        .table = table,
        .threads = threads,
        .seconds = seconds,
        .memory = allocate(STREAM_BYTES)};
    if (pool_open(threads, &b.pool) != TERN_OK) {
        fprintf(stderr, "kernel/check: %s\n", status_message());
        exit(2);
    }
    memset(b.memory, 0, STREAM_BYTES);
    if (only == NULL || strcmp(only, "fill") == 0) bench_fill(&b);
    if (only == NULL || strcmp(only, "vectors") == 0) bench_vectors(&b);
    if (only == NULL || strcmp(only, "multiply") == 0) bench_products(&b);
    pool_close(b.pool);
    free(b.memory);
}
