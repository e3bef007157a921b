// The tables of this program; kernel.c picks one. Each is defined in the file that its name says, built only for the
// architecture that it serves.
#ifndef KERNEL_TABLES_H
#define KERNEL_TABLES_H

#include "kernel/kernel.h"

extern const struct kernels kernel_reference; // reference.c
extern const struct kernels kernel_sse41;     // x86/sse41.c
extern const struct kernels kernel_avx2;      // x86/avx2.c
extern const struct kernels kernel_avxvnni;   // x86/avxvnni.c
extern const struct kernels kernel_avx512;    // x86/avx512.c
extern const struct kernels kernel_neon;      // arm/neon.c
extern const struct kernels kernel_dotprod;   // arm/dotprod.c
extern const struct kernels kernel_i8mm;      // arm/i8mm.c

// reference.c's functions, for tables that have no better one.
void reference_quantise(const float *x, int64_t n, int64_t group, int8_t *q, float *scale);
int64_t reference_table_bytes(const struct matrix *w, int64_t n_tokens);
void reference_table_build(const struct matrix *w, int64_t n_tokens, const int8_t *q, uint8_t *table);
void reference_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                        void *scratch);
int64_t reference_scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens);
void reference_rms_norm(const float *x, const float *weight, int64_t n, float eps, float *out);
void reference_add(float *x, const float *y, int64_t n);
void reference_silu_gate(const float *gate, const float *up, int64_t n, float *out);
void reference_relu2_gate(const float *gate, const float *up, int64_t n, float *out);
void reference_rope(float *head, const float *cosine, const float *sine, int64_t n_pairs, bool interleaved);
void reference_to_half(const float *x, int64_t n, uint16_t *out);
void reference_attend(const struct attention_block *block, void *scratch);

#endif
