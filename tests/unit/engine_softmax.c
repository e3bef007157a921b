// Weights and their sums against the exponential in double precision.
#include "base/elementary.h"
#include "engine/softmax.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void weights_are_exponentials(void **state)
{
    (void)state;
    for (float x = 0; x >= -86.9f; x -= 0.00037f) {
        double exact = elementary_exp((double)x), error = fabs((double)softmax_weight(x, 0, 1) / exact - 1);
        if (error > 3e-7) fail_msg("e^%g: off by %g", (double)x, error);
    }
    assert_true(softmax_weight(5, 5, 1) == 1);
    assert_true(fabs((double)softmax_weight(-3, 5, 4) - exp(-2)) < 1e-7);
}

static void odd_logits_weigh_nothing(void **state)
{
    (void)state;
    assert_true(softmax_weight(-88, 0, 1) == 0);
    assert_true(softmax_weight(-INFINITY, 0, 1) == 0);
    assert_true(softmax_weight(NAN, 0, 1) == 0);
    assert_true(softmax_weight(-1, 0, 1e-40f) == 0);
    assert_true(softmax_weight(0, 0, 1e-40f) == 1);
    const float logits[3] = {NAN, 2, -INFINITY};
    assert_true(softmax_total(logits, 3, 2, 1) == 1);
}

static void totals_are_sums(void **state)
{
    (void)state;
    enum { MOST = 3000 };
    float logits[MOST];
    uint32_t random = 5;
    for (int i = 0; i < MOST; i++) {
        random = random * 1664525 + 1013904223;
        logits[i] = -(float)(random >> 8) * 0x1p-20f;
    }
    for (int32_t n = 1; n <= MOST; n += n < 600 ? 1 : 397) {
        double sum = 0;
        for (int32_t i = 0; i < n; i++)
            sum += elementary_exp((double)logits[i] / 1.5);
        double error = fabs(softmax_total(logits, n, 0, 1.5f) / sum - 1);
        if (error > 1e-6) fail_msg("%d logits: off by %g", n, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_exponentials),
        cmocka_unit_test(odd_logits_weigh_nothing),
        cmocka_unit_test(totals_are_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
