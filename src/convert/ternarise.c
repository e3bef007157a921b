#include "convert/ternarise.h"

#include "base/half.h"

#include <math.h>

static float round_to_half(float x)
{
    return half_to_float(half_from_float(x));
}

// ---- What is exact already --------------------------------------------------------------------------------------

bool ternarise_exact(const float *w, size_t n, float *magnitude)
{
    float s = 0;
    for (size_t i = 0; i < n; i++) {
        float m = fabsf(w[i]);
        if (m == 0 || m == s) continue;
        *magnitude = m;
        if (s != 0) return false;
        s = m;
    }
    *magnitude = s;
    return s <= TERNARISE_MAX_SCALE && round_to_half(s) == s;
}

bool binarise_exact(const float *w, size_t n, float *magnitude)
{
    float s = fabsf(w[0]);
    for (size_t i = 1; i < n; i++) {
        *magnitude = fabsf(w[i]);
        if (*magnitude != s) return false;
    }
    *magnitude = s;
    return s <= TERNARISE_MAX_SCALE && round_to_half(s) == s;
}

// ---- Fits -------------------------------------------------------------------------------------------------------

// A weight's magnitude as a key: the bits of a non-negative float are in the order of the floats themselves. Its index
// comes along in the low half.
static uint64_t make_key(float w, size_t index)
{
    return (uint64_t)half_to_bits32(fabsf(w)) << 32 | (uint32_t)index;
}

// Sorts keys by their magnitudes, the largest first: by bytes from the lowest up. A byte in which all agree needs no
// pass. Returns keys or keys + n.
static const uint64_t *sort_descending(uint64_t *keys, size_t n)
{
    uint64_t *from = keys, *to = keys + n;
    for (unsigned shift = 32; shift < 64; shift += 8) {
        size_t starts[256] = {0};
        for (size_t i = 0; i < n; i++)
            starts[from[i] >> shift & 255]++;
        if (starts[from[0] >> shift & 255] == n) continue;
        for (size_t digit = 256, at = 0; digit-- > 0;) {
            size_t count = starts[digit];
            starts[digit] = at;
            at += count;
        }
        for (size_t i = 0; i < n; i++)
            to[starts[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

static double importance_of(const float *importance, size_t i)
{
    return importance != NULL ? (double)importance[i] : 1;
}

// For the k largest magnitudes as the ones, the best scale is their (weighted) mean, and the squared error is less than
// that of no ones at all by (their sum)^2 / (the sum of their importance). The best trits are those of some k, as for
// any scale the nearest trits are given by a threshold; so trying every k finds the optimum.
static struct ternary_fit fit_least_squares(const float *w, const float *importance, size_t n, uint64_t *keys)
{
    for (size_t i = 0; i < n; i++)
        keys[i] = make_key(w[i], i);
    const uint64_t *sorted = sort_descending(keys, n);
    double sum = 0, all = 0, best_gain = 0, scale = 0;
    for (size_t k = 0; k < n; k++) {
        size_t i = (uint32_t)sorted[k];
        sum += importance_of(importance, i) * (double)fabsf(w[i]);
        all += importance_of(importance, i);
        double gain = all > 0 ? sum * sum / all : 0;
        if (gain <= best_gain) continue;
        best_gain = gain;
        scale = sum / all;
    }
    float rounded = round_to_half((float)scale);
    return (struct ternary_fit){.threshold = rounded / 2, .scale = rounded};
}

static double sum_magnitudes(const float *w, size_t n, float threshold, size_t *count)
{
    double sum = 0;
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(w[i]) > threshold)) continue;
        sum += (double)fabsf(w[i]);
        ++*count;
    }
    return sum;
}

static float mean_magnitude(const float *w, size_t n)
{
    size_t unused;
    return (float)(sum_magnitudes(w, n, 0, &unused) / (double)n);
}

static struct ternary_fit fit_absmean(const float *w, size_t n)
{
    float scale = round_to_half(mean_magnitude(w, n));
    return (struct ternary_fit){.threshold = scale / 2, .scale = scale};
}

static struct ternary_fit fit_threshold(const float *w, size_t n)
{
    size_t count;
    float threshold = 0.7f * mean_magnitude(w, n);
    double sum = sum_magnitudes(w, n, threshold, &count);
    return (struct ternary_fit){.threshold = threshold,
                                .scale = count > 0 ? round_to_half((float)(sum / (double)count)) : 0};
}

struct ternary_fit ternarise_fit(enum ternarise_method method, const float *w, const float *importance, size_t n,
                                 uint64_t *keys)
{
    if (method == TERNARISE_ABSMEAN) return fit_absmean(w, n);
    if (method == TERNARISE_THRESHOLD) return fit_threshold(w, n);
    return fit_least_squares(w, importance, n, keys);
}

float binarise_scale(const float *w, size_t n)
{
    return round_to_half(mean_magnitude(w, n));
}

float ternarise_scale_codes(const float *w, const float *importance, const uint8_t *codes, size_t n)
{
    double sum = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        sum += importance_of(importance, i) * (double)w[i] * (codes[i] - 1);
        all += importance_of(importance, i) * (codes[i] != 1);
    }
    return all > 0 ? round_to_half((float)(sum / all)) : 0;
}

// ---- Codes ------------------------------------------------------------------------------------------------------

void ternarise_codes(const float *w, size_t n, float threshold, uint8_t *codes)
{
    for (size_t i = 0; i < n; i++)
        codes[i] = (uint8_t)(1 + (w[i] > threshold) - (w[i] < -threshold));
}

void binarise_bits(const float *w, size_t n, uint8_t *bits)
{
    for (size_t i = 0; i < n; i++)
        bits[i] = w[i] >= 0;
}
