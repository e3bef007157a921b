#include "kernel/kv_block.h"

#include <math.h>

static const float MOST_HALF = 65504.0f;

// One key or value in codes; those beyond head_size, up to the end of a group, are 0.
struct codes {
    int8_t q[ATTENTION_MAX_HEAD];
    uint16_t d[ATTENTION_MAX_HEAD / KV_GROUP];
};

static float at_most(float x, float most)
{
    return x < -most ? -most : x > most ? most : x;
}

// The first element of largest magnitude.
static float largest(const float *x, int64_t n)
{
    float most = 0.0f;
    for (int64_t i = 0; i < n; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    return most;
}

// The nearest integer, ties to even, for |x| <= 2^22: a sum of this size has no bits below 1.
static float nearest(float x)
{
    const float shift = 0x1.8p23f;
    return (x + shift) - shift;
}

static void quantise_group(tern_kv_type type, const float *x, int8_t *q, uint16_t *d)
{
    float most = largest(x, KV_GROUP), low = type == TERN_KV_Q8_0 ? -127.0f : -8.0f;
    float high = type == TERN_KV_Q8_0 ? 127.0f : 7.0f;
    *d = half_from_float(at_most(type == TERN_KV_Q8_0 ? fabsf(most) / high : most / low, MOST_HALF));
    float scale = half_to_float(*d);
    for (int i = 0; i < KV_GROUP; i++) {
        float ratio = scale != 0.0f ? x[i] / scale : 0.0f;
        ratio = ratio < low ? low : ratio > high ? high : ratio;
        q[i] = (int8_t)nearest(ratio);
    }
}

static void quantise_row(tern_kv_type type, const float *x, int64_t n, struct codes *out)
{
    float finite[ATTENTION_MAX_HEAD] = {0};
    for (int64_t i = 0; i < n; i++)
        finite[i] = isfinite(x[i]) ? x[i] : 0.0f;
    for (int64_t group = 0; group < kv_groups(n); group++)
        quantise_group(type, finite + group * KV_GROUP, out->q + group * KV_GROUP, &out->d[group]);
}

static uint8_t with_nibble(uint8_t byte, bool high, int q)
{
    return (uint8_t)(high ? (byte & 15) | (q + 8) << 4 : (byte & 0xf0) | (q + 8));
}

static uint16_t *scales_of(tern_kv_type type, int64_t head_size, uint8_t *keys_or_values)
{
    return (uint16_t *)(void *)(keys_or_values + kv_code_bytes(type, head_size));
}

void kv_store_key(tern_kv_type type, int64_t head_size, const float *key, int64_t position, uint8_t *keys,
                  void (*halves)(const float *x, int64_t n, uint16_t *out))
{
    if (type == TERN_KV_F16) {
        uint16_t half[ATTENTION_MAX_HEAD];
        halves(key, head_size, half);
        for (int64_t d = 0; d < head_size; d++)
            ((uint16_t *)(void *)keys)[d * ATTENTION_BLOCK + position] = half[d];
        return;
    }
    struct codes codes;
    quantise_row(type, key, head_size, &codes);
    for (int64_t d = 0; d < head_size; d++) {
        uint8_t *row = keys + d * kv_key_stride(type), *byte = row + position % 32;
        if (type == TERN_KV_Q8_0)
            row[position] = (uint8_t)codes.q[d];
        else
            *byte = with_nibble(*byte, position >= 32, codes.q[d]);
    }
    uint16_t *scales = scales_of(type, head_size, keys);
    for (int64_t group = 0; group < kv_groups(head_size); group++)
        scales[group * ATTENTION_BLOCK + position] = codes.d[group];
}

void kv_store_value(tern_kv_type type, int64_t head_size, const float *value, int64_t position, uint8_t *values,
                    void (*halves)(const float *x, int64_t n, uint16_t *out))
{
    uint8_t *row = values + position * kv_value_stride(type, head_size);
    if (type == TERN_KV_F16) {
        halves(value, head_size, (uint16_t *)(void *)row);
        return;
    }
    struct codes codes;
    int64_t groups = kv_groups(head_size);
    quantise_row(type, value, head_size, &codes);
    if (type == TERN_KV_Q8_0)
        memcpy(row, codes.q, (size_t)(groups * KV_GROUP));
    else
        for (int64_t i = 0; i < groups * 16; i++) {
            const int8_t *q = codes.q + i / 16 * KV_GROUP + i % 16;
            row[i] = with_nibble(with_nibble(0, false, q[0]), true, q[16]);
        }
    memcpy(scales_of(type, head_size, values) + position * groups, codes.d, (size_t)groups * sizeof *codes.d);
}
