// Halves: every value there and back, and rounding against the definition "nearest, ties to even".
#include "base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void known_values(void **state)
{
    (void)state;
    const struct {
        uint16_t bits;
        float value;
    } known[] = {{0x0000, 0.0F},     {0x3c00, 1.0F},     {0xc000, -2.0F},      {0x7bff, 65504.0F},
                 {0x0400, 0x1p-14F}, {0x0001, 0x1p-24F}, {0x03ff, 0x3ffp-24F}, {0x3555, 0.33325195F},
                 {0x7c00, INFINITY}, {0xfc00, -INFINITY}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_true(half_to_float(known[i].bits) == known[i].value);
        assert_int_equal(half_from_float(known[i].value), known[i].bits);
    }
    assert_int_equal(half_from_float(-0.0F), 0x8000);
    assert_true(bfloat16_to_float(0x3fc0) == 1.5F);
}

static void every_half_returns(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits <= 0xffff; bits++) {
        float value = half_to_float((uint16_t)bits);
        uint16_t back = half_from_float(value);
        if (isnan(value))
            assert_int_equal(back, bits | 0x200); // quiet, as hardware makes it
        else
            assert_int_equal(back, bits);
    }
}

// The midpoint of two neighbours goes to the even one; a float just beside it to the nearer one.
static void rounding(void **state)
{
    (void)state;
    for (uint16_t low = 0; low < 0x7bff; low++) {
        uint16_t high = (uint16_t)(low + 1), even = low % 2 == 0 ? low : high;
        float middle = (half_to_float(low) + half_to_float(high)) / 2; // exact in a float
        assert_int_equal(half_from_float(middle), even);
        assert_int_equal(half_from_float(nextafterf(middle, 0)), low);
        assert_int_equal(half_from_float(nextafterf(middle, INFINITY)), high);
    }
    assert_int_equal(half_from_float(65519.996F), 0x7bff);
    assert_int_equal(half_from_float(65520.0F), 0x7c00);
    assert_int_equal(half_from_float(3e38F), 0x7c00);
    assert_int_equal(half_from_float(1e-40F), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(every_half_returns),
        cmocka_unit_test(rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
