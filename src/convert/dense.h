// Packing of types whose blocks hold numbers instead of trits or bits: the reverse of codec_unpack_dense().
#ifndef CONVERT_DENSE_H
#define CONVERT_DENSE_H

#include "base/half.h"
#include "format/bytes.h"
#include "format/dtype.h"

static inline void dense_store_f32(uint8_t *p, float value)
{
    bytes_store_u32(p, half_to_bits32(value));
}

// Nearest bfloat16, ties to even; for finite numbers.
uint16_t dense_bfloat16(float f);

// in[columns], finite, whole blocks -> out[dtype_row_bytes(type, columns)]. Q8_0 and Q4_0 give the bytes of ggml's
// reference quantisation (quantize_row_q8_0_ref, quantize_row_q4_0_ref).
void dense_pack_row(enum dtype type, const float *in, uint64_t columns, uint8_t *out);

#endif
