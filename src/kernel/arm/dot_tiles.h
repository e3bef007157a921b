// Tiles with int8 activations on CPUs that have the dot-product instruction (SDOT: each 32-bit lane adds the products
// of its four bytes). Included by files that are compiled for it.
//
// A lane is a row. Four chunks of a tile are transposed so that a row's four bytes lie side by side; what these bytes
// hold in one place (two bits of a trit, one bit) then belongs to four columns, a chunk apart. The activations are put
// into that order first: all columns of the lowest place, then all of the next.
#ifndef KERNEL_ARM_DOT_TILES_H
#define KERNEL_ARM_DOT_TILES_H

#include "kernel/arm/neon.h"

enum { MAX_GROUP = 128, HALF_ROWS = TILE_ROWS / 2, HALF_VECTORS = HALF_ROWS / LANES };

// One token's codes of a group, in the order of places, and their sum.
struct ordered {
    _Alignas(16) int8_t q[MAX_GROUP]; // [places][chunks]
    int32_t sum;
};

INLINE int64_t chunks_of(const struct matrix *w)
{
    return w->group / tile_chunk_columns(w->kind);
}

// Each 64 columns at once: element i of plane k is column 4 i + k, so a byte of eight bits has even i and odd i.
INLINE void order_columns(enum matrix_kind kind, const int8_t *q, int64_t columns, struct ordered *out)
{
    int64_t chunks = columns / (kind == MATRIX_TRITS ? 4 : 8);
    int32x4_t sum = vdupq_n_s32(0);
    for (int64_t c = 0; c < columns; c += 64) {
        int8x16x4_t planes = vld4q_s8(q + c);
        int8_t *at = out->q + c * chunks / columns;
        for (int k = 0; k < 4; k++) {
            sum = vdotq_s32(sum, vdupq_n_s8(1), planes.val[k]);
            if (kind == MATRIX_TRITS) {
                vst1q_s8(at + k * chunks, planes.val[k]);
                continue;
            }
            vst1_s8(at + k * chunks, vget_low_s8(vuzp1q_s8(planes.val[k], planes.val[k])));
            vst1_s8(at + (k + 4) * chunks, vget_low_s8(vuzp2q_s8(planes.val[k], planes.val[k])));
        }
    }
    out->sum = vaddvq_s32(sum);
}

// Four chunks of 16 rows each: four rows a vector.
INLINE void transpose_chunks(const uint8_t *codes, uint8x16_t rows[4])
{
    uint8x16_t a = vld1q_u8(codes), b = vld1q_u8(codes + TILE_ROWS);
    uint8x16_t c = vld1q_u8(codes + 2 * TILE_ROWS), d = vld1q_u8(codes + 3 * TILE_ROWS);
    uint8x16_t ac_low = vzip1q_u8(a, c), ac_high = vzip2q_u8(a, c);
    uint8x16_t bd_low = vzip1q_u8(b, d), bd_high = vzip2q_u8(b, d);
    rows[0] = vzip1q_u8(ac_low, bd_low);
    rows[1] = vzip2q_u8(ac_low, bd_low);
    rows[2] = vzip1q_u8(ac_high, bd_high);
    rows[3] = vzip2q_u8(ac_high, bd_high);
}

// What bytes hold in place k: a trit's code 0..3, or -1 for a bit that is set.
INLINE int8x16_t take_place(enum matrix_kind kind, uint8x16_t bytes, int k)
{
    if (kind == MATRIX_BITS) return vreinterpretq_s8_u8(vtstq_u8(bytes, vdupq_n_u8((uint8_t)(1 << k))));
    uint8x16_t shifted = k > 0 ? vshlq_u8(bytes, vdupq_n_s8((int8_t)(-2 * k))) : bytes;
    return vreinterpretq_s8_u8(k < 3 ? vandq_u8(shifted, vdupq_n_u8(3)) : shifted);
}

// Four bytes in every lane.
INLINE int8x16_t repeat_four(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

// Dot products of 16 rows' codes (as take_place() has them) over one group; `codes` begins at the first of the rows.
INLINE void sum_half(enum matrix_kind kind, const uint8_t *codes, int64_t chunks, const struct ordered *x, int n,
                     int32x4_t (*dots)[HALF_VECTORS])
{
    const int places = kind == MATRIX_TRITS ? 4 : 8;
    for (int t = 0; t < n; t++)
        for (int i = 0; i < HALF_VECTORS; i++)
            dots[t][i] = vdupq_n_s32(0);
    for (int64_t c = 0; c < chunks; c += 4) {
        uint8x16_t rows[HALF_VECTORS];
        transpose_chunks(codes + c * TILE_ROWS, rows);
        for (int k = 0; k < places; k++) {
            int8x16_t w[HALF_VECTORS];
            for (int i = 0; i < HALF_VECTORS; i++)
                w[i] = take_place(kind, rows[i], k);
            for (int t = 0; t < n; t++) {
                int8x16_t q = repeat_four(x[t].q + k * chunks + c);
                for (int i = 0; i < HALF_VECTORS; i++)
                    dots[t][i] = vdotq_s32(dots[t][i], w[i], q);
            }
        }
    }
}

// acc = fmaf((float)dot, w_scale * x_scale, acc) for 16 rows. A trit is its code less one; a bit, summed as -1 if it is
// set, is twice that less one.
INLINE void accumulate_half(enum matrix_kind kind, const int32x4_t dots[HALF_VECTORS], int32_t sum,
                            const uint8_t *scales, float x_scale, float *acc)
{
    for (int i = 0; i < HALF_VECTORS; i++) {
        int32x4_t dot = kind == MATRIX_BITS ? vmulq_n_s32(dots[i], -2) : dots[i];
        float32x4_t factor = vmulq_n_f32(load_halves(scales + 2 * LANES * i), x_scale);
        dot = vsubq_s32(dot, vdupq_n_s32(sum));
        vst1q_f32(acc + LANES * i, vfmaq_f32(vld1q_f32(acc + LANES * i), vcvtq_f32_s32(dot), factor));
    }
}

// One group of a tile and the tokens that it meets.
struct group_step {
    const uint8_t *codes;          // of all 32 rows; their scales follow
    int64_t chunks;                // in the group
    struct ordered x[TOKEN_BLOCK]; // [n]
    float x_scale[TOKEN_BLOCK];    // [n]
    float (*acc)[TILE_ROWS];       // [n]
};

INLINE const uint8_t *group_scales(const struct group_step *group, int half)
{
    return group->codes + group->chunks * TILE_ROWS + 2 * HALF_ROWS * half;
}

INLINE void begin_group(const struct tile_step *step, enum matrix_kind kind, int64_t g, int n, struct group_step *out)
{
    const struct matrix *w = step->job->w;
    const struct activations *x = step->job->x;
    out->chunks = chunks_of(w);
    out->codes = step->data + g * (w->tile_bytes / w->n_groups);
    out->acc = step->acc;
    for (int t = 0; t < n; t++) {
        int64_t token = step->token + t;
        order_columns(kind, x->q + token * x->columns + g * w->group, w->group, &out->x[t]);
        out->x_scale[t] = x->scale[token * x->n_scales + g * w->group / 128];
    }
}

INLINE void dot_tile(const struct tile_step *step, enum matrix_kind kind, int n)
{
    for (int64_t g = 0; g < step->job->w->n_groups; g++) {
        struct group_step group;
        begin_group(step, kind, g, n, &group);
        for (int half = 0; half < 2; half++) {
            int32x4_t dots[TOKEN_BLOCK][HALF_VECTORS];
            sum_half(kind, group.codes + HALF_ROWS * half, group.chunks, group.x, n, dots);
            for (int t = 0; t < n; t++)
                accumulate_half(kind, dots[t], group.x[t].sum, group_scales(&group, half), group.x_scale[t],
                                group.acc[t] + HALF_ROWS * half);
        }
    }
}

// Sums of four neighbouring products.
INLINE int32x4_t dot_by_four(int8x16_t w, int8x16_t x)
{
    return vdotq_s32(vdupq_n_s32(0), w, x);
}

#include "kernel/arm/neon_blocks.h"

#endif
