// How the keys and the values of one kv head lie in memory, for one block of ATTENTION_BLOCK positions. Keys are
// transposed: lanes of a vector are positions. A block begins at a multiple of 64 bytes.
//
//     F16   keys    uint16_t half[head_size][64]
//           values  uint16_t half[64][head_size]
//     Q8_0  keys    int8_t q[width][64];      uint16_t d[groups][64]
//           values  int8_t q[64][width];      uint16_t d[64][groups]
//     Q4_0  keys    uint8_t q[width][32];     uint16_t d[groups][64]    low nibbles: positions 0 .. 31, high: 32 .. 63
//           values  uint8_t q[64][width / 2]; uint16_t d[64][groups]    as below
//
// groups = ceil(head_size / 32), width = 32 * groups. d is a half that 32 elements of one row share. Nibbles are q + 8;
// byte i of a group's 16 in a row of values has element i in its low nibble, element i + 16 in its high one. An
// element is (float)q * (float)d, which is exact.
#ifndef KERNEL_KV_BLOCK_H
#define KERNEL_KV_BLOCK_H

#include "base/half.h"
#include "kernel/kernel.h"

enum { KV_GROUP = 32 };

static inline int64_t kv_groups(int64_t head_size)
{
    return (head_size + KV_GROUP - 1) / KV_GROUP;
}

// Bytes of n codes, or n halves.
static inline int64_t kv_bytes(tern_kv_type type, int64_t n)
{
    return type == TERN_KV_F16 ? 2 * n : type == TERN_KV_Q8_0 ? n : n / 2;
}

// Bytes of the codes of one block's keys or values: what lies before their scales.
static inline int64_t kv_code_bytes(tern_kv_type type, int64_t head_size)
{
    int64_t width = type == TERN_KV_F16 ? head_size : kv_groups(head_size) * KV_GROUP;
    return kv_bytes(type, width * ATTENTION_BLOCK);
}

// Bytes of one block's keys; its values take as many. A multiple of 64.
static inline int64_t kv_block_bytes(tern_kv_type type, int64_t head_size)
{
    int64_t scales = type == TERN_KV_F16 ? 0 : kv_groups(head_size) * ATTENTION_BLOCK * (int64_t)sizeof(uint16_t);
    return kv_code_bytes(type, head_size) + scales;
}

static inline const uint16_t *kv_scales(tern_kv_type type, int64_t head_size, const uint8_t *keys_or_values)
{
    return (const uint16_t *)(const void *)(keys_or_values + kv_code_bytes(type, head_size));
}

// Bytes from one element's positions to the next element's, in keys.
static inline int64_t kv_key_stride(tern_kv_type type)
{
    return kv_bytes(type, ATTENTION_BLOCK);
}

// Bytes from one position to the next, in values.
static inline int64_t kv_value_stride(tern_kv_type type, int64_t head_size)
{
    return kv_code_bytes(type, head_size) / ATTENTION_BLOCK;
}

static inline int kv_nibble(uint8_t byte, bool high)
{
    return (high ? byte >> 4 : byte & 15) - 8;
}

// Element d of the key at position j.
static inline float kv_key(tern_kv_type type, int64_t head_size, const uint8_t *keys, int64_t j, int64_t d)
{
    const uint8_t *at = keys + d * kv_key_stride(type);
    if (type == TERN_KV_F16) return half_to_float(((const uint16_t *)(const void *)at)[j]);
    float scale = half_to_float(kv_scales(type, head_size, keys)[d / KV_GROUP * ATTENTION_BLOCK + j]);
    int q = type == TERN_KV_Q8_0 ? (int8_t)at[j] : kv_nibble(at[j % 32], j >= 32);
    return (float)q * scale;
}

// Element d of the value at position j.
static inline float kv_value(tern_kv_type type, int64_t head_size, const uint8_t *values, int64_t j, int64_t d)
{
    const uint8_t *at = values + j * kv_value_stride(type, head_size);
    if (type == TERN_KV_F16) return half_to_float(((const uint16_t *)(const void *)at)[d]);
    float scale = half_to_float(kv_scales(type, head_size, values)[j * kv_groups(head_size) + d / KV_GROUP]);
    int q = type == TERN_KV_Q8_0 ? (int8_t)at[d] : kv_nibble(at[d / KV_GROUP * 16 + d % 16], d % KV_GROUP >= 16);
    return (float)q * scale;
}

// Writes one position's key and value, [head_size] floats each, in plain C so that every machine stores the same.
// Q8_0, for each 32 elements (the last may be fewer), those that are not finite taken as 0: D = the half nearest to
//     absmax / 127, at most 65504; q = x / D, held within -127 .. 127, to the nearest integer, ties to even; 0 if D
//     is 0.
// Q4_0: D = the half nearest to the first element of largest magnitude / -8, within -65504 .. 65504; q within -8 .. 7.
// `halves` is the kernel table's to_half.
void kv_store_key(tern_kv_type type, int64_t head_size, const float *key, int64_t position, uint8_t *keys,
                  void (*halves)(const float *x, int64_t n, uint16_t *out));
void kv_store_value(tern_kv_type type, int64_t head_size, const float *value, int64_t position, uint8_t *values,
                    void (*halves)(const float *x, int64_t n, uint16_t *out));

#endif
