// Packing of F16, BF16, Q8_0 and Q4_0: the bytes of ggml's reference, and what reads back.
#include "convert/dense.h"

#include "../golden/convert/dense_golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK = 32 };

static void check_golden(enum dtype type, const uint8_t *expected)
{
    float row[BLOCK];
    uint8_t packed[34];
    uint32_t bytes = dtype_info(type)->block_bytes;
    for (int r = 0; r < DENSE_GOLDEN_ROWS; r++) {
        for (int i = 0; i < BLOCK; i++)
            row[i] = half_from_bits32(dense_golden_floats[r * BLOCK + i]);
        dense_pack_row(type, row, BLOCK, packed);
        assert_memory_equal(packed, expected + (size_t)r * bytes, bytes);
    }
}

static void blocks_are_those_of_ggml(void **state)
{
    (void)state;
    check_golden(DTYPE_Q8_0, dense_golden_q8_0);
    check_golden(DTYPE_Q4_0, dense_golden_q4_0);
}

static void floats_round_to_nearest_ties_to_even(void **state)
{
    (void)state;
    static const struct {
        float in;
        uint16_t f16, bf16;
    } cases[] = {
        {1, 0x3c00, 0x3f80},
        {-2.5f, 0xc100, 0xc020},
        {0x1.002p0f, 0x3c00, 0x3f80},     // half way between two halves: the even one
        {0x1.006p0f, 0x3c02, 0x3f80},     // half way, up to the even one
        {0x1.01p0f, 0x3c04, 0x3f80},      // half way between two bfloat16
        {0x1.03p0f, 0x3c0c, 0x3f82},      // half way, up
        {0x1.0100020p0f, 0x3c04, 0x3f81}, // a little more than half way
        {-0.0f, 0x8000, 0x8000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t packed[2];
        dense_pack_row(DTYPE_F16, &cases[i].in, 1, packed);
        assert_int_equal(bytes_load_u16(packed), cases[i].f16);
        dense_pack_row(DTYPE_BF16, &cases[i].in, 1, packed);
        assert_int_equal(bytes_load_u16(packed), cases[i].bf16);
    }
}

static void a_float_keeps_its_bits(void **state)
{
    (void)state;
    const float in[2] = {-1.5f, 0x1.fffffep-3f};
    static const uint8_t expected[8] = {0, 0, 0xc0, 0xbf, 0xff, 0xff, 0x7f, 0x3e};
    uint8_t packed[8];
    dense_pack_row(DTYPE_F32, in, 2, packed);
    assert_memory_equal(packed, expected, sizeof expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_those_of_ggml),
        cmocka_unit_test(floats_round_to_nearest_ties_to_even),
        cmocka_unit_test(a_float_keeps_its_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
