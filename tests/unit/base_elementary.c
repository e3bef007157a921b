// exp, log, sin and cos against digits computed with 50-digit arithmetic (Python's mpmath), and the C library's.
#include "base/elementary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_close(double found, double expected, double bound)
{
    double error = fabs(found - expected);
    if (!(error <= bound * fmax(1e-300, fabs(expected)))) fail_msg("found %.17g, expected %.17g", found, expected);
}

static void known_digits(void **state)
{
    (void)state;
    assert_close(elementary_exp(1), 2.7182818284590452354, 1e-15);
    assert_close(elementary_exp(-30.5), 5.6756852326327224619e-14, 1e-15);
    assert_close(elementary_log(1e6), 13.815510557964274104, 1e-15);
    assert_close(elementary_log(0x1p-1074), -744.44007192138126231, 1e-15);
    double sine, cosine;
    elementary_sincos(100000, &sine, &cosine);
    assert_close(sine, 0.035748797972016509316, 1e-14);
    assert_close(cosine, -0.99936080743821245189, 1e-15);
}

static void as_the_library(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 200000; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        double unit = (double)(random >> 11) * 0x1p-53, x = (unit - 0.5) * 1400, angle = (unit - 0.5) * 262144;
        double sine, cosine;
        elementary_sincos(angle, &sine, &cosine);
        assert_close(elementary_exp(x), exp(x), 2e-15);
        assert_close(elementary_log(unit * 1e9 + 1e-9), log(unit * 1e9 + 1e-9), 2e-15);
        assert_true(fabs(sine - sin(angle)) < 1e-15 && fabs(cosine - cos(angle)) < 1e-15);
    }
}

static void edges(void **state)
{
    (void)state;
    double sine, cosine;
    assert_true(elementary_exp(-800) == 0 && elementary_exp(0) == 1);
    assert_true(isinf(elementary_exp(710)) && isnan(elementary_exp(NAN)));
    assert_true(elementary_log(1) == 0 && elementary_log(0) == -INFINITY && isnan(elementary_log(-1)));
    elementary_sincos(0, &sine, &cosine);
    assert_true(sine == 0 && cosine == 1);
    elementary_sincos(INFINITY, &sine, &cosine);
    assert_true(isnan(sine) && isnan(cosine));
    elementary_sincos(0x1p31, &sine, &cosine);
    assert_true(isnan(sine) && isnan(cosine));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digits),
        cmocka_unit_test(as_the_library),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
