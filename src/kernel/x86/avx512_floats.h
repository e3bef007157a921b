// Products with dense matrices that are multiplied as floats, in AVX-512: a vector is 16 columns of one row.
//
// A few rows go together, piece by piece of their columns: each piece becomes floats in the first level of cache, once
// for all tokens, and the lanes of each row and token wait in memory between pieces. Few tokens times floats and halves
// gain nothing from that.
#ifndef KERNEL_X86_AVX512_FLOATS_H
#define KERNEL_X86_AVX512_FLOATS_H

#include "kernel/x86/avx512_vector.h"
#include "kernel/x86/k_scales.h"

enum {
    FLOAT_ROWS = 8,                    // that go together
    FLOAT_TOKENS = 3,                  // whose lanes with all those rows stay in registers: 24 of the 32
    PIECE_COLUMNS = 512,               // a multiple of every type's block
    PIECE_STRIDE = PIECE_COLUMNS + 16, // rows of a piece begin in different sets of the first level of cache
};

// ---- Weights as floats

// 16 unsigned bytes as fmaf(step, q, offset).
SPECIALISE void store_scaled(__m128i q, __m512 step, __m512 offset, float *out)
{
    _mm512_storeu_ps(out, _mm512_fmadd_ps(step, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(q)), offset));
}

// Q4_K and Q5_K: sub-blocks 2i and 2i + 1 of 32 lie in the low and the high nibbles of 32 bytes; high: the fifth bits,
// bit s of 32 bytes for sub-block s; NULL for Q4_K.
SPECIALISE void unpack_k_nibbles(const uint8_t *block, const uint8_t *high, const uint8_t *nibbles, float *out)
{
    const __m512 scales = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(unpack_k_scales(block + 4)));
    const __m512 d = _mm512_set1_ps(load_half(block)), d_minimum = _mm512_set1_ps(-load_half(block + 2));
    float steps[16];
    _mm512_storeu_ps(steps, _mm512_mul_ps(_mm512_mask_mov_ps(d, 0xff00, d_minimum), scales));
    UNROLL()
    for (int i = 0; i < 16; i++) {
        const int s = i / 2, half = i % 2 * 16;
        __m128i q = load_128(nibbles + s / 2 * 32 + half);
        q = _mm_and_si128(s % 2 == 0 ? q : _mm_srli_epi16(q, 4), _mm_set1_epi8(15));
        if (high != NULL) {
            __m128i fifth = _mm_and_si128(_mm_srli_epi16(load_128(high + half), s), _mm_set1_epi8(1));
            q = _mm_or_si128(q, _mm_slli_epi16(fifth, 4));
        }
        store_scaled(q, _mm512_set1_ps(steps[s]), _mm512_set1_ps(steps[8 + s]), out + 16 * i);
    }
}

// Q6_K: two halves of 128; quarter k of a half has its low nibbles in bytes 32 (k mod 2) .., low or high, and its upper
// two bits in bits 2k of the half's 32 bytes.
SPECIALISE void unpack_q6_k(const uint8_t *block, float *out)
{
    const __m512 d = _mm512_set1_ps(load_half(block + 208));
    float steps[16];
    _mm512_storeu_ps(steps, _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_128(block + 192)))));
    UNROLL()
    for (int i = 0; i < 16; i++) {
        const int half = i / 8, quarter = i / 2 % 4, j = i % 2 * 16;
        __m128i low = _mm_srli_epi16(load_128(block + 64 * half + 32 * (quarter % 2) + j), 4 * (quarter / 2));
        __m128i high = _mm_srli_epi16(load_128(block + 128 + 32 * half + j), 2 * quarter);
        __m128i q = _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)),
                                 _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4));
        __m512 code = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_sub_epi8(q, _mm_set1_epi8(32))));
        _mm512_storeu_ps(out + 16 * i, _mm512_mul_ps(_mm512_set1_ps(steps[i]), code));
    }
}

// Elements [i, i + 16) of a row of F32, F16 or BF16 of which `mask` are there.
SPECIALISE __m512 load_floats(enum dtype type, const uint8_t *row, int64_t i, __mmask16 mask)
{
    if (type == DTYPE_F32) return _mm512_maskz_loadu_ps(mask, row + 4 * i);
    __m256i halves = _mm256_maskz_loadu_epi16(mask, row + 2 * i);
    if (type == DTYPE_F16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

SPECIALISE void unpack_floats(enum dtype type, const uint8_t *row, int64_t column, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(out + i, load_floats(type, row, column + i, first_lanes(n - i)));
}

// Bytes of a row's columns before `column`, the first of a block.
static int64_t column_bytes(enum dtype type, int64_t column)
{
    const struct dtype_info *info = dtype_info(type);
    return column / info->block_elements * info->block_bytes;
}

// n columns of a row from `column` on, n at most PIECE_COLUMNS: out[n], and up to 15 zeros behind.
static void unpack_piece(const struct matrix *w, int64_t row, int64_t column, int64_t n, float *out)
{
    const struct dtype_info *info = dtype_info(w->type);
    const uint8_t *start = w->data + row * w->row_bytes, *block = start + column_bytes(w->type, column);
    switch (w->type) {
    case DTYPE_F32:
        unpack_floats(DTYPE_F32, start, column, n, out);
        return;
    case DTYPE_F16:
        unpack_floats(DTYPE_F16, start, column, n, out);
        return;
    case DTYPE_BF16:
        unpack_floats(DTYPE_BF16, start, column, n, out);
        return;
    case DTYPE_Q4_K:
        for (int64_t i = 0; i < n; i += info->block_elements, block += info->block_bytes)
            unpack_k_nibbles(block, NULL, block + 16, out + i);
        return;
    case DTYPE_Q5_K:
        for (int64_t i = 0; i < n; i += info->block_elements, block += info->block_bytes)
            unpack_k_nibbles(block, block + 16, block + 48, out + i);
        return;
    case DTYPE_Q6_K:
        for (int64_t i = 0; i < n; i += info->block_elements, block += info->block_bytes)
            unpack_q6_k(block, out + i);
        return;
    default:
        dense_unpack(w, row, column, n, out);
    }
}

// ---- Pieces

struct float_rows {
    __m512 *lanes; // [n_tokens][FLOAT_ROWS]
    float *piece;  // [FLOAT_ROWS][PIECE_STRIDE]
};

static int64_t floats_scratch_bytes(int64_t n_tokens)
{
    return (n_tokens * 16 + PIECE_STRIDE) * FLOAT_ROWS * (int64_t)sizeof(float);
}

// A load that a compiler does not repeat as operand of each product: loads would be what the loop is short of.
SPECIALISE __m512 load_once(const float *p)
{
    __m512 v = _mm512_loadu_ps(p);
    __asm__("" : "+v"(v));
    return v;
}

// lane = fmaf(w, x, lane) for the 16 columns at x of which `mask` are there. Lanes that `mask` lacks are left alone:
// adding 0 could lose a -0.
SPECIALISE void multiply_columns(const float *piece, const float *x, int64_t stride, __mmask16 mask, int n,
                                 __m512 *lanes)
{
    __m512 v[FLOAT_TOKENS];
    UNROLL()
    for (int t = 0; t < n; t++)
        v[t] = _mm512_maskz_loadu_ps(mask, x + t * stride);
    __m512 weights = _mm512_setzero_ps();
    UNROLL()
    for (int k = 0; k < n * FLOAT_ROWS; k++) {
        const int r = k / n, t = k % n;
        if (t == 0) weights = load_once(piece + r * PIECE_STRIDE);
        lanes[t * FLOAT_ROWS + r] = _mm512_mask3_fmadd_ps(weights, v[t], lanes[t * FLOAT_ROWS + r], mask);
    }
}

// Adds a piece of n_columns of all rows to the lanes of n tokens; x is the first token's.
SPECIALISE void multiply_piece(const float *piece, int64_t n_columns, const float *x, int64_t stride, int n,
                               __m512 *out)
{
    __m512 lanes[FLOAT_TOKENS * FLOAT_ROWS];
    UNROLL()
    for (int k = 0; k < n * FLOAT_ROWS; k++)
        lanes[k] = out[k];
    int64_t i = 0;
    for (; i + 16 <= n_columns; i += 16)
        multiply_columns(piece + i, x + i, stride, 0xffff, n, lanes);
    if (i < n_columns) multiply_columns(piece + i, x + i, stride, first_lanes(n_columns - i), n, lanes);
    UNROLL()
    for (int k = 0; k < n * FLOAT_ROWS; k++)
        out[k] = lanes[k];
}

static void multiply_piece_tokens(const struct float_rows *rows, int64_t n_columns, const float *x, int64_t stride,
                                  int64_t n)
{
    int64_t t = 0;
    for (; t + FLOAT_TOKENS <= n; t += FLOAT_TOKENS)
        multiply_piece(rows->piece, n_columns, x + t * stride, stride, FLOAT_TOKENS, rows->lanes + t * FLOAT_ROWS);
    for (; t < n; t++)
        multiply_piece(rows->piece, n_columns, x + t * stride, stride, 1, rows->lanes + t * FLOAT_ROWS);
}

// tree16 of each of eight rows: every level adds the upper half of what is left of a row to the lower, and leaves room
// for as much of another row.
SPECIALISE __m256 eight_trees(const __m512 rows[FLOAT_ROWS])
{
    __m512 two[4], four[2]; // rows side by side: 8 lanes of each, then 4
    UNROLL()
    for (int i = 0; i < 4; i++)
        two[i] = _mm512_add_ps(_mm512_shuffle_f32x4(rows[2 * i], rows[2 * i + 1], 0x44),
                               _mm512_shuffle_f32x4(rows[2 * i], rows[2 * i + 1], 0xee));
    UNROLL()
    for (int i = 0; i < 2; i++)
        four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(two[2 * i], two[2 * i + 1], 0x88),
                                _mm512_shuffle_f32x4(two[2 * i], two[2 * i + 1], 0xdd));
    // In each quarter two lanes of a row of the first four, then two of one of the last; then one of each.
    const __m512 eight =
        _mm512_add_ps(_mm512_shuffle_ps(four[0], four[1], 0x44), _mm512_shuffle_ps(four[0], four[1], 0xee));
    const __m512 sums = _mm512_add_ps(eight, _mm512_movehdup_ps(eight));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castps512_ps256(_mm512_permutexvar_ps(order, sums));
}

// Asks for columns [column, column + n) of FLOAT_ROWS rows: those to come next in the first level of cache, those of
// the next rows in the second.
SPECIALISE void prefetch_pieces(const struct matrix *w, int64_t row, int64_t column, int64_t n, bool soon)
{
    const int64_t first = column_bytes(w->type, column), bytes = column_bytes(w->type, column + n) - first;
    const uint8_t *start = w->data + row * w->row_bytes + first;
    for (int r = 0; r < FLOAT_ROWS; r++, start += w->row_bytes)
        for (int64_t i = 0; i < bytes; i += 64) {
            if (soon)
                _mm_prefetch((const char *)start + i, _MM_HINT_T0);
            else
                _mm_prefetch((const char *)start + i, _MM_HINT_T1);
        }
}

// Rows [row, row + FLOAT_ROWS) times n tokens from `token` on. Rows beyond the matrix are its last one.
static void multiply_rows(const struct multiply *job, const struct float_rows *rows, int64_t row, int64_t token,
                          int64_t n)
{
    const struct matrix *w = job->w;
    const float *x = job->x->f32 + token * w->columns;
    for (int64_t i = 0; i < n * FLOAT_ROWS; i++)
        rows->lanes[i] = _mm512_setzero_ps();
    for (int64_t c = 0; c < w->columns; c += PIECE_COLUMNS) {
        const int64_t n_columns = min_i64(PIECE_COLUMNS, w->columns - c);
        prefetch_pieces(w, row + FLOAT_ROWS, c, n_columns, false);
        for (int64_t r = 0; r < FLOAT_ROWS; r++)
            unpack_piece(w, min_i64(row + r, w->rows - 1), c, n_columns, rows->piece + r * PIECE_STRIDE);
        prefetch_pieces(w, row, c + PIECE_COLUMNS, PIECE_COLUMNS, true);
        multiply_piece_tokens(rows, n_columns, x + c, w->columns, n);
    }
    const __mmask8 there = (__mmask8)first_lanes(min_i64(FLOAT_ROWS, w->rows - row));
    for (int64_t t = 0; t < n; t++) {
        const __m256 sums = eight_trees(rows->lanes + t * FLOAT_ROWS);
        _mm256_mask_storeu_ps(job->out + (token + t) * job->out_stride + row, there,
                              _mm256_mul_ps(sums, _mm256_set1_ps(w->scale)));
    }
}

// ---- Rows as they lie, for few tokens

enum {
    STREAM_ROWS = 4,
    STREAM_TOKENS = 4,     // that go together
    STREAM_MAX_TOKENS = 24 // up to here this is faster
};

// Asks for bytes of the rows that come after those in work: a few rows side by side are too many streams for the
// processor to guess.
SPECIALISE void prefetch_rows(const uint8_t *ahead, int bytes)
{
    UNROLL()
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)ahead + i, _MM_HINT_T0);
}

SPECIALISE void stream_columns(enum dtype type, const uint8_t *const rows[STREAM_ROWS], const float *x, int64_t stride,
                               int64_t i, __mmask16 mask, int n, __m512 *lanes)
{
    __m512 weights[STREAM_ROWS];
    UNROLL()
    for (int r = 0; r < STREAM_ROWS; r++)
        weights[r] = load_floats(type, rows[r], i, mask);
    UNROLL()
    for (int k = 0; k < n * STREAM_ROWS; k++) {
        __m512 v = _mm512_maskz_loadu_ps(mask, x + k / STREAM_ROWS * stride + i);
        lanes[k] = _mm512_mask3_fmadd_ps(weights[k % STREAM_ROWS], v, lanes[k], mask);
    }
}

SPECIALISE void stream_rows(const struct multiply *job, enum dtype type, int64_t row, int64_t token, int n)
{
    const struct matrix *w = job->w;
    const float *x = job->x->f32 + token * w->columns;
    const int piece = STREAM_ROWS * 16 * (type == DTYPE_F32 ? 4 : 2); // bytes that 16 columns take
    const uint8_t *rows[STREAM_ROWS], *ahead = w->data + (row + STREAM_ROWS) * w->row_bytes;
    __m512 lanes[STREAM_TOKENS * STREAM_ROWS];
    for (int r = 0; r < STREAM_ROWS; r++)
        rows[r] = w->data + min_i64(row + r, w->rows - 1) * w->row_bytes;
    UNROLL()
    for (int k = 0; k < n * STREAM_ROWS; k++)
        lanes[k] = _mm512_setzero_ps();
    int64_t i = 0;
    for (; i + 16 <= w->columns; i += 16, ahead += piece) {
        prefetch_rows(ahead, piece);
        stream_columns(type, rows, x, w->columns, i, 0xffff, n, lanes);
    }
    if (i < w->columns) stream_columns(type, rows, x, w->columns, i, first_lanes(w->columns - i), n, lanes);
    UNROLL()
    for (int k = 0; k < n * STREAM_ROWS; k++) {
        const int t = k / STREAM_ROWS, r = k % STREAM_ROWS;
        if (row + r < w->rows) job->out[(token + t) * job->out_stride + row + r] = vector_tree16(lanes[k]) * w->scale;
    }
}

SPECIALISE void stream_multiply(const struct multiply *job, enum dtype type, int64_t row, int64_t row_end,
                                int64_t token, int64_t token_end)
{
    for (; row < row_end; row += STREAM_ROWS) {
        int64_t t = token;
        for (; t + STREAM_TOKENS <= token_end; t += STREAM_TOKENS)
            stream_rows(job, type, row, t, STREAM_TOKENS);
        for (; t + 2 <= token_end; t += 2)
            stream_rows(job, type, row, t, 2);
        if (t < token_end) stream_rows(job, type, row, t, 1);
    }
}

// ---- All of them

static void floats_multiply(const struct multiply *job, int64_t row, int64_t row_end, int64_t token, int64_t token_end,
                            void *scratch)
{
    const enum dtype type = job->w->type;
    const int64_t n = token_end - token;
    const bool few = n <= STREAM_MAX_TOKENS;
    if (few && type == DTYPE_F32) {
        stream_multiply(job, DTYPE_F32, row, row_end, token, token_end);
    } else if (few && type == DTYPE_F16) {
        stream_multiply(job, DTYPE_F16, row, row_end, token, token_end);
    } else if (few && type == DTYPE_BF16) {
        stream_multiply(job, DTYPE_BF16, row, row_end, token, token_end);
    } else {
        struct float_rows rows = {scratch, (float *)((__m512 *)scratch + n * FLOAT_ROWS)};
        for (; row < row_end; row += FLOAT_ROWS)
            multiply_rows(job, &rows, row, token, n);
    }
}

#endif
