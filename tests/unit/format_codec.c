#include "format/codec.h"

#include "../golden/codec_golden.h"

#include "base/half.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { N_GOLDEN = sizeof codec_golden / sizeof *codec_golden, MAX_FLOATS = 1024, MAX_BYTES = 1024 };

// A tensor of `rows` rows that lies in `data`.
static struct tensor make_tensor(enum dtype type, uint64_t columns, uint64_t rows, const uint8_t *data)
{
    uint64_t row_bytes = dtype_row_bytes(type, columns);
    return (struct tensor){
        .name = "t",
        .type = type,
        .n_dims = 2,
        .dims = {columns, rows, 1, 1},
        .rows = rows,
        .row_bytes = row_bytes,
        .bytes = rows * row_bytes + dtype_info(type)->tail_bytes,
        .data = data,
    };
}

static void assert_bits(const float *found, const uint32_t *expected, size_t count, enum dtype type)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = half_to_bits32(found[i]);
        if (bits != expected[i]) {
            fail_msg("%s element %zu: bits %08x, expected %08x", dtype_info(type)->name, i, (unsigned)bits,
                     (unsigned)expected[i]);
        }
    }
}

// A golden entry's blocks, followed by a tail that says 1 where the type has one.
static void copy_golden(const struct codec_golden *golden, uint8_t out[MAX_BYTES])
{
    size_t bytes = golden->n_blocks * dtype_info(golden->type)->block_bytes;
    uint32_t one = half_to_bits32(1.0F);
    memcpy(out, golden->bytes, bytes);
    for (unsigned i = 0; i < 4; i++)
        out[bytes + i] = (uint8_t)(one >> 8 * i);
}

static void rows_equal_independent_decoders(void **state)
{
    (void)state;
    bool seen[DTYPE_COUNT] = {false};
    for (size_t i = 0; i < N_GOLDEN; i++) {
        const struct codec_golden *golden = &codec_golden[i];
        uint8_t data[MAX_BYTES];
        float out[MAX_FLOATS];
        copy_golden(golden, data);
        struct tensor tensor = make_tensor(golden->type, golden->n_floats, 1, data);
        codec_unpack_row(&tensor, 0, out);
        assert_bits(out, golden->floats, golden->n_floats, golden->type);
        seen[golden->type] = true;
    }
    for (enum dtype type = 0; type < DTYPE_COUNT; type++)
        assert_true(seen[type]);
}

static void rows_stand_behind_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GOLDEN; i++) {
        const struct codec_golden *golden = &codec_golden[i];
        uint8_t data[MAX_BYTES];
        float out[CODEC_MAX_BLOCK];
        uint32_t columns = dtype_info(golden->type)->block_elements;
        copy_golden(golden, data);
        struct tensor tensor = make_tensor(golden->type, columns, golden->n_blocks, data);
        for (uint64_t row = 0; row < golden->n_blocks; row++) {
            codec_unpack_row(&tensor, row, out);
            assert_bits(out, golden->floats + row * columns, columns, golden->type);
        }
    }
}

static void dense_blocks_equal_independent_decoders(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GOLDEN; i++) {
        const struct codec_golden *golden = &codec_golden[i];
        const struct dtype_info *info = dtype_info(golden->type);
        if (info->kind != DTYPE_DENSE) continue;
        for (unsigned b = 0; b < golden->n_blocks; b++) {
            float out[CODEC_MAX_BLOCK];
            codec_unpack_dense(golden->type, golden->bytes + b * info->block_bytes, out);
            assert_bits(out, golden->floats + b * info->block_elements, info->block_elements, golden->type);
        }
    }
}

static void packing_gives_the_known_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GOLDEN; i++) {
        const struct codec_golden *golden = &codec_golden[i];
        const struct dtype_info *info = dtype_info(golden->type);
        if (!golden->canonical) continue;
        for (unsigned b = 0; b < golden->n_blocks; b++) {
            const uint32_t *floats = golden->floats + b * info->block_elements;
            uint8_t codes[CODEC_MAX_BLOCK], block[MAX_BYTES];
            for (unsigned k = 0; k < info->block_elements; k++) {
                float weight = half_from_bits32(floats[k]);
                codes[k] = (uint8_t)(1 + (weight > 0) - (weight < 0));
            }
            codec_pack_trits(golden->type, codes, 0x2c00, block); // the goldens' scale: 2^-4
            assert_memory_equal(block, golden->bytes + b * info->block_bytes, info->block_bytes);
        }
    }
}

// The carrier of the digits 2 0 0 0 0 is ceil(256 * 162 / 243) = 171, of 0 1 2 0 1 it is ceil(256 * 46 / 243) = 49, and
// of the four digits 0 0 0 2, stored as 3 * 2, it is ceil(256 * 6 / 243) = 7.
static void base3_digits_stand_position_major(void **state)
{
    (void)state;
    uint8_t block[28] = {0}, codes[128], expected[128] = {0};
    uint16_t scale;
    block[0] = 171;
    expected[0] = 2;
    block[23] = 49; // the last byte of the second run: elements 80 + 8 n + 7
    expected[95] = 1, expected[103] = 2, expected[119] = 1;
    block[25] = 7; // the last byte: elements 120 + 2 n + 1
    expected[127] = 2;
    block[26] = 0x34, block[27] = 0x12;
    codec_unpack_trits(DTYPE_PTQ1_0, block, codes, &scale);
    assert_memory_equal(codes, expected, sizeof codes);
    assert_int_equal(scale, 0x1234);
}

static void bits_run_from_the_low_end(void **state)
{
    (void)state;
    uint8_t block[18] = {0x00, 0xbc, 0x01, 0x80}, packed[18], bits[128], expected[128] = {0};
    uint16_t scale;
    expected[0] = expected[15] = 1;
    codec_unpack_bits(DTYPE_Q1_0, block, bits, &scale);
    assert_memory_equal(bits, expected, sizeof bits);
    assert_int_equal(scale, 0xbc00);
    codec_pack_bits(DTYPE_Q1_0, bits, scale, packed);
    assert_memory_equal(packed, block, sizeof block);
}

static void i2_s_takes_its_scale_from_the_tail(void **state)
{
    (void)state;
    // Two rows of 128: all codes 2, then all codes 0; the tail says 0.375.
    uint8_t data[96];
    float out[128];
    memset(data, 0xaa, 32);
    memset(data + 32, 0, 64);
    memcpy(data + 64, (const uint8_t[]){0x00, 0x00, 0xc0, 0x3e}, 4);
    struct tensor tensor = make_tensor(DTYPE_I2_S, 128, 2, data);
    assert_float_equal(codec_tensor_scale(&tensor), 0.375F, 0);
    codec_unpack_row(&tensor, 0, out);
    assert_float_equal(out[0], 0.375F, 0);
    assert_float_equal(out[127], 0.375F, 0);
    codec_unpack_row(&tensor, 1, out);
    assert_float_equal(out[0], -0.375F, 0);

    tensor.type = DTYPE_TQ2_0;
    assert_float_equal(codec_tensor_scale(&tensor), 1, 0);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 16;
}

// Every carrier byte of every position, by packing many random blocks.
static void packed_codes_come_back(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (enum dtype type = 0; type < DTYPE_COUNT; type++) {
        const struct dtype_info *info = dtype_info(type);
        if (info->kind != DTYPE_TERNARY) continue;
        for (int round = 0; round < 1000; round++) {
            uint8_t codes[CODEC_MAX_BLOCK], back[CODEC_MAX_BLOCK], block[MAX_BYTES];
            uint16_t scale = (uint16_t)next_random(&seed), scale_back;
            for (unsigned i = 0; i < info->block_elements; i++)
                codes[i] = (uint8_t)(next_random(&seed) % 3);
            codec_pack_trits(type, codes, scale, block);
            codec_unpack_trits(type, block, back, &scale_back);
            assert_memory_equal(back, codes, info->block_elements);
            assert_int_equal(scale_back, type == DTYPE_I2_S ? 0x3c00 : scale);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_equal_independent_decoders),         cmocka_unit_test(rows_stand_behind_each_other),
        cmocka_unit_test(dense_blocks_equal_independent_decoders), cmocka_unit_test(packing_gives_the_known_bytes),
        cmocka_unit_test(base3_digits_stand_position_major),       cmocka_unit_test(bits_run_from_the_low_end),
        cmocka_unit_test(i2_s_takes_its_scale_from_the_tail),      cmocka_unit_test(packed_codes_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
