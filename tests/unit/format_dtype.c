#include "format/dtype.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

// ids, block elements and block bytes as ggml and PrismML's fork have them.
static void every_type_has_its_geometry(void **state)
{
    static const struct {
        enum dtype type;
        const char *name;
        uint32_t id, elements, bytes, tail;
        enum dtype_kind kind;
    } expected[] = {
        {DTYPE_F32, "F32", 0, 1, 4, 0, DTYPE_DENSE},
        {DTYPE_F16, "F16", 1, 1, 2, 0, DTYPE_DENSE},
        {DTYPE_BF16, "BF16", 30, 1, 2, 0, DTYPE_DENSE},
        {DTYPE_Q4_0, "Q4_0", 2, 32, 18, 0, DTYPE_DENSE},
        {DTYPE_Q4_1, "Q4_1", 3, 32, 20, 0, DTYPE_DENSE},
        {DTYPE_Q8_0, "Q8_0", 8, 32, 34, 0, DTYPE_DENSE},
        {DTYPE_Q4_K, "Q4_K", 12, 256, 144, 0, DTYPE_DENSE},
        {DTYPE_Q5_K, "Q5_K", 13, 256, 176, 0, DTYPE_DENSE},
        {DTYPE_Q6_K, "Q6_K", 14, 256, 210, 0, DTYPE_DENSE},
        {DTYPE_TQ1_0, "TQ1_0", 34, 256, 54, 0, DTYPE_TERNARY},
        {DTYPE_TQ2_0, "TQ2_0", 35, 256, 66, 0, DTYPE_TERNARY},
        {DTYPE_I2_S, "I2_S", 36, 128, 32, 32, DTYPE_TERNARY},
        {DTYPE_Q1_0, "Q1_0", 41, 128, 18, 0, DTYPE_BINARY},
        {DTYPE_Q2_0_G64, "Q2_0_G64", 42, 64, 18, 0, DTYPE_TERNARY},
        {DTYPE_Q2_0_G128, "Q2_0", 42, 128, 34, 0, DTYPE_TERNARY},
        {DTYPE_PQ2_0, "PQ2_0", 142, 128, 34, 0, DTYPE_TERNARY},
        {DTYPE_PTQ1_0, "PTQ1_0", 143, 128, 28, 0, DTYPE_TERNARY},
    };
    (void)state;
    assert_int_equal(sizeof expected / sizeof *expected, DTYPE_COUNT);
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        const struct dtype_info *info = dtype_info(expected[i].type);
        assert_string_equal(info->name, expected[i].name);
        assert_int_equal(info->gguf_id, expected[i].id);
        assert_int_equal(info->block_elements, expected[i].elements);
        assert_int_equal(info->block_bytes, expected[i].bytes);
        assert_int_equal(info->tail_bytes, expected[i].tail);
        assert_int_equal(info->kind, expected[i].kind);
    }
}

static void every_id_finds_its_type(void **state)
{
    (void)state;
    for (enum dtype type = 0; type < DTYPE_COUNT; type++) {
        enum dtype found = DTYPE_COUNT;
        assert_true(dtype_from_gguf_id(dtype_info(type)->gguf_id, &found));
        // The second type with id 42 is gguf.c's to choose.
        assert_int_equal(found, type == DTYPE_Q2_0_G128 ? DTYPE_Q2_0_G64 : type);
    }
}

static void unknown_ids_are_refused(void **state)
{
    static const uint32_t unknown[] = {4, 6, 9, 10, 15, 24, 33, 37, 40, 43, 141, 144, UINT32_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        enum dtype found;
        assert_false(dtype_from_gguf_id(unknown[i], &found));
    }
}

static void a_row_is_whole_blocks(void **state)
{
    (void)state;
    assert_int_equal(dtype_row_bytes(DTYPE_F32, 3), 12);
    assert_int_equal(dtype_row_bytes(DTYPE_Q2_0_G64, 192), 54);
    assert_int_equal(dtype_row_bytes(DTYPE_Q2_0_G128, 192), 0);
    assert_int_equal(dtype_row_bytes(DTYPE_PTQ1_0, 2560), 560);
    assert_int_equal(dtype_row_bytes(DTYPE_TQ1_0, 128), 0);
    assert_int_equal(dtype_row_bytes(DTYPE_I2_S, 256), 64); // the tail belongs to the tensor
}

static void a_row_that_overflows_has_no_bytes(void **state)
{
    (void)state;
    assert_int_equal(dtype_row_bytes(DTYPE_F32, UINT64_MAX / 4), UINT64_MAX / 4 * 4);
    assert_int_equal(dtype_row_bytes(DTYPE_F32, UINT64_MAX / 4 + 1), 0);
    assert_int_equal(dtype_row_bytes(DTYPE_Q8_0, UINT64_MAX - 31), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_geometry),       cmocka_unit_test(every_id_finds_its_type),
        cmocka_unit_test(unknown_ids_are_refused),           cmocka_unit_test(a_row_is_whole_blocks),
        cmocka_unit_test(a_row_that_overflows_has_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
