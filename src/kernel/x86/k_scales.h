// What the tables for x86 share of Q4_K and Q5_K.
#ifndef KERNEL_X86_K_SCALES_H
#define KERNEL_X86_K_SCALES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

// The eight 6-bit scales and minima of Q4_K and Q5_K (format/codec.c): scales in bytes 0 .. 7, minima in 8 .. 15.
static inline __m128i unpack_k_scales(const uint8_t *packed)
{
    uint32_t a, b, c;
    memcpy(&a, packed, 4);
    memcpy(&b, packed + 4, 4);
    memcpy(&c, packed + 8, 4);
    return _mm_setr_epi32((int)(a & 0x3f3f3f3fu), (int)((c & 0x0f0f0f0fu) | (a >> 2 & 0x30303030u)),
                          (int)(b & 0x3f3f3f3fu), (int)((c >> 4 & 0x0f0f0f0fu) | (b >> 2 & 0x30303030u)));
}

#endif
