// Small pieces that the SSE4.1 kernels are made of.
#ifndef KERNEL_X86_SSE41_VECTOR_H
#define KERNEL_X86_SSE41_VECTOR_H

#include <smmintrin.h>

#include "kernel/arithmetic.h"

#define SPECIALISE static inline __attribute__((always_inline))

SPECIALISE __m128i load_128(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

SPECIALISE void store_128(void *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)p, v);
}

SPECIALISE __m128 magnitude(__m128 x)
{
    return _mm_andnot_ps(_mm_set1_ps(-0.0f), x);
}

// p + c rounded to odd: the double next to the sum whose last bit is set, unless the sum is a double itself. Rounding
// that to a float gives what rounding the sum once would give (Boldo and Melquiond 2008, "Emulation of a FMA and
// correctly rounded sums: proved algorithms using rounding to odd").
SPECIALISE __m128d add_to_odd(__m128d p, __m128d c)
{
    const __m128i one = _mm_set1_epi64x(1);
    __m128d sum = _mm_add_pd(p, c), rest = _mm_sub_pd(sum, p);
    __m128d error = _mm_add_pd(_mm_sub_pd(p, _mm_sub_pd(sum, rest)), _mm_sub_pd(c, rest)); // exact (Knuth)
    __m128d inexact = _mm_or_pd(_mm_cmplt_pd(error, _mm_setzero_pd()), _mm_cmpgt_pd(error, _mm_setzero_pd()));
    __m128i bits = _mm_castpd_si128(sum), even = _mm_sub_epi64(_mm_and_si128(bits, one), one);
    // The sum was rounded towards zero if its error has its sign: one up in magnitude, otherwise one down.
    __m128i down = _mm_srli_epi64(_mm_xor_si128(bits, _mm_castpd_si128(error)), 63);
    __m128i step = _mm_sub_epi64(one, _mm_add_epi64(down, down));
    step = _mm_and_si128(step, _mm_and_si128(even, _mm_castpd_si128(inexact)));
    return _mm_castsi128_pd(_mm_add_epi64(bits, step));
}

// fmaf of the two low lanes: a product of floats is exact as a double.
SPECIALISE __m128 fused_low(__m128 a, __m128 b, __m128 c)
{
    return _mm_cvtpd_ps(add_to_odd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c)));
}

// fmaf of four lanes.
SPECIALISE __m128 fused(__m128 a, __m128 b, __m128 c)
{
    __m128 high = fused_low(_mm_movehl_ps(a, a), _mm_movehl_ps(b, b), _mm_movehl_ps(c, c));
    return _mm_movelh_ps(fused_low(a, b, c), high);
}

// Four halves as floats: the exponent is moved by a multiplication, which makes subnormals right too; that of
// infinities is set.
SPECIALISE __m128 load_halves(const uint8_t *p)
{
    __m128i h = _mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
    __m128i sign = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x8000)), 16);
    __m128i rest = _mm_and_si128(h, _mm_set1_epi32(0x7fff));
    __m128i infinite = _mm_and_si128(_mm_cmpgt_epi32(rest, _mm_set1_epi32(0x7bff)), _mm_set1_epi32(0x7f800000));
    __m128 scaled = _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(rest, 13)), _mm_set1_ps(0x1p112f));
    return _mm_or_ps(scaled, _mm_castsi128_ps(_mm_or_si128(sign, infinite)));
}

// Four bytes in four lanes.
SPECIALISE __m128i load_four_bytes(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
}

SPECIALISE int32_t sum_lanes(__m128i v)
{
    v = _mm_add_epi32(v, _mm_srli_si128(v, 8));
    return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_srli_si128(v, 4)));
}

// sum = fmaf(weight, x, sum) for the codes of four rows' bytes: two bits wide for trits, one for bits.
SPECIALISE __m128 exact_chunk(__m128 sum, __m128i bytes, const float *x, int positions, int width)
{
    const __m128i mask = _mm_set1_epi32((1 << width) - 1), one = _mm_set1_epi32(1);
    for (int k = 0; k < positions; k++) {
        __m128i code = _mm_and_si128(bytes, mask);
        code = _mm_sub_epi32(width == 2 ? code : _mm_add_epi32(code, code), one);
        sum = fused(_mm_cvtepi32_ps(code), _mm_set1_ps(x[k]), sum);
        bytes = _mm_srli_epi32(bytes, width);
    }
    return sum;
}

// Writes 32 rows' results for one token, times the matrix's scale; the last tile may have fewer rows.
SPECIALISE void store_tile(const struct multiply *job, int64_t tile, int64_t token, const __m128 acc[TILE_ROWS / 4])
{
    int64_t first = tile * TILE_ROWS, n = min_i64(TILE_ROWS, job->w->rows - first);
    float rows[TILE_ROWS];
    for (int i = 0; i < TILE_ROWS / 4; i++)
        _mm_storeu_ps(rows + 4 * i, _mm_mul_ps(acc[i], _mm_set1_ps(job->w->scale)));
    memcpy(job->out + token * job->out_stride + first, rows, (size_t)n * sizeof(float));
}

// kernel_expf of four lanes.
SPECIALISE __m128 vector_exp(__m128 x)
{
    __m128 alive = _mm_cmpge_ps(x, _mm_set1_ps(EXP_LOWEST));
    x = _mm_min_ps(_mm_max_ps(x, _mm_set1_ps(EXP_LOWEST)), _mm_set1_ps(EXP_HIGHEST));
    __m128 n = _mm_round_ps(_mm_mul_ps(x, _mm_set1_ps(EXP_LOG2E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m128 minus = _mm_xor_ps(n, _mm_set1_ps(-0.0f));
    __m128 r = fused(minus, _mm_set1_ps(EXP_LN2_LO), fused(minus, _mm_set1_ps(EXP_LN2_HI), x));
    __m128 p = fused(_mm_set1_ps(EXP_C6), r, _mm_set1_ps(EXP_C5));
    p = fused(p, r, _mm_set1_ps(EXP_C4));
    p = fused(p, r, _mm_set1_ps(EXP_C3));
    p = fused(p, r, _mm_set1_ps(EXP_C2));
    p = fused(p, r, _mm_set1_ps(1.0f));
    p = fused(p, r, _mm_set1_ps(1.0f));
    __m128i power = _mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127)), 23);
    return _mm_and_ps(_mm_mul_ps(p, _mm_castsi128_ps(power)), alive);
}

#endif
