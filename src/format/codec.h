// Packing and unpacking of single blocks and rows, in plain C: the truth about what bytes mean (formats.md).
#ifndef FORMAT_CODEC_H
#define FORMAT_CODEC_H

#include "format/tensor.h"

// Most elements that a block of any type has.
enum { CODEC_MAX_BLOCK = 256 };

// A ternary block: codes[block_elements] in 0..3 with weight = (code - 1) * scale; *scale is the block's half, as bits.
// I2_S has no scale in its blocks: *scale is 1.0; the tensor's own comes from codec_tensor_scale().
void codec_unpack_trits(enum dtype type, const uint8_t *block, uint8_t *codes, uint16_t *scale);

// A binary block (Q1_0): bits[128] in 0..1 with weight = bit ? scale : -scale.
void codec_unpack_bits(enum dtype type, const uint8_t *block, uint8_t *bits, uint16_t *scale);

// The scale that multiplies a whole tensor: I2_S's f32 after its codes; 1 for every other type.
float codec_tensor_scale(const struct tensor *tensor);

// Row `row` of a tensor of any type as floats: out[dims[0]]. The arithmetic is one rounding at most an element
// (d * q, fmaf where a minimum is added: fmaf(d, q, m)), so that it is the same everywhere.
void codec_unpack_row(const struct tensor *tensor, uint64_t row, float *out);

// One block of a dense type (block_elements floats).
void codec_unpack_dense(enum dtype type, const uint8_t *block, float *out);

// A block of Q8_0, Q4_0, Q4_1 (32 elements), Q4_K, Q5_K or Q6_K (256) in parts: element i is step[i / 16] * code[i], or
// fmaf(step[i / 16], code[i], minimum[i / 32]) for a type that has minima. Steps and minima are exact. What a block
// lacks is left as it was.
struct codec_parts {
    int8_t code[CODEC_MAX_BLOCK];
    float step[CODEC_MAX_BLOCK / 16], minimum[CODEC_MAX_BLOCK / 32];
};
void codec_unpack_parts(enum dtype type, const uint8_t *block, struct codec_parts *out);

// Whether a type of codec_unpack_parts() has minima.
static inline bool codec_has_minima(enum dtype type)
{
    return type == DTYPE_Q4_1 || type == DTYPE_Q4_K || type == DTYPE_Q5_K;
}

// The reverse for packed types, for converters and tests: codes 0..2 (0..3 for Q2_0) or bits, and a half's bits.
// `block` gets block_bytes bytes.
void codec_pack_trits(enum dtype type, const uint8_t *codes, uint16_t scale, uint8_t *block);
void codec_pack_bits(enum dtype type, const uint8_t *bits, uint16_t scale, uint8_t *block);

#endif
