// Small pieces that the AVX-512 kernels are made of.
#ifndef KERNEL_X86_AVX512_VECTOR_H
#define KERNEL_X86_AVX512_VECTOR_H

#include <immintrin.h>

#include "kernel/arithmetic.h"

// Functions whose counts are constants in every call: the compiler makes one copy for each, with arrays in registers.
#define SPECIALISE static inline __attribute__((always_inline))

// Before a loop over registers: unrolls it, so that the array which it walks needs no memory. Not all compilers manage
// that for loops in loops: one index runs over tokens and vectors.
#if defined(__clang__)
#define UNROLL() _Pragma("clang loop unroll(full)")
#else
#define UNROLL() _Pragma("GCC unroll 32")
#endif

// Tables begin at lines.
static inline int64_t round_up(int64_t bytes)
{
    return (bytes + TILE_ALIGNMENT - 1) / TILE_ALIGNMENT * TILE_ALIGNMENT;
}

SPECIALISE __m128i load_128(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

SPECIALISE __m256i load_256(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

// 32 bytes at each of two places.
SPECIALISE __m512i load_pair(const void *low, const void *high)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(load_256(low)), load_256(high), 1);
}

// sum + four products in each 32-bit lane, of unsigned a and signed b. In assembly because GCC (12) copies the sum
// before and after each of _mm512_dpbusd_epi32(), which takes half of the speed away.
SPECIALISE __m512i add_dots(__m512i sum, __m512i a, __m512i b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

// 16 halves as floats.
SPECIALISE __m512 load_halves(const void *p)
{
    return _mm512_cvtph_ps(load_256(p));
}

// The first n lanes, all of them for n >= 16.
SPECIALISE __mmask16 first_lanes(int64_t n)
{
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}

SPECIALISE float vector_tree8(__m256 v)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// tree16 of kernel.h.
SPECIALISE float vector_tree16(__m512 v)
{
    return vector_tree8(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}

// kernel_expf of sixteen lanes.
SPECIALISE __m512 vector_exp(__m512 x)
{
    __mmask16 alive = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_LOWEST), _CMP_GE_OQ);
    x = _mm512_min_ps(x, _mm512_set1_ps(EXP_HIGHEST));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(EXP_LOG2E)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(EXP_LN2_HI), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(EXP_LN2_LO), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(EXP_C6), r, _mm512_set1_ps(EXP_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    __m512i power = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
    return _mm512_maskz_mul_ps(alive, p, _mm512_castsi512_ps(power));
}

#endif
