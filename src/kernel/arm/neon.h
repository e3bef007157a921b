// What the tables for ARM share: neon.c's functions, which need no more than the base vectors.
#ifndef KERNEL_ARM_NEON_H
#define KERNEL_ARM_NEON_H

#include <arm_neon.h>

#include "kernel/arithmetic.h"

// Loops over these functions have constant bounds once they are inlined, so that their arrays become registers.
#define INLINE static inline __attribute__((always_inline))

enum { LANES = 4, TOKEN_BLOCK = 4 };

INLINE float32x4_t load_halves(const void *p)
{
    uint16x4_t bits;
    memcpy(&bits, p, sizeof bits);
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}

// What one call does for one tile and up to TOKEN_BLOCK tokens.
struct tile_step {
    const struct multiply *job;
    const uint8_t *data;
    int64_t token;
    float (*acc)[TILE_ROWS]; // [n tokens]
};

// `tile` with the kind of matrix and the number of tokens as constants: loops over both are unrolled.
INLINE void neon_tile_of_constants(const struct tile_step *step, int64_t n,
                                   void (*tile)(const struct tile_step *step, enum matrix_kind kind, int n))
{
    bool trits = step->job->w->kind == MATRIX_TRITS;
    if (trits && n == 1)
        tile(step, MATRIX_TRITS, 1);
    else if (trits && n == 2)
        tile(step, MATRIX_TRITS, 2);
    else if (trits && n == 3)
        tile(step, MATRIX_TRITS, 3);
    else if (trits)
        tile(step, MATRIX_TRITS, TOKEN_BLOCK);
    else if (n == 1)
        tile(step, MATRIX_BITS, 1);
    else if (n == 2)
        tile(step, MATRIX_BITS, 2);
    else if (n == 3)
        tile(step, MATRIX_BITS, 3);
    else
        tile(step, MATRIX_BITS, TOKEN_BLOCK);
}

// Products of int8 activations, which extensions have better instructions for.
struct neon_products {
    void (*tile_int8)(const struct tile_step *step, int64_t n);
    // One row of a dense matrix of form ACTIVATION_GROUP32 with up to TOKEN_BLOCK tokens.
    void (*row_group32)(const struct multiply *job, int64_t row, int64_t token, int64_t n);
    // The table's own multiply: it takes dense tiles again, once they are loose.
    void (*multiply)(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch);
};

struct tile_span {
    int64_t tile, tile_end, token, token_end;
};

// kernel.h's multiply with these products; all others are neon.c's own.
void neon_multiply_by(const struct multiply *job, const struct tile_span *span, void *scratch,
                      const struct neon_products *products);
int64_t neon_scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens);

void neon_quantise(const float *x, int64_t n, int64_t group, int8_t *q, float *scale);
void neon_rms_norm(const float *x, const float *weight, int64_t n, float eps, float *out);
void neon_add(float *x, const float *y, int64_t n);
void neon_silu_gate(const float *gate, const float *up, int64_t n, float *out);
void neon_relu2_gate(const float *gate, const float *up, int64_t n, float *out);
void neon_rope(float *head, const float *cosine, const float *sine, int64_t n_pairs, bool interleaved);
void neon_to_half(const float *x, int64_t n, uint16_t *out);
void neon_attend(const struct attention_block *block, void *scratch);

// What the tables for ARM have in common: all but name and multiply. reference_*: kernel/tables.h.
// clang-format off
#define NEON_COMMON                             \
    .quantise = neon_quantise,                  \
    .table_bytes = reference_table_bytes,       \
    .table_build = reference_table_build,       \
    .few_tokens = TOKEN_BLOCK,                  \
    .token_tile = 32,                           \
    .dense_token_tile = 32,                     \
    .scratch_bytes = neon_scratch_bytes,        \
    .rms_norm = neon_rms_norm,                  \
    .add = neon_add,                            \
    .silu_gate = neon_silu_gate,                \
    .relu2_gate = neon_relu2_gate,              \
    .rope = neon_rope,                          \
    .to_half = neon_to_half,                    \
    .attend = neon_attend,                      \
    .attention_scratch_bytes = 0
// clang-format on

#endif
