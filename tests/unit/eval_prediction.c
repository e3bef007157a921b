// Divergence, perplexity and their summary against numpy's figures (tests/tools/golden_eval.py).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "eval/summary.h"

#include "eval_table.h"

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-12 * fmax(1, fabs(expected))))
        fail_msg("%.17g, expected %.17g", found, expected);
}

static void assert_estimate(struct estimate found, const double expected[2])
{
    assert_near(found.mean, expected[0]);
    assert_near(found.error, expected[1]);
}

static void rows_equal_numpys(void **state)
{
    (void)state;
    for (int i = 0; i < TABLE_ROWS; i++) {
        struct prediction a = prediction_of(table_a[i], TABLE_TOKENS, table_next[i]);
        struct prediction b = prediction_of(table_b[i], TABLE_TOKENS, table_next[i]);
        assert_int_equal(a.top, table_top_a[i]);
        assert_near(-a.log_probability, table_loss_a[i]);
        assert_near(-b.log_probability, table_loss_b[i]);
        assert_near(prediction_divergence(table_a[i], a.log_sum, table_b[i], b.log_sum, TABLE_TOKENS),
                    table_divergence[i]);
    }
}

static void summary_equals_numpys(void **state)
{
    (void)state;
    double loss_a[TABLE_ROWS], loss_b[TABLE_ROWS], divergence[TABLE_ROWS];
    uint8_t same[TABLE_ROWS];
    for (int i = 0; i < TABLE_ROWS; i++) {
        loss_a[i] = table_loss_a[i];
        loss_b[i] = table_loss_b[i];
        divergence[i] = table_divergence[i];
        same[i] = prediction_of(table_b[i], TABLE_TOKENS, 0).top == table_top_a[i];
    }
    struct evaluation e = {
        .n = TABLE_ROWS, .loss_a = loss_a, .loss_b = loss_b, .divergence = divergence, .same_top = same};
    struct summary s;
    assert_int_equal(summarise(&e, &s), TERN_OK);
    assert_estimate(s.perplexity_a, table_perplexity_a);
    assert_estimate(s.perplexity_b, table_perplexity_b);
    assert_estimate(s.log_ratio, table_log_ratio);
    assert_estimate(s.divergence, table_mean_divergence);
    assert_estimate(s.same_top, table_same_top);
    for (int i = 0; i < SUMMARY_QUANTILES; i++)
        assert_near(s.quantiles[i], table_quantiles[i]);
    double largest = 0;
    for (int i = 0; i < TABLE_ROWS; i++)
        largest = fmax(largest, table_divergence[i]);
    assert_near(s.largest_divergence, largest);
}

static void one_value_has_no_error(void **state)
{
    (void)state;
    double value = 2;
    struct estimate e = estimate_mean(&value, 1);
    assert_true(e.mean == 2 && e.error == 0);
}

static void the_lowest_of_equal_tops_is_taken(void **state)
{
    (void)state;
    const float logits[] = {0, 1, 1, -1};
    assert_int_equal(prediction_of(logits, 4, 0).top, 1);
}

static void logits_that_are_no_numbers_show(void **state)
{
    (void)state;
    const float nan_logits[] = {0, NAN, 1}, infinite[] = {0, INFINITY, 1}, none[] = {-INFINITY, -INFINITY};
    assert_true(!isfinite(prediction_of(nan_logits, 3, 0).log_sum));
    assert_true(!isfinite(prediction_of(infinite, 3, 0).log_sum));
    assert_true(!isfinite(prediction_of(none, 2, 0).log_sum));
}

static void a_token_without_a_chance_counts_nothing(void **state)
{
    (void)state;
    const float a[] = {0, 0, -INFINITY}, b[] = {0, 0, 0};
    assert_near(prediction_divergence(a, log(2), b, log(3), 3), log(1.5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_equal_numpys),
        cmocka_unit_test(summary_equals_numpys),
        cmocka_unit_test(one_value_has_no_error),
        cmocka_unit_test(the_lowest_of_equal_tops_is_taken),
        cmocka_unit_test(logits_that_are_no_numbers_show),
        cmocka_unit_test(a_token_without_a_chance_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
