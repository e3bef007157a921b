// AArch64 with the matrix instructions for int8 (FEAT_I8MM, of ARMv8.6), beside the dot product: SMMLA adds the
// products of two rows of eight weights with two tokens of eight activations, twice the work of SDOT. A single token is
// left to SDOT, and so are dense blocks, whose sums of four columns SMMLA cannot keep apart.
#include "kernel/arm/dot_tiles.h"
#include "kernel/tables.h"

enum { PAIRS = TOKEN_BLOCK / 2, ROW_PAIRS = HALF_ROWS / 2 };

// Eight chunks of 16 rows each: two rows a vector.
INLINE void transpose_eight(const uint8_t *codes, uint8x16_t rows[ROW_PAIRS])
{
    uint8x16_t first[HALF_VECTORS], second[HALF_VECTORS];
    transpose_chunks(codes, first);
    transpose_chunks(codes + 4 * TILE_ROWS, second);
    for (int i = 0; i < HALF_VECTORS; i++) {
        uint32x4_t a = vreinterpretq_u32_u8(first[i]), b = vreinterpretq_u32_u8(second[i]);
        rows[2 * i] = vreinterpretq_u8_u32(vzip1q_u32(a, b));
        rows[2 * i + 1] = vreinterpretq_u8_u32(vzip2q_u32(a, b));
    }
}

// Eight activations of each of two tokens.
INLINE int8x16_t pair_tokens(const struct ordered *first, const struct ordered *second, int64_t at)
{
    return vcombine_s8(vld1_s8(first->q + at), vld1_s8(second->q + at));
}

// As sum_half(), in pairs: sums[p][i] holds rows 2 i and 2 i + 1 with tokens 2 p and 2 p + 1: row by row.
INLINE void sum_pairs(enum matrix_kind kind, const uint8_t *codes, int64_t chunks, const struct ordered *x, int n,
                      int32x4_t (*sums)[ROW_PAIRS])
{
    const int places = kind == MATRIX_TRITS ? 4 : 8, pairs = (n + 1) / 2;
    for (int p = 0; p < pairs; p++)
        for (int i = 0; i < ROW_PAIRS; i++)
            sums[p][i] = vdupq_n_s32(0);
    for (int64_t c = 0; c < chunks; c += 8) {
        uint8x16_t rows[ROW_PAIRS];
        transpose_eight(codes + c * TILE_ROWS, rows);
        for (int k = 0; k < places; k++) {
            int8x16_t q[PAIRS];
            for (int p = 0; p < pairs; p++) // the last token of an odd number is its own partner
                q[p] = pair_tokens(&x[2 * p], &x[2 * p + 1 < n ? 2 * p + 1 : 2 * p], k * chunks + c);
            for (int i = 0; i < ROW_PAIRS; i++) {
                int8x16_t w = take_place(kind, rows[i], k);
                for (int p = 0; p < pairs; p++)
                    sums[p][i] = vmmlaq_s32(sums[p][i], w, q[p]);
            }
        }
    }
}

// One token's rows out of a pair's sums.
INLINE void unpair(const int32x4_t sums[ROW_PAIRS], bool second, int32x4_t dots[HALF_VECTORS])
{
    for (int i = 0; i < HALF_VECTORS; i++)
        dots[i] = second ? vuzp2q_s32(sums[2 * i], sums[2 * i + 1]) : vuzp1q_s32(sums[2 * i], sums[2 * i + 1]);
}

INLINE void matrix_tile(const struct tile_step *step, enum matrix_kind kind, int n)
{
    for (int64_t g = 0; g < step->job->w->n_groups; g++) {
        struct group_step group;
        begin_group(step, kind, g, n, &group);
        for (int half = 0; half < 2; half++) {
            int32x4_t sums[PAIRS][ROW_PAIRS], dots[HALF_VECTORS];
            sum_pairs(kind, group.codes + HALF_ROWS * half, group.chunks, group.x, n, sums);
            for (int t = 0; t < n; t++) {
                unpair(sums[t / 2], t % 2 != 0, dots);
                accumulate_half(kind, dots, group.x[t].sum, group_scales(&group, half), group.x_scale[t],
                                group.acc[t] + HALF_ROWS * half);
            }
        }
    }
}

// A single token makes no pair.
INLINE void tokens_tile(const struct tile_step *step, enum matrix_kind kind, int n)
{
    if (n == 1)
        dot_tile(step, kind, 1);
    else
        matrix_tile(step, kind, n);
}

static void i8mm_tile(const struct tile_step *step, int64_t n)
{
    neon_tile_of_constants(step, n, tokens_tile);
}

static void i8mm_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                          void *scratch)
{
    static const struct neon_products products = {i8mm_tile, multiply_row_group32, i8mm_multiply};
    neon_multiply_by(job, &(struct tile_span){tile, tile_end, token, token_end}, scratch, &products);
}

const struct kernels kernel_i8mm = {
    .name = "i8mm",
    .multiply = i8mm_multiply,
    NEON_COMMON,
};
