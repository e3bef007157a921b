// Keys and values as they are kept: known codes and scales, every position apart from the others, and the bound of what
// rounding costs.
#include "kernel/kv_block.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HEAD = 34, MOST = 2 * ATTENTION_MAX_HEAD * ATTENTION_BLOCK };

static void to_half(const float *x, int64_t n, uint16_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = half_from_float(x[i]);
}

// One block, in memory without a type of its own: it holds bytes and halves.
struct stored {
    uint8_t *keys, *values;
};

static struct stored empty_block(void)
{
    struct stored s = {calloc(1, MOST), calloc(1, MOST)};
    assert_non_null(s.keys);
    assert_non_null(s.values);
    return s;
}

static void free_block(struct stored *s)
{
    free(s->keys);
    free(s->values);
}

// A key and a value of these floats at position 40.
static struct stored store(tern_kv_type type, const float *x)
{
    struct stored s = empty_block();
    kv_store_key(type, HEAD, x, 40, s.keys, to_half);
    kv_store_value(type, HEAD, x, 40, s.values, to_half);
    return s;
}

static void assert_denotes(tern_kv_type type, const struct stored *s, int64_t d, float wanted)
{
    float key = kv_key(type, HEAD, s->keys, 40, d), value = kv_value(type, HEAD, s->values, 40, d);
    if (key != wanted || value != wanted)
        fail_msg("element %d: key %a, value %a, wanted %a", (int)d, (double)key, (double)value, (double)wanted);
}

// absmax 63.5: the scale is 0.5; 33 and 34 have a scale of their own.
static void eight_bits(void **state)
{
    (void)state;
    float x[HEAD] = {63.5f, -63.5f, 0.25f, 0.75f, -0.25f, 10.3f, NAN, INFINITY};
    x[32] = -254.0f, x[33] = 3.0f;
    struct stored s = store(TERN_KV_Q8_0, x);
    static const float wanted[] = {63.5f, -63.5f, 0.0f, 1.0f, 0.0f, 10.5f, 0.0f, 0.0f, 0.0f};
    for (int d = 0; d < 9; d++)
        assert_denotes(TERN_KV_Q8_0, &s, d, wanted[d]);
    assert_denotes(TERN_KV_Q8_0, &s, 32, -254.0f);
    assert_denotes(TERN_KV_Q8_0, &s, 33, 4.0f); // 1.5, ties to even
    assert_int_equal((int8_t)s.keys[5 * 64 + 40], 21);
    assert_int_equal((int8_t)s.values[40 * 64 + 5], 21);
    assert_int_equal(kv_scales(TERN_KV_Q8_0, HEAD, s.keys)[64 + 40], 0x4000); // 2.0
    assert_int_equal(kv_scales(TERN_KV_Q8_0, HEAD, s.values)[40 * 2 + 1], 0x4000);
    free_block(&s);
}

// The element of largest magnitude, the first of them, gets -8.
static void four_bits(void **state)
{
    (void)state;
    float x[HEAD] = {-4.0f, 4.0f, 3.5f, 0.25f, 0.75f, -1.3f, NAN, -INFINITY};
    x[17] = 2.0f, x[32] = 16.0f, x[33] = -15.0f;
    struct stored s = store(TERN_KV_Q4_0, x);
    static const float wanted[] = {-4.0f, 3.5f, 3.5f, 0.0f, 1.0f, -1.5f, 0.0f, 0.0f, 0.0f};
    for (int d = 0; d < 9; d++)
        assert_denotes(TERN_KV_Q4_0, &s, d, wanted[d]);
    assert_denotes(TERN_KV_Q4_0, &s, 17, 2.0f);
    assert_denotes(TERN_KV_Q4_0, &s, 32, 16.0f);           // -8 * -2
    assert_denotes(TERN_KV_Q4_0, &s, 33, -14.0f);          // 7 * -2
    assert_int_equal(s.keys[17 * 32 + 8], 12 << 4);        // position 40: high nibble of byte 8
    assert_int_equal(s.values[40 * 32 + 1], 15 | 12 << 4); // elements 1 and 17
    free_block(&s);
}

// What no half can be a scale for: too small is zero, too large is held at the largest half.
static void extremes(void **state)
{
    (void)state;
    float tiny[HEAD] = {1e-8f, -1e-9f}, huge[HEAD] = {3e38f, -3e38f, 65504.0f};
    for (int type = TERN_KV_Q8_0; type <= TERN_KV_Q4_0; type++) {
        struct stored s = store((tern_kv_type)type, tiny);
        assert_denotes((tern_kv_type)type, &s, 0, 0.0f);
        assert_denotes((tern_kv_type)type, &s, 1, 0.0f);
        free_block(&s);
        s = store((tern_kv_type)type, huge);
        float most = type == TERN_KV_Q8_0 ? 127 * 65504.0f : 8 * 65504.0f;
        assert_denotes((tern_kv_type)type, &s, 0, most);
        assert_denotes((tern_kv_type)type, &s, 2, 65504.0f);
        free_block(&s);
    }
}

static float random_float(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*random >> 32) * 0x1p-31f;
}

// All positions written in an order of their own: each is there, within half a step of its scale (Q4_0's largest
// elements of the other sign: one step).
static void all_positions(void **state)
{
    (void)state;
    static float x[ATTENTION_BLOCK][HEAD];
    uint64_t random = 1;
    for (int type = TERN_KV_F16; type <= TERN_KV_Q4_0; type++) {
        tern_kv_type kv_type = (tern_kv_type)type;
        struct stored s = empty_block();
        for (int i = 0; i < ATTENTION_BLOCK; i++) {
            int j = i * 37 % ATTENTION_BLOCK;
            for (int d = 0; d < HEAD; d++)
                x[j][d] = random_float(&random);
            kv_store_key(kv_type, HEAD, x[j], j, s.keys, to_half);
            kv_store_value(kv_type, HEAD, x[j], j, s.values, to_half);
        }
        float step = type == TERN_KV_F16 ? 0x1p-11f : type == TERN_KV_Q8_0 ? 0.51f / 127 : 1.01f / 8;
        for (int j = 0; j < ATTENTION_BLOCK; j++)
            for (int d = 0; d < HEAD; d++) {
                float key = kv_key(kv_type, HEAD, s.keys, j, d);
                assert_true(fabsf(key - x[j][d]) <= step);
                assert_true(key == kv_value(kv_type, HEAD, s.values, j, d));
            }
        free_block(&s);
    }
}

static void sizes(void **state)
{
    (void)state;
    assert_int_equal(kv_block_bytes(TERN_KV_F16, 128), 128 * 64 * 2);
    assert_int_equal(kv_block_bytes(TERN_KV_Q8_0, 128), 128 * 64 + 4 * 64 * 2);
    assert_int_equal(kv_block_bytes(TERN_KV_Q4_0, 128), 128 * 32 + 4 * 64 * 2);
    assert_int_equal(kv_block_bytes(TERN_KV_Q8_0, HEAD), 64 * 64 + 2 * 64 * 2); // rows of whole groups
    assert_int_equal(kv_block_bytes(TERN_KV_F16, 2), 2 * 64 * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_bits),    cmocka_unit_test(four_bits), cmocka_unit_test(extremes),
        cmocka_unit_test(all_positions), cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
