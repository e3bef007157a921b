// Small pieces that the AVX2 kernels are made of.
#ifndef KERNEL_X86_AVX2_VECTOR_H
#define KERNEL_X86_AVX2_VECTOR_H

#include <immintrin.h>

#include "kernel/arithmetic.h"

// Functions whose counts are constants in every call: the compiler makes one copy for each, with arrays in registers.
#define SPECIALISE static inline __attribute__((always_inline))

// A loop over registers, i = 0 .. n - 1: unrolled, so that the array which it walks needs no memory.
#ifdef __clang__
#define foreach(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i++)
#else
#define foreach(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#endif

SPECIALISE __m256i load_256(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

SPECIALISE __m128i load_128(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

SPECIALISE void store_256(void *p, __m256i v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

// 16 bytes in both halves.
SPECIALISE __m256i load_twice(const void *p)
{
    return _mm256_broadcastsi128_si256(load_128(p));
}

// sum + four products in each 32-bit lane, of unsigned a <= 128 and signed b, |b| <= 127: two products fit int16.
#ifdef __AVXVNNI__
// In assembly because GCC (12) copies the sum before and after each of _mm256_dpbusd_avx_epi32().
SPECIALISE __m256i add_dots(__m256i sum, __m256i a, __m256i b)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
}
#else
SPECIALISE __m256i add_dots(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
}
#endif

// The sum of all lanes.
SPECIALISE int32_t sum_lanes(__m256i v)
{
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1))));
}

// Tables begin at lines.
static inline int64_t round_up(int64_t bytes)
{
    return (bytes + TILE_ALIGNMENT - 1) / TILE_ALIGNMENT * TILE_ALIGNMENT;
}

// 8 halves as floats.
SPECIALISE __m256 load_halves(const void *p)
{
    return _mm256_cvtph_ps(load_128(p));
}

// The half at p in all lanes.
SPECIALISE __m256 broadcast_half(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_set1_epi16((int16_t)load_u16(p)));
}

// The half at p, as half_to_float gives it.
SPECIALISE float load_one_half(const uint8_t *p)
{
    return _cvtsh_ss(load_u16(p));
}

// tree8 of kernel.h.
SPECIALISE float vector_tree8(__m256 v)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// The largest lane.
SPECIALISE float vector_max(__m256 v)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// kernel_expf of eight lanes.
SPECIALISE __m256 vector_exp(__m256 x)
{
    __m256 alive = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_LOWEST), _CMP_GE_OQ);
    x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(EXP_LOWEST)), _mm256_set1_ps(EXP_HIGHEST));
    __m256 n =
        _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(EXP_LOG2E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_LN2_HI), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_LN2_LO), r);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C6), r, _mm256_set1_ps(EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(power)), alive);
}

// 8 x 8 floats: lane j of v[i] becomes lane i of v[j].
SPECIALISE void transpose_floats(__m256 v[8])
{
    __m256 t[8];
    for (int round = 0; round < 2; round++) { // quarters of the two halves
        foreach (i, 4) {
            int half = i / 2 * 4, j = i % 2;
            t[half + 2 * j] = _mm256_unpacklo_ps(v[half + j], v[half + j + 2]);
            t[half + 2 * j + 1] = _mm256_unpackhi_ps(v[half + j], v[half + j + 2]);
        }
        foreach (i, 8)
            v[i] = t[i];
    }
    foreach (i, 4) {
        t[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
    }
    foreach (i, 8)
        v[i] = t[i];
}

#endif
