// Whoever observes a device sees what each weight is given to multiply.
#include "device/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 32, COLUMNS = 64, TOKENS = 3 };

struct seen {
    int calls;
    const struct weight *weights[2];
    const float *x;
    int64_t n_rows, columns;
};

static void note(void *context, const struct weight *weight, const float *x, int64_t n_rows, int64_t columns)
{
    struct seen *seen = context;
    if (seen->calls < 2) seen->weights[seen->calls] = weight;
    seen->calls++;
    seen->x = x;
    seen->n_rows = n_rows;
    seen->columns = columns;
}

static void inputs_are_observed(void **state)
{
    (void)state;
    static const uint8_t zeros[ROWS * COLUMNS * 4];
    static float x[TOKENS * COLUMNS], a[TOKENS * ROWS], b[TOKENS * ROWS];
    struct tensor tensor = {.name = "t",
                            .type = DTYPE_F32,
                            .n_dims = 2,
                            .dims = {COLUMNS, ROWS, 1, 1},
                            .rows = ROWS,
                            .row_bytes = COLUMNS * 4,
                            .bytes = sizeof zeros,
                            .data = zeros};
    struct device *device;
    struct weight *weights[2];
    struct seen seen = {0};
    assert_int_equal(device_open(&(struct device_options){.threads = 2}, &device), TERN_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(device_load_weight(device, &tensor, false, &weights[i]), TERN_OK);
    device_observe(device, note, &seen);
    assert_int_equal(device_matmul(device, weights, (float *[]){a, b}, 2, x, TOKENS), TERN_OK);
    assert_int_equal(seen.calls, 2);
    assert_ptr_equal(seen.weights[0], weights[0]);
    assert_ptr_equal(seen.weights[1], weights[1]);
    assert_ptr_equal(seen.x, x);
    assert_int_equal(seen.n_rows, TOKENS);
    assert_int_equal(seen.columns, COLUMNS);
    device_observe(device, NULL, NULL);
    assert_int_equal(device_matmul(device, weights, (float *[]){a, b}, 2, x, TOKENS), TERN_OK);
    assert_int_equal(seen.calls, 2);
    for (int i = 0; i < 2; i++)
        device_free_weight(device, weights[i]);
    device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inputs_are_observed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
