// Trits and scales: what is exact, the optimum against every possibility, and the published formulas by hand.
#include "convert/ternarise.h"

#include "base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t seed = 1;

// In (-1, 1).
static float next_random(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((double)(int64_t)seed * 0x1p-63);
}

// ---- Exact ------------------------------------------------------------------------------------------------------

static void trits_with_one_scale_are_exact(void **state)
{
    (void)state;
    float s;
    assert_true(ternarise_exact((float[]){0, 0.5f, -0.5f, -0.0f}, 4, &s));
    assert_float_equal(s, 0.5f, 0);
    assert_true(ternarise_exact((float[]){0, -0.0f, 0}, 3, &s));
    assert_float_equal(s, 0, 0);
    assert_true(ternarise_exact((float[]){0x1p-24f}, 1, &s)); // the smallest half
}

static void anything_else_is_not(void **state)
{
    (void)state;
    float s;
    assert_false(ternarise_exact((float[]){0, 0.5f, -0.25f}, 3, &s));
    assert_float_equal(s, 0.25f, 0);
    assert_false(ternarise_exact((float[]){0.1f, -0.1f}, 2, &s)); // one scale, but no half's value
    assert_float_equal(s, 0.1f, 0);
    assert_false(ternarise_exact((float[]){65536, 0}, 2, &s)); // beyond the halves
    assert_false(ternarise_exact((float[]){0x1p-25f, 0}, 2, &s));
}

static void bits_are_exact_without_zeros(void **state)
{
    (void)state;
    float s;
    assert_true(binarise_exact((float[]){0.5f, -0.5f}, 2, &s));
    assert_float_equal(s, 0.5f, 0);
    assert_true(binarise_exact((float[]){0, -0.0f}, 2, &s));
    assert_false(binarise_exact((float[]){0.5f, 0}, 2, &s));
    assert_false(binarise_exact((float[]){0.1f, 0.1f}, 2, &s));
}

// ---- Fits -------------------------------------------------------------------------------------------------------

static double squared_error(const float *w, const float *h, const uint8_t *codes, double scale, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)h[i] * pow((double)w[i] - scale * (codes[i] - 1), 2);
    return sum;
}

// The smallest error of any of the 3^n vectors of trits, each with its own best scale.
static double smallest_error(const float *w, const float *h, int n)
{
    double best = INFINITY;
    int vectors = 1;
    for (int i = 0; i < n; i++)
        vectors *= 3;
    for (int v = 0; v < vectors; v++) {
        uint8_t codes[8];
        double dot = 0, all = 0;
        for (int i = 0, rest = v; i < n; i++, rest /= 3) {
            codes[i] = (uint8_t)(rest % 3);
            dot += (double)h[i] * (double)w[i] * (codes[i] - 1);
            all += (double)h[i] * (codes[i] != 1);
        }
        best = fmin(best, squared_error(w, h, codes, all > 0 ? dot / all : 0, n));
    }
    return best;
}

// Only the rounding of the scale to a half may be lost: a relative 2^-11 of it, whose square times the weights' energy
// bounds the difference.
static void least_squares_is_the_optimum(void **state)
{
    (void)state;
    enum { N = 8, ROUNDS = 200 };
    uint64_t keys[2 * N];
    for (int round = 0; round < ROUNDS; round++) {
        float w[N], h[N];
        double energy = 0;
        for (int i = 0; i < N; i++) {
            w[i] = round % 2 ? next_random() : next_random() * next_random() * next_random();
            h[i] = round % 4 < 2 ? 1 : next_random() * next_random() + 1;
            energy += (double)h[i] * (double)w[i] * (double)w[i];
        }
        uint8_t codes[N];
        const float *importance = round % 4 < 2 ? NULL : h;
        struct ternary_fit fit = ternarise_fit(TERNARISE_LEAST_SQUARES, w, importance, N, keys);
        ternarise_codes(w, N, fit.threshold, codes);
        double error = squared_error(w, h, codes, (double)fit.scale, N), best = smallest_error(w, h, N);
        assert_true(error >= best - 1e-12);
        assert_true(error <= best + energy * 0x1p-20);
    }
}

static void least_squares_sorts_long_groups(void **state)
{
    (void)state;
    enum { N = 4096 };
    static float w[N];
    static uint64_t keys[2 * N];
    for (int i = 0; i < N; i++)
        w[i] = i % 4 == 0 ? (float)(i % 8 ? -1 : 1) * (100 + (float)(i % 3)) : 0.001f * next_random();
    struct ternary_fit fit = ternarise_fit(TERNARISE_LEAST_SQUARES, w, NULL, N, keys);
    assert_float_equal(fit.scale, 101, 0.07); // the mean of 100, 101, 102, as a half
}

static void absmean_rounds_to_the_mean_magnitude(void **state)
{
    (void)state;
    const float w[4] = {1, -0.5f, 0.25f, -0.25f}; // mean magnitude 0.5: 2, -1, 0.5, -0.5 of it
    uint8_t codes[4];
    struct ternary_fit fit = ternarise_fit(TERNARISE_ABSMEAN, w, NULL, 4, NULL);
    assert_float_equal(fit.scale, 0.5f, 0);
    ternarise_codes(w, 4, fit.threshold, codes);
    assert_memory_equal(codes, ((uint8_t[]){2, 0, 1, 1}), 4); // halves round to even, 0
}

static void threshold_takes_the_mean_of_what_is_above(void **state)
{
    (void)state;
    const float w[4] = {1, -0.5f, 0.25f, -0.25f}; // threshold 0.35
    uint8_t codes[4];
    struct ternary_fit fit = ternarise_fit(TERNARISE_THRESHOLD, w, NULL, 4, NULL);
    assert_float_equal(fit.threshold, 0.35f, 1e-7);
    assert_float_equal(fit.scale, 0.75f, 0);
    ternarise_codes(w, 4, fit.threshold, codes);
    assert_memory_equal(codes, ((uint8_t[]){2, 0, 1, 1}), 4);
}

static void zeros_have_no_scale(void **state)
{
    (void)state;
    const float w[3] = {0, 0, 0};
    uint64_t keys[6];
    for (int method = TERNARISE_LEAST_SQUARES; method <= TERNARISE_BLOCK64; method++)
        assert_float_equal(ternarise_fit((enum ternarise_method)method, w, NULL, 3, keys).scale, 0, 0);
    assert_float_equal(binarise_scale(w, 3), 0, 0);
}

static void bits_have_the_mean_magnitude(void **state)
{
    (void)state;
    const float w[4] = {1, -0.5f, 0.25f, -0.25f};
    uint8_t bits[4];
    assert_float_equal(binarise_scale(w, 4), 0.5f, 0);
    binarise_bits(w, 4, bits);
    assert_memory_equal(bits, ((uint8_t[]){1, 0, 1, 0}), 4);
}

static void the_best_scale_of_given_trits(void **state)
{
    (void)state;
    assert_float_equal(ternarise_scale_codes((float[]){1, -0.5f, 0.25f}, NULL, (uint8_t[]){2, 0, 1}, 3), 0.75f, 0);
    assert_float_equal(ternarise_scale_codes((float[]){1, -0.5f, 0.25f}, (float[]){3, 1, 9}, (uint8_t[]){2, 0, 1}, 3),
                       0.875f, 0);
    assert_float_equal(ternarise_scale_codes((float[]){1, 2}, NULL, (uint8_t[]){1, 1}, 2), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trits_with_one_scale_are_exact),
        cmocka_unit_test(anything_else_is_not),
        cmocka_unit_test(bits_are_exact_without_zeros),
        cmocka_unit_test(least_squares_is_the_optimum),
        cmocka_unit_test(least_squares_sorts_long_groups),
        cmocka_unit_test(absmean_rounds_to_the_mean_magnitude),
        cmocka_unit_test(threshold_takes_the_mean_of_what_is_above),
        cmocka_unit_test(zeros_have_no_scale),
        cmocka_unit_test(bits_have_the_mean_magnitude),
        cmocka_unit_test(the_best_scale_of_given_trits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
