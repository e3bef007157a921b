#include "eval/benchmark.h"

#include <stdlib.h>
#include <string.h>

double benchmark_busy(const struct benchmark *benchmark)
{
    struct samples medians = {0};
    for (int32_t i = 0; i < benchmark->n_cases; i++)
        if (benchmark->cases[i].busy.count > 0) samples_add(&medians, samples_median(&benchmark->cases[i].busy));
    return samples_median(&medians);
}

static bool same_model(const struct benchmark *a, int32_t i, const struct benchmark *b, int32_t j)
{
    return (a->n_models == 1 && b->n_models == 1) || strcmp(a->models[i].file, b->models[j].file) == 0;
}

static bool same_case(const struct benchmark *a, const struct benchmark_case *x, const struct benchmark *b,
                      const struct benchmark_case *y)
{
    if (x->test != y->test || x->threads != y->threads) return false;
    if (x->test == BENCHMARK_STREAM) return true;
    return x->tokens == y->tokens && x->depth == y->depth && x->streams == y->streams && x->kv_type == y->kv_type &&
           same_model(a, x->model, b, y->model);
}

// The case of `b` that measured what `x` did; NULL if none has.
static const struct benchmark_case *find_twin(const struct benchmark *a, const struct benchmark_case *x,
                                              const struct benchmark *b)
{
    for (int32_t i = 0; i < b->n_cases; i++)
        if (b->cases[i].rates.count > 0 && same_case(a, x, b, &b->cases[i])) return &b->cases[i];
    return NULL;
}

static int32_t count_measured(const struct benchmark *benchmark)
{
    int32_t n = 0;
    for (int32_t i = 0; i < benchmark->n_cases; i++)
        n += benchmark->cases[i].rates.count > 0;
    return n;
}

tern_status benchmark_compare(const struct benchmark *a, const struct benchmark *b, struct benchmark_comparison *out)
{
    *out = (struct benchmark_comparison){0};
    out->pairs = calloc((size_t)a->n_cases + 1, sizeof *out->pairs);
    if (out->pairs == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %d cases", (int)a->n_cases);
    for (int32_t i = 0; i < a->n_cases; i++) {
        const struct benchmark_case *x = &a->cases[i], *y = x->rates.count > 0 ? find_twin(a, x, b) : NULL;
        if (y == NULL) continue;
        out->pairs[out->n_pairs++] = (struct benchmark_pair){x, y, samples_ratio(&x->rates, &y->rates)};
    }
    out->only_a = count_measured(a) - out->n_pairs;
    out->only_b = count_measured(b) - out->n_pairs;
    return TERN_OK;
}

void benchmark_comparison_free(struct benchmark_comparison *comparison)
{
    free(comparison->pairs);
    *comparison = (struct benchmark_comparison){0};
}
