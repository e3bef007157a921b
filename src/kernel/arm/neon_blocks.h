// Rows of integers, a scale for every 32 of activations, with int8 activations. Who includes this has a function
//     int32x4_t dot_by_four(int8x16_t w, int8x16_t x)
// for the sums of four neighbouring products.
#ifndef KERNEL_ARM_NEON_BLOCKS_H
#define KERNEL_ARM_NEON_BLOCKS_H

#include <math.h>

#include "format/codec.h"
#include "kernel/arm/neon.h"

// The integers of a block that its scale multiplies.
INLINE void block_integers(enum dtype type, const uint8_t *block, int8x16_t w[2])
{
    if (type == DTYPE_Q8_0) {
        w[0] = vreinterpretq_s8_u8(vld1q_u8(block + 2));
        w[1] = vreinterpretq_s8_u8(vld1q_u8(block + 18));
        return;
    }
    uint8x16_t nibbles = vld1q_u8(block + (type == DTYPE_Q4_1 ? 4 : 2));
    w[0] = vreinterpretq_s8_u8(vandq_u8(nibbles, vdupq_n_u8(15)));
    w[1] = vreinterpretq_s8_u8(vshrq_n_u8(nibbles, 4));
    if (type == DTYPE_Q4_0)
        for (int i = 0; i < 2; i++)
            w[i] = vsubq_s8(w[i], vdupq_n_s8(8));
}

// 32 columns of a row.
struct group32 {
    int8x16_t weights[2];
    float step[2], minimum;
};

// Block b of a row. Super-blocks are unpacked in plain C, whole, into `parts` when their first block is read.
INLINE struct group32 read_group32(enum dtype type, const uint8_t *row, int64_t b, struct codec_parts *parts)
{
    struct group32 out = {.minimum = 0.0f};
    if (!is_super(type)) {
        const uint8_t *block = row + b * (type == DTYPE_Q8_0 ? 34 : type == DTYPE_Q4_0 ? 18 : 20);
        block_integers(type, block, out.weights);
        out.step[0] = out.step[1] = load_half(block);
        if (type == DTYPE_Q4_1) out.minimum = load_half(block + 2);
        return out;
    }
    const int64_t s = b % 8;
    if (s == 0) codec_unpack_parts(type, row + b / 8 * super_bytes(type), parts);
    for (int i = 0; i < 2; i++) {
        out.weights[i] = vld1q_s8(parts->code + 32 * s + 16 * i);
        out.step[i] = parts->step[2 * s + i];
    }
    if (codec_has_minima(type)) out.minimum = parts->minimum[s];
    return out;
}

INLINE void row_group32(const struct multiply *job, enum dtype type, int64_t row, int64_t token, int n)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const uint8_t *data = w->data + row * w->row_bytes;
    struct codec_parts parts;
    float32x4_t lanes[TOKEN_BLOCK][2];
    float minimum_sum[TOKEN_BLOCK];
    for (int t = 0; t < n; t++) {
        lanes[t][0] = lanes[t][1] = vdupq_n_f32(0.0f);
        minimum_sum[t] = 0.0f;
    }
    for (int64_t b = 0; b < w->columns / 32; b++) {
        const struct group32 block = read_group32(type, data, b, &parts);
        for (int t = 0; t < n; t++) {
            const int8_t *q = x->q + (token + t) * x->columns + 32 * b;
            float x_scale = x->scale[(token + t) * x->n_scales + b];
            int8x16_t v[2] = {vld1q_s8(q), vld1q_s8(q + 16)};
            for (int i = 0; i < 2; i++) {
                float32x4_t dots = vcvtq_f32_s32(dot_by_four(block.weights[i], v[i]));
                lanes[t][i] = vfmaq_n_f32(lanes[t][i], dots, block.step[i] * x_scale);
            }
            if (codec_has_minima(type)) {
                int32_t x_sum = vaddvq_s16(vpadalq_s8(vpaddlq_s8(v[0]), v[1]));
                minimum_sum[t] = fmaf((float)x_sum, block.minimum * x_scale, minimum_sum[t]);
            }
        }
    }
    for (int t = 0; t < n; t++) {
        float stored[8];
        vst1q_f32(stored, lanes[t][0]);
        vst1q_f32(stored + 4, lanes[t][1]);
        float dot = tree8(stored);
        if (codec_has_minima(type)) dot += minimum_sum[t];
        job->out[(token + t) * job->out_stride + row] = dot * w->scale;
    }
}

INLINE void row_group32_tokens(const struct multiply *job, enum dtype type, int64_t row, int64_t token, int64_t n)
{
    if (n == TOKEN_BLOCK) {
        row_group32(job, type, row, token, TOKEN_BLOCK);
        return;
    }
    for (int64_t t = 0; t < n; t++)
        row_group32(job, type, row, token + t, 1);
}

static void multiply_row_group32(const struct multiply *job, int64_t row, int64_t token, int64_t n)
{
    switch (job->w->type) {
    case DTYPE_Q8_0:
        row_group32_tokens(job, DTYPE_Q8_0, row, token, n);
        break;
    case DTYPE_Q4_0:
        row_group32_tokens(job, DTYPE_Q4_0, row, token, n);
        break;
    case DTYPE_Q4_1:
        row_group32_tokens(job, DTYPE_Q4_1, row, token, n);
        break;
    case DTYPE_Q4_K:
        row_group32_tokens(job, DTYPE_Q4_K, row, token, n);
        break;
    case DTYPE_Q5_K:
        row_group32_tokens(job, DTYPE_Q5_K, row, token, n);
        break;
    default:
        row_group32_tokens(job, DTYPE_Q6_K, row, token, n);
    }
}

#endif
