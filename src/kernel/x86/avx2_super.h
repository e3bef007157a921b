// Super-blocks of 256 elements (Q4_K, Q5_K, Q6_K) in AVX2, 32 elements at a time. Layouts: format/codec.c.
#ifndef KERNEL_X86_AVX2_SUPER_H
#define KERNEL_X86_AVX2_SUPER_H

#include "kernel/x86/avx2_vector.h"
#include "kernel/x86/k_scales.h"

enum {
    SUPER_BLOCKS = 8, // of 32, in a super-block
    SUPER_STEPS = 16, // floats, see super_steps()
};

// Eight bytes, unsigned, as floats.
SPECIALISE __m256 bytes_to_floats(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

// Q4_K and Q5_K: steps of the eight blocks, then their minima. Q6_K: steps of every 16 elements.
SPECIALISE void super_steps(enum dtype type, const uint8_t *super, float steps[SUPER_STEPS])
{
    __m256 first, second;
    if (type == DTYPE_Q6_K) {
        __m128i scales = load_128(super + 192);
        __m256 d = broadcast_half(super + 208);
        first = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(scales)));
        second = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(scales, 8))));
    } else {
        __m128i scales = unpack_k_scales(super + 4);
        __m256 d_minimum = _mm256_xor_ps(broadcast_half(super + 2), _mm256_set1_ps(-0.0f));
        first = _mm256_mul_ps(broadcast_half(super), bytes_to_floats(scales));
        second = _mm256_mul_ps(d_minimum, bytes_to_floats(_mm_srli_si128(scales, 8)));
    }
    _mm256_storeu_ps(steps, first);
    _mm256_storeu_ps(steps + 8, second);
}

// The step of each four elements of block s.
SPECIALISE __m256 block_steps(enum dtype type, const float steps[SUPER_STEPS], int s)
{
    if (type != DTYPE_Q6_K) return _mm256_broadcast_ss(steps + s);
    return _mm256_set_m128(_mm_broadcast_ss(steps + 2 * s + 1), _mm_broadcast_ss(steps + 2 * s));
}

// The 32 codes of block s; Q6_K's are 32 more than its weights. Q4_K and Q5_K: blocks 2i and 2i + 1 are the low and the
// high nibbles of 32 bytes, and bit s of 32 others is block s's fifth bit. Q6_K: of four blocks, k and k + 2 are the
// low and the high nibbles of 32 bytes for k < 2, and bits 2k and 2k + 1 of 32 others are block k's upper two.
SPECIALISE __m256i block_codes(enum dtype type, const uint8_t *super, int s)
{
    const bool q6_k = type == DTYPE_Q6_K;
    const int at = q6_k ? s / 4 * 64 + s % 2 * 32 : (type == DTYPE_Q4_K ? 16 : 48) + s / 2 * 32;
    const int shift = q6_k ? s / 2 % 2 * 4 : s % 2 * 4;
    __m256i low = _mm256_srl_epi32(load_256(super + at), _mm_cvtsi32_si128(shift));
    low = _mm256_and_si256(low, _mm256_set1_epi8(15));
    if (type == DTYPE_Q4_K) return low;
    __m256i high = load_256(super + (q6_k ? 128 + s / 4 * 32 : 16));
    high = _mm256_srl_epi32(high, _mm_cvtsi32_si128(q6_k ? s % 4 * 2 : s));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi8(q6_k ? 3 : 1)), 4);
    return _mm256_or_si256(low, high);
}

// A super-block as floats, the same that codec_unpack_dense gives.
SPECIALISE void unpack_super(enum dtype type, const uint8_t *super, float *out)
{
    float steps[SUPER_STEPS];
    super_steps(type, super, steps);
    for (int s = 0; s < SUPER_BLOCKS; s++) {
        _Alignas(32) int8_t codes[32];
        store_256(codes, _mm256_sub_epi8(block_codes(type, super, s), _mm256_set1_epi8(type == DTYPE_Q6_K ? 32 : 0)));
        for (int i = 0; i < 32; i += 8, out += 8) {
            __m256 code = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(codes + i))));
            __m256 step = _mm256_broadcast_ss(steps + (type == DTYPE_Q6_K ? 2 * s + i / 16 : s));
            _mm256_storeu_ps(out, type == DTYPE_Q6_K
                                      ? _mm256_mul_ps(step, code)
                                      : _mm256_fmadd_ps(step, code, _mm256_broadcast_ss(steps + SUPER_BLOCKS + s)));
        }
    }
}

#endif
