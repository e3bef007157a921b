#include "convert/tensor_fit.h"

#include "convert/dense.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_PASSES = 32 };

// What one pass learns about rows: of magnitudes above the threshold their number, and their sum and the sum of their
// importance; whether all that are not 0 are alike, and which they are.
struct moments {
    double sum, importance;
    uint64_t count;
    float magnitude;
    bool alike;
};

struct pass {
    const struct tensor_plan *plan;
    const struct source *source;
    float threshold;
    const float *importance; // [columns], or NULL
    float **rows;            // [threads][columns]
    struct moments *moments; // [strips]
};

static void add_row(const float *w, const float *importance, uint64_t n, float threshold, struct moments *m)
{
    for (uint64_t i = 0; i < n; i++) {
        float magnitude = fabsf(w[i]);
        if (magnitude != 0 && m->magnitude == 0) m->magnitude = magnitude;
        if (magnitude != 0 && magnitude != m->magnitude) m->alike = false;
        if (!(magnitude > threshold)) continue;
        double weight = importance != NULL ? (double)importance[i] : 1;
        m->sum += weight * (double)magnitude;
        m->importance += weight;
        m->count++;
    }
}

static void scan_strip(void *context, int64_t index, int worker)
{
    struct pass *pass = context;
    const struct tensor *t = &pass->plan->source->tensor;
    uint64_t first = (uint64_t)index * STRIP_ROWS, end = first + STRIP_ROWS < t->rows ? first + STRIP_ROWS : t->rows;
    struct moments *m = &pass->moments[index];
    *m = (struct moments){.alike = true};
    for (uint64_t row = first; row < end; row++) {
        source_read_row(pass->plan->source, row, pass->rows[worker]);
        add_row(pass->rows[worker], pass->importance, t->dims[0], pass->threshold, m);
    }
    source_release_rows(pass->source, pass->plan->source, first, end - first);
}

// In the order of strips.
static struct moments join_moments(const struct moments *strips, uint64_t n)
{
    struct moments all = {.alike = true};
    for (uint64_t i = 0; i < n; i++) {
        all.sum += strips[i].sum;
        all.importance += strips[i].importance;
        all.count += strips[i].count;
        if (all.magnitude == 0) all.magnitude = strips[i].magnitude;
        if (!strips[i].alike || (strips[i].magnitude != 0 && strips[i].magnitude != all.magnitude)) all.alike = false;
    }
    return all;
}

static struct moments run_pass(struct pass *pass, struct pool *pool, float threshold)
{
    uint64_t strips = (pass->plan->source->tensor.rows + STRIP_ROWS - 1) / STRIP_ROWS;
    pass->threshold = threshold;
    pool_run(pool, (int64_t)strips, scan_strip, pass);
    return join_moments(pass->moments, strips);
}

// What the type makes of a scale: I2_S holds a float, floats are what they are, all else has halves.
static float stored_scale(const struct tensor_plan *plan, double scale)
{
    switch (plan->type) {
    case DTYPE_I2_S:
    case DTYPE_F32:
        return (float)scale;
    case DTYPE_BF16:
        return bfloat16_to_float(dense_bfloat16((float)scale));
    default:
        return half_to_float(half_from_float((float)scale));
    }
}

static float mean(const struct moments *m)
{
    return m->importance > 0 ? (float)(m->sum / m->importance) : 0;
}

static struct ternary_fit alternate(struct pass *pass, struct pool *pool, struct ternary_fit fit)
{
    uint64_t count = UINT64_MAX;
    pass->importance = pass->plan->importance;
    for (int i = 0; i < MAX_PASSES; i++) {
        struct moments m = run_pass(pass, pool, fit.threshold);
        if (m.count == count) break;
        count = m.count;
        fit.scale = stored_scale(pass->plan, (double)mean(&m));
        fit.threshold = fit.scale / 2;
    }
    return fit;
}

static struct ternary_fit find_fit(struct pass *pass, struct pool *pool)
{
    const struct tensor_plan *plan = pass->plan;
    uint64_t weights = plan->source->tensor.rows * plan->source->tensor.dims[0];
    struct moments all = run_pass(pass, pool, 0);
    if (all.alike && stored_scale(plan, (double)all.magnitude) == all.magnitude)
        return (struct ternary_fit){.threshold = 0, .scale = all.magnitude};
    float absmean = (float)(all.sum / (double)weights);
    if (plan->method == TERNARISE_ABSMEAN) {
        // Trits by the mean itself, as the model was trained; its rounding moves the scale alone.
        return (struct ternary_fit){.threshold = absmean / 2, .scale = stored_scale(plan, (double)absmean)};
    }
    struct ternary_fit fit = {.threshold = 0.7f * absmean};
    if (plan->method == TERNARISE_LEAST_SQUARES) return alternate(pass, pool, fit);
    struct moments above = run_pass(pass, pool, fit.threshold);
    fit.scale = stored_scale(plan, (double)mean(&above));
    return fit;
}

static tern_status open_pass(struct pass *pass, struct pool *pool)
{
    const struct tensor *t = &pass->plan->source->tensor;
    int threads = pool_threads(pool);
    pass->moments = calloc((size_t)(t->rows / STRIP_ROWS + 1), sizeof *pass->moments);
    pass->rows = calloc((size_t)threads, sizeof *pass->rows);
    bool complete = pass->moments != NULL && pass->rows != NULL;
    for (int i = 0; complete && i < threads; i++)
        complete = (pass->rows[i] = malloc((size_t)t->dims[0] * sizeof **pass->rows)) != NULL;
    return complete ? TERN_OK : status_fail(TERN_NO_MEMORY, "tensor %s: no memory for its rows", t->name);
}

static void close_pass(struct pass *pass, struct pool *pool)
{
    for (int i = 0; pass->rows != NULL && i < pool_threads(pool); i++)
        free(pass->rows[i]);
    free(pass->rows);
    free(pass->moments);
}

tern_status tensor_fit(struct tensor_plan *plan, const struct source *source, struct pool *pool)
{
    if (plan->method == TERNARISE_BLOCK64)
        return status_fail(TERN_UNSUPPORTED,
                           "tensor %s: tiles of 64 x 64 have scales of their own, one for a whole "
                           "tensor was asked for (by I2_S or by --scale)",
                           plan->source->tensor.name);
    struct pass pass = {.plan = plan, .source = source};
    tern_status status = open_pass(&pass, pool);
    if (status == TERN_OK) plan->fit = find_fit(&pass, pool);
    close_pass(&pass, pool);
    return status;
}
