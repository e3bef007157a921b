// One token times bit tiles by table lookup, which takes half the instructions that VPDPBUSD does with one bit a byte:
// a nibble stands for four columns, and byte shuffles look the sums of their activations up for the 64 rows of a pair
// of tiles. The sum over a group is at most 128 * 127 in magnitude, so that int16 holds it exactly.
#ifndef KERNEL_X86_AVX512_LOOKUP_H
#define KERNEL_X86_AVX512_LOOKUP_H

#include "kernel/x86/avx512_tiles.h"

enum {
    NIBBLE_BYTES = 32, // of a nibble position's table: low bytes of its 16 sums, then high bytes
};

static int64_t lookup_bytes(const struct matrix *w)
{
    return w->columns / 4 * NIBBLE_BYTES;
}

// In each 16-bit lane i of both halves: byte k is 2 if bit first_bit + k of i is set, for two columns.
SPECIALISE __m512i sign_bits(int first_bit)
{
    const __m512i index =
        _mm512_broadcast_i64x4(_mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m512i first = _mm512_and_si512(_mm512_srli_epi32(index, (unsigned)first_bit), _mm512_set1_epi16(1));
    const __m512i second = _mm512_and_si512(_mm512_srli_epi32(index, (unsigned)first_bit + 1), _mm512_set1_epi16(1));
    return _mm512_or_si512(_mm512_slli_epi16(first, 1), _mm512_slli_epi16(second, 9));
}

// Sum i of four columns: the sign of column k is bit k of i. Two nibble positions at a time, each in half a vector.
static void lookup_build(const struct matrix *w, const int8_t *q, uint8_t *table)
{
    const __m512i twice[2] = {sign_bits(0), sign_bits(2)}, once = _mm512_set1_epi8(1);
    const __m512i columns[2] = {_mm512_inserti64x4(_mm512_set1_epi16(0x0100), _mm256_set1_epi16(0x0504), 1),
                                _mm512_inserti64x4(_mm512_set1_epi16(0x0302), _mm256_set1_epi16(0x0706), 1)};
    const __m512i bytes = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    const __m512i halves = _mm512_setr_epi64(0, 2, 1, 3, 4, 6, 5, 7);
    for (int64_t i = 0; i < w->columns; i += 8, table += 2 * NIBBLE_BYTES) {
        int64_t eight;
        memcpy(&eight, q + i, sizeof eight);
        __m512i sums = _mm512_setzero_si512();
        UNROLL()
        for (int k = 0; k < 2; k++) {
            __m512i two = _mm512_shuffle_epi8(_mm512_set1_epi64(eight), columns[k]);
            sums = _mm512_add_epi16(sums, _mm512_maddubs_epi16(twice[k], two));
            sums = _mm512_sub_epi16(sums, _mm512_maddubs_epi16(once, two));
        }
        _mm512_storeu_si512(table, _mm512_permutexvar_epi64(halves, _mm512_shuffle_epi8(sums, bytes)));
    }
}

// Sums of 64 rows: of each tile, rows 0 .. 7 and 16 .. 23 in low, 8 .. 15 and 24 .. 31 in high.
struct pair_sums {
    __m512i low, high;
};

// 16 bytes in each quarter.
SPECIALISE __m512i load_four_times(const uint8_t *p)
{
    return _mm512_broadcast_i32x4(load_128(p));
}

// Adds the sums that 64 nibbles stand for.
SPECIALISE void lookup_add(struct pair_sums *s, __m512i nibbles, const uint8_t *table)
{
    __m512i low = _mm512_shuffle_epi8(load_four_times(table), nibbles);
    __m512i high = _mm512_shuffle_epi8(load_four_times(table + 16), nibbles);
    s->low = _mm512_add_epi16(s->low, _mm512_unpacklo_epi8(low, high));
    s->high = _mm512_add_epi16(s->high, _mm512_unpackhi_epi8(low, high));
}

// Rows of a pair's sums in order, sixteen to a vector.
SPECIALISE void lookup_rows(struct pair_sums s, __m512i rows[ROW_VECTORS])
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    const __m512i tile[2] = {_mm512_permutex2var_epi64(s.low, first, s.high),
                             _mm512_permutex2var_epi64(s.low, second, s.high)};
    UNROLL()
    for (int i = 0; i < 2; i++) {
        rows[2 * i] = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(tile[i]));
        rows[2 * i + 1] = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(tile[i], 1));
    }
}

// The sums of one group, whose tables begin at `table`.
SPECIALISE struct pair_sums lookup_group(const uint8_t *codes, int64_t code_bytes, const uint8_t *table)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    struct pair_sums sums = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (int64_t i = 0; i < code_bytes; i += LINE, table += 2 * NIBBLE_BYTES) {
        prefetch_lines(codes + i + AHEAD_BYTES, 1);
        __m512i bytes = _mm512_loadu_si512(codes + i);
        lookup_add(&sums, _mm512_and_si512(bytes, nibble), table);
        lookup_add(&sums, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble), table + NIBBLE_BYTES);
    }
    return sums;
}

static void lookup_pair(const struct multiply *job, int64_t tile, int64_t n_tiles, int64_t token)
{
    const struct matrix *w = job->w;
    const int64_t code_bytes = tile_code_bytes(w), tables_bytes = w->group / 4 * NIBBLE_BYTES;
    const uint8_t *codes = w->data + tile_offset(w, tile);
    const uint8_t *table = job->x->table + token * job->x->table_bytes;
    const float *x_scale = job->x->scale + token * job->x->n_scales;
    __m512 acc[ROW_VECTORS];
    UNROLL()
    for (int v = 0; v < ROW_VECTORS; v++)
        acc[v] = _mm512_setzero_ps();
    for (int64_t g = 0; g < w->n_groups; g++, table += tables_bytes) {
        __m512i dot[ROW_VECTORS];
        lookup_rows(lookup_group(codes, code_bytes, table), dot);
        codes += code_bytes;
        prefetch_lines(codes + AHEAD_BYTES, 2);
        UNROLL()
        for (int v = 0; v < ROW_VECTORS; v++) {
            __m512 w_scale = load_halves(codes + v % 2 * LINE + v / 2 * TILE_PIECE);
            __m512 scale = _mm512_mul_ps(w_scale, _mm512_set1_ps(x_scale[g * w->group / 128]));
            acc[v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[v]), scale, acc[v]);
        }
        codes += 2 * LINE;
    }
    store_rows(job, tile, n_tiles, token, acc);
}

static void lookup_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token)
{
    for (; tile < tile_end; tile += 2)
        lookup_pair(job, tile, min_i64(2, tile_end - tile), token);
}

#endif
