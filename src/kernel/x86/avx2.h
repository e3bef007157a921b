// avx2.c's functions, which the AVX-VNNI table shares.
#ifndef KERNEL_X86_AVX2_H
#define KERNEL_X86_AVX2_H

#include "kernel/kernel.h"

enum {
    PREFETCH_BYTES = 8192, // of tiles, ahead of the byte in use; with a quarter of it decoding is a third slower
    LOOKUP_TOKENS = 8,     // up to here sums of nibbles are looked up, from here on those of bytes
    BATCH_LARGE = 32,      // tokens of a batch that shares sums of bytes: lanes of int16 in two vectors
};

int64_t avx2_table_bytes(const struct matrix *w, int64_t n_tokens);
void avx2_table_build(const struct matrix *w, int64_t n_tokens, const int8_t *q, uint8_t *table);
void avx2_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                   void *scratch);
int64_t avx2_scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens);

void avx2_quantise(const float *x, int64_t n, int64_t group, int8_t *q, float *scale);
void avx2_read_ahead(const struct matrix *w, int64_t tile);
void avx2_rms_norm(const float *x, const float *weight, int64_t n, float eps, float *out);
void avx2_add(float *x, const float *y, int64_t n);
void avx2_silu_gate(const float *gate, const float *up, int64_t n, float *out);
void avx2_relu2_gate(const float *gate, const float *up, int64_t n, float *out);
void avx2_rope(float *head, const float *cosine, const float *sine, int64_t n_pairs, bool interleaved);
void avx2_to_half(const float *x, int64_t n, uint16_t *out);
void avx2_attend(const struct attention_block *block, void *scratch);

// What both tables have in common: all but the name and products.
// clang-format off
#define AVX2_COMMON                  \
    .quantise = avx2_quantise,       \
    .read_ahead = avx2_read_ahead,   \
    .few_tokens = LOOKUP_TOKENS,     \
    .token_tile = BATCH_LARGE,       \
    .dense_token_tile = BATCH_LARGE, \
    .rms_norm = avx2_rms_norm,       \
    .add = avx2_add,                 \
    .silu_gate = avx2_silu_gate,     \
    .relu2_gate = avx2_relu2_gate,   \
    .rope = avx2_rope,               \
    .to_half = avx2_to_half,         \
    .attend = avx2_attend,           \
    .attention_scratch_bytes = 0
// clang-format on

#endif
