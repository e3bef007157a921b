#include "eval/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double CONFIDENCE = 0.95;

void samples_add(struct samples *samples, double value)
{
    if (samples->count < SAMPLES_MAX) samples->values[samples->count++] = value;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of_sorted(const double *sorted, int32_t n)
{
    return n > 0 ? (sorted[(n - 1) / 2] + sorted[n / 2]) / 2 : 0;
}

// sorted: [SAMPLES_MAX]
static void sort_into(double *sorted, const struct samples *samples)
{
    memcpy(sorted, samples->values, (size_t)samples->count * sizeof *sorted);
    qsort(sorted, (size_t)samples->count, sizeof *sorted, compare_doubles);
}

double samples_median(const struct samples *samples)
{
    double sorted[SAMPLES_MAX];
    sort_into(sorted, samples);
    return median_of_sorted(sorted, samples->count);
}

struct interval samples_interval(const struct samples *samples)
{
    double sorted[SAMPLES_MAX];
    int32_t n = samples->count;
    sort_into(sorted, samples);
    struct interval out = {.middle = median_of_sorted(sorted, n)};
    out.low = out.high = out.middle;
    if (n < 2) return out;
    // The median lies outside of the k-th sample from both ends if fewer than k of n fair coins fall on one side:
    // twice the binomial's lower tail, summed as k grows.
    double term = pow(0.5, n), tail = 0;
    for (int32_t k = 1; k <= n / 2; k++) {
        tail += term; // of 0 .. k - 1 coins
        term *= (double)(n - k + 1) / k;
        if (k > 1 && 1 - 2 * tail < CONFIDENCE) break;
        out = (struct interval){out.middle, sorted[k - 1], sorted[n - k], 1 - 2 * tail};
    }
    return out;
}

// SplitMix64 (Steele, Lea and Flood 2014).
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// The median of as many values as there are, drawn with replacement.
static double resampled_median(const struct samples *samples, uint64_t *state)
{
    struct samples drawn = {.count = samples->count};
    for (int32_t i = 0; i < drawn.count; i++)
        drawn.values[i] = samples->values[next_random(state) % (uint64_t)samples->count];
    return samples_median(&drawn);
}

struct interval samples_ratio(const struct samples *a, const struct samples *b)
{
    enum { DRAWS = 4000 };
    double ratios[DRAWS], ratio = samples_median(b) / samples_median(a);
    if (a->count < 2 || b->count < 2) return (struct interval){ratio, ratio, ratio, 0};
    uint64_t state = 1;
    for (int i = 0; i < DRAWS; i++) {
        double denominator = resampled_median(a, &state);
        ratios[i] = resampled_median(b, &state) / denominator;
    }
    qsort(ratios, DRAWS, sizeof *ratios, compare_doubles);
    int outside = (int)((1 - CONFIDENCE) / 2 * DRAWS);
    return (struct interval){ratio, ratios[outside], ratios[DRAWS - 1 - outside], CONFIDENCE};
}

bool interval_is_noise(const struct interval *ratio)
{
    return ratio->confidence == 0 || (ratio->low <= 1 && ratio->high >= 1);
}
