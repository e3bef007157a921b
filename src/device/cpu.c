// The device that is this computer's processor: kernels on a pool of threads.
#include "device/cpu.h"

#include "base/memory.h"
#include "kernel/arithmetic.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    // Tasks for each thread and product with many tokens: enough to even out unequal cores, few enough to cost nothing.
    TASKS_PER_THREAD = 8,
    MIN_MANY_TOKENS_SPAN = 32,  // tiles that one task takes at least when it builds tables for many tokens
    FEW_TOKENS_SPAN = 64 << 10, // bytes of weights that one task takes about with few tokens
    SERIAL_ELEMENTS = 16384,    // elementwise work below this is done before other threads would wake
};

struct weight {
    struct matrix matrix;
    uint8_t *tiles; // owned; NULL if the matrix runs where it lies in the file
};

// ---- Memory

tern_status cpu_reserve(struct scratch *scratch, int64_t bytes)
{
    if ((size_t)bytes <= scratch->capacity) return TERN_OK;
    free(scratch->data);
    *scratch = (struct scratch){.data = memory_allocate((size_t)bytes), .capacity = (size_t)bytes};
    if (scratch->data != NULL) return TERN_OK;
    scratch->capacity = 0;
    return status_fail(TERN_NO_MEMORY, "no memory for %lld bytes of working space", (long long)bytes);
}

tern_status cpu_reserve_workers(struct device *device, int64_t bytes)
{
    for (int i = 0; i < pool_threads(device->pool); i++)
        TRY(cpu_reserve(&device->workers[i].scratch, bytes));
    return TERN_OK;
}

// ---- Opening

tern_status device_open(const struct device_options *options, struct device **out)
{
    *out = NULL;
    struct cpu_features cpu = cpu_detect();
    const struct kernels *kernels = kernel_select(&cpu, options->kernels);
    if (kernels == NULL)
        return status_fail(TERN_INVALID, "kernels \"%s\" do not run on this CPU; those built in are %s",
                           options->kernels, kernel_names());

    struct device *device = calloc(1, sizeof *device);
    int threads = options->threads > 0 ? options->threads : cpu_cores();
    struct worker *workers = aligned_alloc(64, (size_t)threads * sizeof *workers);
    if (device == NULL || workers == NULL) {
        free(device);
        free(workers);
        return status_fail(TERN_NO_MEMORY, "no memory for %d threads", threads);
    }
    memset(workers, 0, (size_t)threads * sizeof *workers);
    *device = (struct device){.kernels = kernels,
                              .f32_activations = options->f32_activations,
                              .dense_tiles = options->dense_tiles,
                              .workers = workers};
    tern_status status = pool_open(threads, &device->pool);
    if (status != TERN_OK) {
        free(workers);
        free(device);
        return status;
    }
    *out = device;
    return TERN_OK;
}

void device_close(struct device *device)
{
    if (device == NULL) return;
    for (int i = 0; i < pool_threads(device->pool); i++)
        free(device->workers[i].scratch.data);
    free(device->workers);
    for (int form = 0; form < ACTIVATION_FORMS; form++) {
        free(device->q[form].data);
        free(device->scales[form].data);
    }
    for (int i = 0; i < DEVICE_MAX_SHARED; i++)
        free(device->tables[i].data);
    free(device->groups.data);
    pool_close(device->pool);
    free(device);
}

int device_threads(const struct device *device)
{
    return pool_threads(device->pool);
}

const char *device_kernels(const struct device *device)
{
    return device->kernels->name;
}

bool device_prefers_dense(const struct device_options *options)
{
    const struct cpu_features cpu = cpu_detect();
    const struct kernels *kernels = kernel_select(&cpu, options->kernels);
    if (options->f32_activations) return false; // no kernel multiplies floats by them as they are
    return kernels != NULL && kernels->takes_packed != NULL && kernels->takes_packed();
}

bool device_dense_tiles(const struct device *device)
{
    return device->dense_tiles;
}

// ---- Bandwidth

enum {
    STREAM_CHUNK = 1 << 20,
    STREAM_AHEAD = 5632, // bytes: of 1 to 12 KiB the distance at which a stream is fastest on Zen 5
};

struct stream_job {
    const uint64_t *data;
    uint64_t *sums; // one for each chunk, so that the compiler must read
};

static void stream_chunk(void *context, int64_t index, int worker)
{
    (void)worker;
    const struct stream_job *job = context;
    const uint64_t *p = job->data + index * (STREAM_CHUNK / 8);
    uint64_t sum[16] = {0};
    for (int i = 0; i < STREAM_CHUNK / 8; i += 16) {
        __builtin_prefetch((const char *)(p + i) + STREAM_AHEAD);
        __builtin_prefetch((const char *)(p + i) + STREAM_AHEAD + 64);
        for (int j = 0; j < 16; j++)
            sum[j] += p[i + j];
    }
    for (int j = 1; j < 16; j++)
        sum[0] += sum[j];
    job->sums[index] = sum[0];
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

tern_status device_bandwidth(struct device *device, uint64_t bytes, int repeats, double *out)
{
    enum { MAX_REPEATS = 64 };
    double rates[MAX_REPEATS];
    if (repeats < 1 || repeats > MAX_REPEATS || bytes < STREAM_CHUNK)
        return status_fail(TERN_INVALID, "%d passes over %llu bytes, expected 1 to %d over at least %d", repeats,
                           (unsigned long long)bytes, MAX_REPEATS, STREAM_CHUNK);
    int64_t chunks = (int64_t)(bytes / STREAM_CHUNK);
    size_t size = (size_t)chunks * STREAM_CHUNK;
    uint64_t *data = memory_allocate(size), *sums = calloc((size_t)chunks, sizeof *sums);
    if (data == NULL || sums == NULL) {
        free(data);
        free(sums);
        return status_fail(TERN_NO_MEMORY, "no memory for %zu bytes to measure the bandwidth with", size);
    }
    memset(data, 1, size); // untouched pages would all be the one page of zeros

    struct stream_job job = {data, sums};
    for (int i = -1; i < repeats; i++) { // the pass before the first wakes the threads and is not counted
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        pool_run(device->pool, chunks, stream_chunk, &job);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
        if (i >= 0) rates[i] = (double)size / seconds;
    }
    qsort(rates, (size_t)repeats, sizeof *rates, compare_doubles);
    *out = rates[repeats / 2];
    free(data);
    free(sums);
    return TERN_OK;
}

// ---- Weights

tern_status device_measure_weight(const struct tensor *tensor, bool token_scales, struct device_measure measure,
                                  uint64_t *bytes)
{
    struct matrix matrix;
    struct tile_options options = {
        .token_scales = token_scales, .dense = measure.dense_tiles, .unread = measure.unread};
    TRY(tile_plan(tensor, options, &matrix));
    tile_pair(&matrix); // which takes a tile more if it takes anything
    *bytes = tile_matrix_bytes(&matrix);
    return TERN_OK;
}

struct fill_job {
    const struct tensor *tensor;
    const struct weight *weight;
};

static void fill_tile(void *context, int64_t tile, int worker)
{
    (void)worker;
    const struct fill_job *job = context;
    tile_fill(job->tensor, &job->weight->matrix, tile, job->weight->tiles);
}

tern_status device_load_weight(struct device *device, const struct tensor *tensor, bool token_scales,
                               struct weight **out)
{
    *out = NULL;
    struct weight *weight = calloc(1, sizeof *weight);
    if (weight == NULL) return status_fail(TERN_NO_MEMORY, "no memory for tensor %s", tensor->name);
    struct tile_options options = {
        .token_scales = token_scales, .f32 = device->f32_activations, .dense = device->dense_tiles};
    tern_status status = tile_plan(tensor, options, &weight->matrix);
    if (device->kernels->pairs_tiles) tile_pair(&weight->matrix);
    if (status == TERN_OK && weight->matrix.kind == MATRIX_DENSE) {
        weight->matrix.data = tensor->data;
    } else if (status == TERN_OK) {
        uint64_t bytes = tile_matrix_bytes(&weight->matrix);
        weight->tiles = bytes > SIZE_MAX ? NULL : memory_allocate((size_t)bytes);
        weight->matrix.data = weight->tiles;
        if (weight->tiles == NULL)
            status = status_fail(TERN_NO_MEMORY, "tensor %s: no memory for %llu bytes of tiles", tensor->name,
                                 (unsigned long long)bytes);
        else
            pool_run(device->pool, weight->matrix.n_tiles, fill_tile, &(struct fill_job){tensor, weight});
    }
    if (status != TERN_OK) {
        free(weight);
        return status;
    }
    *out = weight;
    return TERN_OK;
}

void device_free_weight(struct device *device, struct weight *weight)
{
    (void)device;
    if (weight == NULL) return;
    free(weight->tiles);
    free(weight);
}

void device_scale_weight(struct weight *weight, float scale)
{
    weight->matrix.scale *= scale;
}

uint64_t device_weight_bytes(const struct weight *weight)
{
    const struct matrix *matrix = &weight->matrix;
    return weight->tiles != NULL ? tile_matrix_bytes(matrix) : (uint64_t)(matrix->rows * matrix->row_bytes);
}

bool device_weight_is_copy(const struct weight *weight)
{
    return weight->tiles != NULL;
}

bool device_weight_is_dense(const struct weight *weight)
{
    return weight->matrix.kind == MATRIX_PACKED_TRITS;
}

// ---- Rows: embedding, norm, rotation

struct embed_job {
    const struct matrix *matrix;
    const int32_t *tokens;
    float *out;
};

static void embed_row(void *context, int64_t row, int worker)
{
    (void)worker;
    const struct embed_job *job = context;
    tile_unpack_row(job->matrix, job->tokens[row], job->out + row * job->matrix->columns);
}

void device_embed(struct device *device, const struct weight *embedding, const int32_t *tokens, int64_t n, float *out)
{
    pool_run(device->pool, n, embed_row, &(struct embed_job){&embedding->matrix, tokens, out});
}

struct norm_job {
    const struct kernels *kernels;
    const float *x, *weight;
    int64_t width;
    float eps;
    float *out;
};

static void norm_row(void *context, int64_t row, int worker)
{
    (void)worker;
    const struct norm_job *job = context;
    int64_t offset = row * job->width;
    job->kernels->rms_norm(job->x + offset, job->weight, job->width, job->eps, job->out + offset);
}

void cpu_run(struct device *device, int64_t n_tasks, int64_t elements, pool_task task, void *context)
{
    if (elements >= SERIAL_ELEMENTS) {
        pool_run(device->pool, n_tasks, task, context);
        return;
    }
    for (int64_t i = 0; i < n_tasks; i++)
        task(context, i, 0);
}

void device_norm(struct device *device, const float *x, const float *weight, int64_t n_rows, int64_t width, float eps,
                 float *out)
{
    struct norm_job job = {device->kernels, x, weight, width, eps, out};
    cpu_run(device, n_rows, n_rows * width, norm_row, &job);
}

struct rope_job {
    const struct kernels *kernels;
    float *x;
    int64_t n_heads, head_size, n_pairs;
    const float *cosine, *sine;
    bool interleaved;
};

static void rope_row(void *context, int64_t row, int worker)
{
    (void)worker;
    const struct rope_job *job = context;
    for (int64_t head = 0; head < job->n_heads; head++)
        job->kernels->rope(job->x + (row * job->n_heads + head) * job->head_size, job->cosine + row * job->n_pairs,
                           job->sine + row * job->n_pairs, job->n_pairs, job->interleaved);
}

void device_rope(struct device *device, float *x, int64_t n_rows, int64_t n_heads, int64_t head_size,
                 const float *cosine, const float *sine, int64_t n_pairs, bool interleaved)
{
    struct rope_job job = {device->kernels, x, n_heads, head_size, n_pairs, cosine, sine, interleaved};
    cpu_run(device, n_rows, n_rows * n_heads * head_size, rope_row, &job);
}

// ---- Elementwise

enum { ELEMENT_CHUNK = 4096 };

struct element_job {
    const struct kernels *kernels;
    enum device_gate gate;
    const float *a, *b;
    int64_t n;
    float *out;
};

static int64_t chunk_length(const struct element_job *job, int64_t index)
{
    int64_t left = job->n - index * ELEMENT_CHUNK;
    return left < ELEMENT_CHUNK ? left : ELEMENT_CHUNK;
}

static void gate_chunk(void *context, int64_t index, int worker)
{
    (void)worker;
    const struct element_job *job = context;
    int64_t i = index * ELEMENT_CHUNK;
    (job->gate == DEVICE_SILU ? job->kernels->silu_gate : job->kernels->relu2_gate)(
        job->a + i, job->b + i, chunk_length(job, index), job->out + i);
}

static void add_chunk(void *context, int64_t index, int worker)
{
    (void)worker;
    const struct element_job *job = context;
    job->kernels->add(job->out + index * ELEMENT_CHUNK, job->b + index * ELEMENT_CHUNK, chunk_length(job, index));
}

void device_gate(struct device *device, enum device_gate gate, const float *a, const float *b, int64_t n, float *out)
{
    struct element_job job = {device->kernels, gate, a, b, n, out};
    cpu_run(device, (n + ELEMENT_CHUNK - 1) / ELEMENT_CHUNK, n, gate_chunk, &job);
}

void device_add(struct device *device, float *x, const float *y, int64_t n)
{
    struct element_job job = {.kernels = device->kernels, .b = y, .n = n, .out = x};
    cpu_run(device, (n + ELEMENT_CHUNK - 1) / ELEMENT_CHUNK, n, add_chunk, &job);
}

// ---- Products

// Columns that share a scale in the arrays of this form.
static int64_t form_group(enum activation_form form)
{
    return form == ACTIVATION_GROUP32 ? 32 : 128;
}

struct prepare_job {
    const struct kernels *kernels;
    enum activation_form form;
    const float *x;
    int64_t columns, n_scales;
    int8_t *q;
    float *scale;
};

static void prepare_row(void *context, int64_t row, int worker)
{
    (void)worker;
    const struct prepare_job *job = context;
    float *scale = job->scale + row * job->n_scales;
    int64_t group = job->form == ACTIVATION_TOKEN ? job->columns : form_group(job->form);
    job->kernels->quantise(job->x + row * job->columns, job->columns, group, job->q + row * job->columns, scale);
    if (job->form != ACTIVATION_TOKEN) return;
    for (int64_t i = 1; i < job->n_scales; i++)
        scale[i] = scale[0];
}

// The rows of x in the form that a matrix wants; made once for all matrices of one device_matmul.
static tern_status prepare_form(struct device *device, enum activation_form form, const float *x, int64_t n_rows,
                                int64_t columns, struct activations *out)
{
    *out = (struct activations){.form = form, .n_tokens = n_rows, .columns = columns, .f32 = x};
    if (form == ACTIVATION_F32) return TERN_OK;
    int64_t group = form_group(form);
    out->n_scales = (columns + group - 1) / group;
    TRY(cpu_reserve(&device->q[form], n_rows * columns));
    TRY(cpu_reserve(&device->scales[form], n_rows * out->n_scales * (int64_t)sizeof(float)));
    out->q = device->q[form].data;
    out->scale = device->scales[form].data;
    struct prepare_job job = {device->kernels,          form, x, columns, out->n_scales, device->q[form].data,
                              device->scales[form].data};
    cpu_run(device, n_rows, n_rows * columns, prepare_row, &job);
    return TERN_OK;
}

struct table_job {
    const struct kernels *kernels;
    const struct matrix *matrix;
    const int8_t *q;
    uint8_t *table;
    int64_t n_tokens, table_bytes;
};

static void build_table(void *context, int64_t row, int worker)
{
    (void)worker;
    const struct table_job *job = context;
    job->kernels->table_build(job->matrix, job->n_tokens, job->q + row * job->matrix->columns,
                              job->table + row * job->table_bytes);
}

static tern_status prepare_table(struct device *device, const struct matrix *matrix, struct scratch *scratch,
                                 struct activations *x)
{
    const struct kernels *kernels = device->kernels;
    x->table_bytes = kernels->table_bytes(matrix, x->n_tokens);
    if (x->table_bytes == 0) return TERN_OK;
    TRY(cpu_reserve(scratch, x->n_tokens * x->table_bytes));
    x->table = scratch->data;
    struct table_job job = {kernels, matrix, x->q, scratch->data, x->n_tokens, x->table_bytes};
    cpu_run(device, x->n_tokens, x->n_tokens * x->columns, build_table, &job);
    return TERN_OK;
}

static int64_t even(int64_t n)
{
    return n + n % 2;
}

// A grid of tasks: spans of the tiles of all matrices, one after the other, by spans of tokens. Tokens run fastest, so
// that one after the other reads the same weights. With few tokens the spans are short, for a thread that goes on with
// the next one loses nothing, and all threads end together.
struct matmul_job {
    const struct kernels *kernels;
    struct worker *workers; // [threads]
    struct multiply multiply[DEVICE_MAX_SHARED];
    struct activations x[DEVICE_MAX_SHARED];
    int n_products;
    int64_t n_tokens, token_span, token_spans;
    int64_t n_tiles, tile_span, tile_spans; // of all matrices, made even for each: kernels take tiles in pairs
    bool few;
};

static void multiply_task(void *context, int64_t index, int worker_index)
{
    const struct matmul_job *job = context;
    struct worker *worker = &job->workers[worker_index];
    const int64_t span = index / job->token_spans * job->tile_span,
                  span_end = min_i64(span + job->tile_span, job->n_tiles);
    const int64_t token = index % job->token_spans * job->token_span,
                  token_end = min_i64(token + job->token_span, job->n_tokens);
    const bool goes_on = worker->next_tile == span;
    int64_t first = 0;
    for (int i = 0; i < job->n_products; i++) {
        const struct matrix *w = job->multiply[i].w;
        const int64_t tile = span - first > 0 ? span - first : 0, tile_end = min_i64(span_end - first, w->n_tiles);
        first += even(w->n_tiles);
        if (tile >= tile_end) continue;
        if (job->few && job->kernels->read_ahead != NULL && (tile == 0 || !goes_on)) job->kernels->read_ahead(w, tile);
        job->kernels->multiply(&job->multiply[i], tile, tile_end, token, token_end, worker->scratch.data);
    }
    worker->next_tile = span_end;
}

// Tiles of a task of many tokens: spans of equal size, because each begins with work that its tiles share.
static int64_t tile_span_of_many(const struct matmul_job *job, int threads)
{
    const int64_t spans = ((int64_t)threads * TASKS_PER_THREAD + job->token_spans - 1) / job->token_spans;
    const int64_t span = (job->n_tiles + spans - 1) / spans;
    return span < MIN_MANY_TOKENS_SPAN ? MIN_MANY_TOKENS_SPAN : span;
}

static int64_t tile_span_of_few(const struct matmul_job *job)
{
    const struct matrix *w = job->multiply[0].w;
    return 1 + FEW_TOKENS_SPAN / (w->kind == MATRIX_DENSE ? TILE_ROWS * w->row_bytes : w->tile_bytes);
}

// Tokens of a task of many: no more than suit any of the products.
static int64_t token_span_of_many(const struct matmul_job *job)
{
    const struct kernels *kernels = job->kernels;
    int64_t span = INT64_MAX;
    for (int i = 0; i < job->n_products; i++)
        span =
            min_i64(span, job->multiply[i].w->kind == MATRIX_DENSE ? kernels->dense_token_tile : kernels->token_tile);
    return span;
}

static void plan_spans(struct matmul_job *job, int threads)
{
    job->few = job->n_tokens <= job->kernels->few_tokens;
    job->token_span = job->few ? job->n_tokens : token_span_of_many(job);
    job->token_spans = (job->n_tokens + job->token_span - 1) / job->token_span;
    job->tile_span = job->few ? tile_span_of_few(job) : tile_span_of_many(job, threads);
    job->tile_span = even(job->tile_span);
    job->tile_spans = (job->n_tiles + job->tile_span - 1) / job->tile_span;
    for (int i = 0; i < threads; i++)
        job->workers[i].next_tile = -1;
}

void device_observe(struct device *device, device_observer observer, void *context)
{
    device->observer = observer;
    device->observer_context = context;
}

// True if kernels make the same of activations for both.
static bool shares_table(const struct matrix *a, const struct matrix *b)
{
    return a->kind == b->kind && a->form == b->form && a->group == b->group &&
           (a->kind != MATRIX_DENSE || a->type == b->type);
}

// Activations of matrix i in its form, with the table that its kernel wants.
static tern_status prepare_product(struct device *device, struct matmul_job *job, int i, const struct matrix *matrix,
                                   const struct activations *form)
{
    job->x[i] = *form;
    for (int twin = 0; twin < i; twin++) {
        if (!shares_table(job->multiply[twin].w, matrix)) continue;
        job->x[i] = job->x[twin];
        return TERN_OK;
    }
    return prepare_table(device, matrix, &device->tables[i], &job->x[i]);
}

tern_status device_matmul(struct device *device, struct weight *const *weights, float *const *outs, int n_weights,
                          const float *x, int64_t n_rows)
{
    struct matmul_job job = {
        .kernels = device->kernels, .workers = device->workers, .n_products = n_weights, .n_tokens = n_rows};
    struct activations forms[ACTIVATION_FORMS] = {0};
    int64_t scratch = 0;
    for (int i = 0; i < n_weights; i++) {
        const struct matrix *matrix = &weights[i]->matrix;
        struct activations *form = &forms[matrix->form];
        if (device->observer != NULL)
            device->observer(device->observer_context, weights[i], x, n_rows, matrix->columns);
        if (form->n_tokens == 0) TRY(prepare_form(device, matrix->form, x, n_rows, matrix->columns, form));
        TRY(prepare_product(device, &job, i, matrix, form));
        job.multiply[i] = (struct multiply){matrix, &job.x[i], outs[i], matrix->rows};
        job.n_tiles += even(matrix->n_tiles);
    }
    plan_spans(&job, pool_threads(device->pool));
    for (int i = 0; i < n_weights; i++) {
        int64_t bytes = device->kernels->scratch_bytes(job.multiply[i].w, job.tile_span, job.token_span);
        if (bytes > scratch) scratch = bytes;
    }
    TRY(cpu_reserve_workers(device, scratch));
    pool_run(device->pool, job.tile_spans * job.token_spans, multiply_task, &job);
    return TERN_OK;
}
