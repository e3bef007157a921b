#include "convert/dense.h"

#include <math.h>

enum { BLOCK = 32 }; // elements of Q8_0 and Q4_0

uint16_t dense_bfloat16(float f)
{
    uint32_t bits = half_to_bits32(f);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// The number with the largest magnitude, the first of several.
static float find_extreme(const float in[BLOCK])
{
    float extreme = in[0];
    for (int i = 1; i < BLOCK; i++)
        if (fabsf(in[i]) > fabsf(extreme)) extreme = in[i];
    return extreme;
}

static void pack_q8_0(const float in[BLOCK], uint8_t *block)
{
    float d = fabsf(find_extreme(in)) / 127;
    float inverse = d != 0 ? 1 / d : 0;
    bytes_store_u16(block, half_from_float(d));
    for (int i = 0; i < BLOCK; i++)
        block[2 + i] = (uint8_t)(int8_t)roundf(in[i] * inverse);
}

// The scale's sign is such that the extreme number becomes code 0, which is -8 times the scale.
static void pack_q4_0(const float in[BLOCK], uint8_t *block)
{
    float d = find_extreme(in) / -8;
    float inverse = d != 0 ? 1 / d : 0;
    uint8_t codes[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        int code = (int)(in[i] * inverse + 8.5f);
        codes[i] = (uint8_t)(code > 15 ? 15 : code);
    }
    bytes_store_u16(block, half_from_float(d));
    for (int i = 0; i < BLOCK / 2; i++)
        block[2 + i] = (uint8_t)(codes[i] | codes[i + BLOCK / 2] << 4);
}

static void pack_block(enum dtype type, const float *in, uint8_t *block)
{
    switch (type) {
    case DTYPE_F32:
        dense_store_f32(block, *in);
        break;
    case DTYPE_F16:
        bytes_store_u16(block, half_from_float(*in));
        break;
    case DTYPE_BF16:
        bytes_store_u16(block, dense_bfloat16(*in));
        break;
    case DTYPE_Q8_0:
        pack_q8_0(in, block);
        break;
    default:
        pack_q4_0(in, block);
        break;
    }
}

void dense_pack_row(enum dtype type, const float *in, uint64_t columns, uint8_t *out)
{
    const struct dtype_info *info = dtype_info(type);
    for (uint64_t i = 0; i < columns; i += info->block_elements, out += info->block_bytes)
        pack_block(type, in + i, out);
}
