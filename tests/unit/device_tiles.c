// Which weights lie in dense tiles, and who prefers them.
#include "device/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 32, COLUMNS = 128 };

static struct tensor tensor_of(enum dtype type, const uint8_t *data)
{
    const uint64_t row_bytes = dtype_row_bytes(type, COLUMNS);
    return (struct tensor){.name = "t",
                           .type = type,
                           .n_dims = 2,
                           .dims = {COLUMNS, ROWS, 1, 1},
                           .rows = ROWS,
                           .row_bytes = row_bytes,
                           .bytes = ROWS * row_bytes,
                           .data = data};
}

static bool becomes_dense(enum dtype type, const uint8_t *data)
{
    struct tensor tensor = tensor_of(type, data);
    struct device *device;
    struct weight *weight;
    assert_int_equal(device_open(&(struct device_options){.threads = 1, .dense_tiles = true}, &device), TERN_OK);
    assert_int_equal(device_load_weight(device, &tensor, false, &weight), TERN_OK);
    bool dense = device_weight_is_dense(weight);
    device_free_weight(device, weight);
    device_close(device);
    return dense;
}

static uint64_t measured(enum dtype type, const uint8_t *data, struct device_measure measure)
{
    struct tensor tensor = tensor_of(type, data);
    uint64_t bytes;
    assert_int_equal(device_measure_weight(&tensor, false, measure, &bytes), TERN_OK);
    return bytes;
}

static void ternary_weights_alone_become_dense(void **state)
{
    (void)state;
    static const uint8_t zeros[ROWS * COLUMNS * sizeof(float)];
    assert_true(becomes_dense(DTYPE_PTQ1_0, zeros));
    assert_true(becomes_dense(DTYPE_PQ2_0, zeros));
    assert_false(becomes_dense(DTYPE_Q1_0, zeros));
    assert_false(becomes_dense(DTYPE_F32, zeros));
}

// A matrix with a code of +2 stays loose. Who does not look takes it for a dense one.
static void a_code_3_is_seen_by_who_looks(void **state)
{
    (void)state;
    static uint8_t codes[ROWS * 34];
    const uint64_t dense = ROWS * 28, loose = 2 * ROWS * 34; // a tile more, should they lie in pairs
    codes[sizeof codes - 1] = 0xc0;
    assert_false(becomes_dense(DTYPE_PQ2_0, codes));
    assert_int_equal(measured(DTYPE_PQ2_0, codes, (struct device_measure){.dense_tiles = true}), loose);
    assert_int_equal(measured(DTYPE_PQ2_0, codes, (struct device_measure){true, .unread = true}), dense);
    assert_int_equal(measured(DTYPE_PQ2_0, codes, (struct device_measure){.unread = true}), loose);
}

static bool prefers_dense(const char *kernels, bool f32_activations)
{
    return device_prefers_dense(&(struct device_options){.kernels = kernels, .f32_activations = f32_activations});
}

static void kernels_that_take_them_as_they_are_prefer_them(void **state)
{
    (void)state;
    assert_false(prefers_dense("reference", false));
    assert_false(prefers_dense("no such kernels", false));
    assert_false(prefers_dense(NULL, true)); // floats are multiplied by loose ones
#ifdef __x86_64__
    struct device *device;
    assert_false(prefers_dense("avx2", false));
    assert_false(prefers_dense("avxvnni", false));
    assert_int_equal(device_open(&(struct device_options){.threads = 1}, &device), TERN_OK);
    bool avx512 = strcmp(device_kernels(device), "avx512") == 0;
    device_close(device);
    assert_int_equal(prefers_dense(NULL, false), avx512 && __builtin_cpu_supports("avx512vbmi"));
#else
    assert_false(prefers_dense(NULL, false));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ternary_weights_alone_become_dense),
        cmocka_unit_test(a_code_3_is_seen_by_who_looks),
        cmocka_unit_test(kernels_that_take_them_as_they_are_prefer_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
