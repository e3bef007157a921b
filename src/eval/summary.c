#include "eval/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const double summary_shares[SUMMARY_QUANTILES] = {0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99};

struct estimate estimate_mean(const double *values, int64_t n)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += values[i];
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    double variance = squares / (double)n;
    return (struct estimate){.mean = mean, .error = n > 1 ? sqrt(variance / (double)(n - 1)) : 0};
}

struct estimate estimate_perplexity(const double *losses, int64_t n)
{
    struct estimate loss = estimate_mean(losses, n);
    double perplexity = exp(loss.mean);
    return (struct estimate){.mean = perplexity, .error = perplexity * loss.error};
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, int64_t n, double share)
{
    double place = share * (double)(n - 1);
    int64_t below = (int64_t)place, above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

// `scratch` is [n].
static void summarise_divergence(const struct evaluation *e, double *scratch, struct summary *out)
{
    out->divergence = estimate_mean(e->divergence, e->n);
    memcpy(scratch, e->divergence, (size_t)e->n * sizeof *scratch);
    qsort(scratch, (size_t)e->n, sizeof *scratch, compare_doubles);
    out->largest_divergence = scratch[e->n - 1];
    for (int i = 0; i < SUMMARY_QUANTILES; i++)
        out->quantiles[i] = quantile(scratch, e->n, summary_shares[i]);
}

tern_status summarise(const struct evaluation *e, struct summary *out)
{
    double *scratch = malloc((size_t)e->n * sizeof *scratch);
    if (scratch == NULL) return status_fail(TERN_NO_MEMORY, "no memory for %lld figures", (long long)e->n);
    *out = (struct summary){.n = e->n};
    out->perplexity_a = estimate_perplexity(e->loss_a, e->n);
    out->perplexity_b = estimate_perplexity(e->loss_b, e->n);
    summarise_divergence(e, scratch, out);
    for (int64_t i = 0; i < e->n; i++)
        scratch[i] = e->loss_b[i] - e->loss_a[i];
    out->log_ratio = estimate_mean(scratch, e->n);
    for (int64_t i = 0; i < e->n; i++)
        scratch[i] = e->same_top[i];
    out->same_top = estimate_mean(scratch, e->n);
    free(scratch);
    return TERN_OK;
}
