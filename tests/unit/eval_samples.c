// Medians, their intervals, ratios.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "eval/samples.h"

// 1, 2 .. n in an order that is neither.
static struct samples shuffled(int n)
{
    struct samples s = {0};
    for (int i = 0; i < n; i++)
        samples_add(&s, (i * 7) % n + 1); // n must not be a multiple of 7
    return s;
}

static void medians(void **state)
{
    (void)state;
    struct samples s = {0};
    assert_true(samples_median(&s) == 0);
    s = shuffled(5);
    assert_true(samples_median(&s) == 3);
    s = shuffled(6);
    assert_true(samples_median(&s) == 3.5);
    assert_true(s.values[1] == 2 && s.values[5] == 6); // the order of measuring stays
    for (int i = 0; i < 2 * SAMPLES_MAX; i++)
        samples_add(&s, 1);
    assert_int_equal(s.count, SAMPLES_MAX);
}

// Ranks and confidence from tables of the sign test (Conover, table A3, and sums of binomials).
static void intervals_are_those_of_the_tables(void **state)
{
    (void)state;
    static const struct {
        int n, low, high;
        double confidence;
    } known[] = {
        {2, 1, 2, 0.5},
        {3, 1, 3, 0.75},
        {5, 1, 5, 0.9375},
        {6, 1, 6, 0.96875},
        {8, 1, 8, 0.9921875},
        {9, 2, 8, 0.9609375},
        {11, 2, 10, 0.98828125},
        {12, 3, 10, 0.96142578125},
        {15, 4, 12, 0.96484375},
        {20, 6, 15, 0.958610534668},
        {25, 8, 18, 0.956714749336},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct samples s = shuffled(known[i].n);
        struct interval found = samples_interval(&s);
        if (found.low != known[i].low || found.high != known[i].high ||
            fabs(found.confidence - known[i].confidence) > 1e-9)
            fail_msg("%d samples: %g .. %g with %.9f", known[i].n, found.low, found.high, found.confidence);
    }
    struct samples one = shuffled(1);
    struct interval point = samples_interval(&one);
    assert_true(point.low == 1 && point.high == 1 && point.confidence == 0);
}

// One wild value moves neither the median nor, with enough samples, its interval.
static void outliers_do_not_matter(void **state)
{
    (void)state;
    struct samples s = shuffled(9);
    struct interval before = samples_interval(&s);
    for (int i = 0; i < 9; i++)
        if (s.values[i] == 9) s.values[i] = 1e9;
    struct interval after = samples_interval(&s);
    assert_true(before.middle == after.middle && before.low == after.low && before.high == after.high);
}

static struct samples around(double middle, double spread, int n)
{
    struct samples s = {0};
    for (int i = 0; i < n; i++)
        samples_add(&s, middle * (1 + spread * (i * 5 % n - (n - 1) / 2.0) / n));
    return s;
}

static void ratios(void **state)
{
    (void)state;
    struct samples a = around(100, 0, 7), b = around(150, 0, 3);
    struct interval ratio = samples_ratio(&a, &b);
    assert_true(ratio.middle == 1.5 && ratio.low == 1.5 && ratio.high == 1.5 && ratio.confidence == 0.95);
    assert_false(interval_is_noise(&ratio));

    a = around(100, 0.02, 9); // 2 % apart, a tenth faster
    b = around(110, 0.02, 9);
    ratio = samples_ratio(&a, &b);
    assert_true(fabs(ratio.middle - 1.1) < 1e-12);
    assert_true(ratio.low > 1.08 && ratio.low < 1.1 && ratio.high > 1.1 && ratio.high < 1.12);
    assert_false(interval_is_noise(&ratio));
    struct interval back = samples_ratio(&b, &a);
    assert_true(back.middle < 1 && back.high < 1);

    a = around(100, 0.3, 9); // 30 % apart: a tenth says nothing
    b = around(110, 0.3, 9);
    ratio = samples_ratio(&a, &b);
    assert_true(ratio.low < 1 && ratio.high > 1.1);
    assert_true(interval_is_noise(&ratio));

    struct interval again = samples_ratio(&a, &b);
    assert_memory_equal(&ratio, &again, sizeof ratio);
}

// Of 11 values drawn from 1 .. 11, six or more are at most 2 with 0.7 %, at most 3 with 5.1 %.
static void the_bootstrap_cuts_both_ends(void **state)
{
    (void)state;
    struct samples a = around(1, 0, 2), b = shuffled(11);
    struct interval ratio = samples_ratio(&a, &b);
    assert_true(ratio.middle == 6 && ratio.low == 3 && ratio.high == 9);
}

static void one_round_proves_nothing(void **state)
{
    (void)state;
    struct samples a = around(100, 0, 1), b = around(200, 0, 5);
    struct interval ratio = samples_ratio(&a, &b);
    assert_true(ratio.middle == 2 && ratio.confidence == 0);
    assert_true(interval_is_noise(&ratio));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians),
        cmocka_unit_test(intervals_are_those_of_the_tables),
        cmocka_unit_test(outliers_do_not_matter),
        cmocka_unit_test(ratios),
        cmocka_unit_test(the_bootstrap_cuts_both_ends),
        cmocka_unit_test(one_round_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
