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

// Sorts the bits of n non-negative floats, which are in the order of the floats themselves, from the largest to the
// smallest: by bytes from the lowest up. A byte in which all agree needs no pass. Returns keys or keys + n.
static const uint32_t *sort_descending(uint32_t *keys, size_t n)
{
    uint32_t *from = keys, *to = keys + n;
    for (unsigned shift = 0; shift < 32; shift += 8) {
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
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

// For the k largest magnitudes as the ones, the best scale is their mean, and the squared error is less than that of no
// ones at all by (their sum)^2 / k. The best trits are those of some k, as for any scale the nearest trits are given by
// a threshold; so trying every k finds the optimum.
static struct ternary_fit fit_least_squares(const float *w, size_t n, uint32_t *keys)
{
    for (size_t i = 0; i < n; i++)
        keys[i] = half_to_bits32(fabsf(w[i]));
    const uint32_t *sorted = sort_descending(keys, n);
    double sum = 0, best_gain = 0, scale = 0;
    for (size_t k = 0; k < n; k++) {
        sum += (double)half_from_bits32(sorted[k]);
        double gain = sum * sum / (double)(k + 1);
        if (gain <= best_gain) continue;
        best_gain = gain;
        scale = sum / (double)(k + 1);
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

struct ternary_fit ternarise_fit(enum ternarise_method method, const float *w, size_t n, uint32_t *keys)
{
    if (method == TERNARISE_ABSMEAN) return fit_absmean(w, n);
    if (method == TERNARISE_THRESHOLD) return fit_threshold(w, n);
    return fit_least_squares(w, n, keys);
}

float binarise_scale(const float *w, size_t n)
{
    return round_to_half(mean_magnitude(w, n));
}

float ternarise_scale_codes(const float *w, const uint8_t *codes, size_t n)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)w[i] * (codes[i] - 1);
        count += codes[i] != 1;
    }
    return count > 0 ? round_to_half((float)(sum / (double)count)) : 0;
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
