// Q4_K, Q5_K and Q6_K for products with int8, in AVX-512: eight rows' super-blocks of 256 elements side by side, of
// which every 32 are a block as in avx512_dense.h. Layouts: format/codec.c.
#ifndef KERNEL_X86_AVX512_SUPER_H
#define KERNEL_X86_AVX512_SUPER_H

#include "kernel/x86/avx512_vector.h"

enum {
    SUPER_BLOCKS = 8, // of 32, in a super-block
    SUPER_ROWS = 8,
    SUPER_STEPS = 16, // floats for each block, see super_steps()
};

// ---- Steps

// The 16 bytes at `offset` of four rows.
SPECIALISE __m512i load_four_rows(const uint8_t *const *row, int64_t offset)
{
    __m512i v = _mm512_castsi128_si512(load_128(row[0] + offset));
    v = _mm512_inserti32x4(v, load_128(row[1] + offset), 1);
    v = _mm512_inserti32x4(v, load_128(row[2] + offset), 2);
    return _mm512_inserti32x4(v, load_128(row[3] + offset), 3);
}

// Q4_K and Q5_K begin with four words: both halves, then a, b and c with the 6-bit scales and minima: the first four
// scales in a's bytes, the first four minima in b's; those of the other four in c's nibbles, with two bits more above
// the first ones.
SPECIALISE void nibble_steps(const uint8_t *const row[SUPER_ROWS], int64_t at, float *steps)
{
    const __m512i words_12 = _mm512_setr_epi32(1, 5, 9, 13, 17, 21, 25, 29, 2, 6, 10, 14, 18, 22, 26, 30);
    const __m512i words_30 = _mm512_setr_epi32(3, 7, 11, 15, 19, 23, 27, 31, 0, 4, 8, 12, 16, 20, 24, 28);
    const __m512i upper_4 = _mm512_setr_epi64(0, 0, 0, 0, 0x400000004, 0x400000004, 0x400000004, 0x400000004);
    const __m512i six = _mm512_set1_epi8(0x3f), four = _mm512_set1_epi8(0x0f), two = _mm512_set1_epi8(0x30);
    const __m512i first = load_four_rows(row, at), second = load_four_rows(row + 4, at);
    const __m512i ab = _mm512_permutex2var_epi32(first, words_12, second);
    const __m512i c_halves = _mm512_permutex2var_epi32(first, words_30, second);
    const __m512i cc = _mm512_srlv_epi32(_mm512_shuffle_i64x2(c_halves, c_halves, 0x44), upper_4);
    const __m512i halves =
        _mm512_srlv_epi32(_mm512_shuffle_i64x2(c_halves, c_halves, 0xee), _mm512_slli_epi32(upper_4, 2));
    const __m512 d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(halves)); // d of eight rows, then the minima's
    const __m512 factor = _mm512_mask_sub_ps(d, 0xff00, _mm512_set1_ps(-0.0f), d);
    __m512i packed = _mm512_and_si512(ab, six);
    UNROLL()
    for (int s = 0; s < SUPER_BLOCKS; s++) {
        if (s == 4)
            packed = _mm512_or_si512(_mm512_and_si512(cc, four), _mm512_and_si512(_mm512_srli_epi32(ab, 2), two));
        __m512i code = _mm512_and_si512(packed, _mm512_set1_epi32(0xff));
        _mm512_storeu_ps(steps + s * SUPER_STEPS, _mm512_mul_ps(factor, _mm512_cvtepi32_ps(code)));
        packed = _mm512_srli_epi32(packed, 8);
    }
}

// Q6_K: 16 signed scales before the half at the end. A pair of them is one block's.
SPECIALISE void q6_k_steps(const uint8_t *const row[SUPER_ROWS], int64_t at, __m256 d, float *steps)
{
    static const uint16_t pairs[32] = {0, 8,  16, 24, 32, 40, 48, 56, 1, 9,  17, 25, 33, 41, 49, 57,
                                       2, 10, 18, 26, 34, 42, 50, 58, 3, 11, 19, 27, 35, 43, 51, 59};
    const __m512i first = load_four_rows(row, at + 192), second = load_four_rows(row + 4, at + 192);
    const __m512i index = _mm512_loadu_si512(pairs),
                  twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512 factor = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(d));
    uint8_t scales[SUPER_BLOCKS][2 * SUPER_ROWS];
    _mm512_storeu_si512(scales[0], _mm512_permutex2var_epi16(first, index, second));
    _mm512_storeu_si512(scales[4],
                        _mm512_permutex2var_epi16(first, _mm512_add_epi16(index, _mm512_set1_epi16(4)), second));
    UNROLL()
    for (int s = 0; s < SUPER_BLOCKS; s++) {
        __m512 scale = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_128(scales[s])));
        _mm512_storeu_ps(steps + s * SUPER_STEPS, _mm512_mul_ps(factor, scale));
    }
}

// ---- Codes

// Block s of two rows' super-blocks as unsigned bytes; Q6_K's are 32 more than the codes.
//
// Q4_K and Q5_K: blocks 2i and 2i + 1 are the low and the high nibbles of 32 bytes, and bit s of 32 others is block s's
// fifth bit. Q6_K: of four blocks, k and k + 2 are the low and the high nibbles of 32 bytes for k < 2, and bits 2k and
// 2k + 1 of 32 others are block k's upper two. Rotations of words keep in their bytes what the masks let through.
SPECIALISE __m512i load_super(enum dtype type, const uint8_t *first, const uint8_t *second, int s)
{
    const int at = type == DTYPE_Q4_K   ? 16 + s / 2 * 32
                   : type == DTYPE_Q5_K ? 48 + s / 2 * 32
                                        : s / 4 * 64 + s % 2 * 32;
    const int high_nibble = type == DTYPE_Q6_K ? s / 2 % 2 : s % 2;
    __m512i low = _mm512_srlv_epi32(load_pair(first + at, second + at), _mm512_set1_epi32(4 * high_nibble));
    low = _mm512_and_si512(low, _mm512_set1_epi8(15));
    if (type == DTYPE_Q4_K) return low;
    const int high_at = type == DTYPE_Q5_K ? 16 : 128 + s / 4 * 32, bit = type == DTYPE_Q5_K ? s : s % 4 * 2;
    __m512i high = load_pair(first + high_at, second + high_at);
    high = _mm512_rorv_epi32(high, _mm512_set1_epi32(bit - 4));
    // low | high & mask
    return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi8(type == DTYPE_Q5_K ? 0x10 : 0x30), 0xf8);
}

#endif
