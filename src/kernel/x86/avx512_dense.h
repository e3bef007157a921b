// Products with dense matrices where they lie, in AVX-512.
#ifndef KERNEL_X86_AVX512_DENSE_H
#define KERNEL_X86_AVX512_DENSE_H

#include "format/codec.h"
#include "kernel/x86/avx512_floats.h"
#include "kernel/x86/avx512_super.h"

// ---- Blocks of 32, int8: a vector is one block of two rows, a 32-bit lane four of its elements

enum {
    BLOCK = 32,
    BLOCK_ROWS = 8, // rows that go together: their scales make one vector
    BLOCK_PAIRS = BLOCK_ROWS / 2,
    BLOCK_TOKENS = 4,      // whose lanes stay in registers
    BLOCK_FEW_TOKENS = 16, // up to here rows are not unpacked beforehand
};

// What load_blocks() and load_super() add to a type's codes.
SPECIALISE int codes_up(enum dtype type)
{
    return type == DTYPE_Q8_0 ? -128 : type == DTYPE_Q4_0 ? 8 : type == DTYPE_Q6_K ? 32 : 0;
}

// VPDPBUSD takes unsigned weights: Q8_0's are moved up by 128, Q4_0's and Q6_K's stay as they are. What that adds to a
// lane depends on the activations alone and is taken off beforehand. A token's table: offset[columns / 4], int32, lane
// by lane; then sum[columns / 32], floats, of a block's activations. Types with minima have no use for the first,
// others for the second.
static int64_t blocks_table_bytes(const struct matrix *w)
{
    return round_up(w->columns + w->columns / BLOCK * (int64_t)sizeof(float));
}

static void blocks_build(const struct matrix *w, const int8_t *q, uint8_t *table)
{
    const __m512i weight = _mm512_set1_epi8((char)codes_up(w->type));
    float *sum = (float *)(void *)(table + w->columns);
    for (int64_t i = 0; i < w->columns; i += BLOCK) {
        __m512i x = _mm512_castsi256_si512(load_256(q + i));
        __m512i offset =
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_dpbusd_epi32(_mm512_setzero_si512(), weight, x));
        __m256i sums = _mm512_castsi512_si256(_mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), x));
        _mm256_storeu_si256((__m256i *)(void *)(table + i), _mm512_castsi512_si256(offset));
        sum[i / BLOCK] = (float)_mm512_reduce_add_epi32(_mm512_zextsi256_si512(sums));
    }
}

// Bytes of scratch for each block that is unpacked, see unpacked_place().
enum { UNPACKED_BYTES = (BLOCK_PAIRS + 1) * 64 };

static int64_t dense_scratch_bytes(const struct matrix *w, int64_t n_tokens)
{
    return w->form == ACTIVATION_F32 ? floats_scratch_bytes(n_tokens) : w->columns / BLOCK * UNPACKED_BYTES;
}

// The float of block `block` in the table of a job's token.
SPECIALISE float block_sum(const struct multiply *job, int64_t token, int64_t block)
{
    const uint8_t *sums = job->x->table + token * job->x->table_bytes + job->w->columns;
    float sum;
    memcpy(&sum, sums + block * (int64_t)sizeof sum, sizeof sum);
    return sum;
}

// A block of two rows as unsigned bytes.
SPECIALISE __m512i load_blocks(enum dtype type, const uint8_t *first, const uint8_t *second)
{
    if (type == DTYPE_Q8_0) return _mm512_xor_si512(load_pair(first + 2, second + 2), _mm512_set1_epi8(-128));
    const int nibbles = type == DTYPE_Q4_1 ? 4 : 2;
    __m256i low = _mm256_broadcastsi128_si256(load_128(first + nibbles));
    __m256i high = _mm256_broadcastsi128_si256(load_128(second + nibbles));
    __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    // Elements 0 .. 15 are the low nibbles, 16 .. 31 the high ones.
    const __m512i shift = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    return _mm512_and_si512(_mm512_srlv_epi64(both, shift), _mm512_set1_epi8(15));
}

SPECIALISE short load_short(const uint8_t *p)
{
    return (short)load_u16(p);
}

// The halves at `offset` of eight rows' blocks.
SPECIALISE __m256 load_row_halves(const uint8_t *const row[BLOCK_ROWS], int64_t offset)
{
    return _mm256_cvtph_ps(_mm_setr_epi16(load_short(row[0] + offset), load_short(row[1] + offset),
                                          load_short(row[2] + offset), load_short(row[3] + offset),
                                          load_short(row[4] + offset), load_short(row[5] + offset),
                                          load_short(row[6] + offset), load_short(row[7] + offset)));
}

// Lanes 2p and 2p + 1 of v, eight times each.
SPECIALISE __m512 spread_pair(__m256 v, int p)
{
    const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return _mm512_permutexvar_ps(_mm512_add_epi32(first, _mm512_set1_epi32(2 * p)), _mm512_castps256_ps512(v));
}

// Lanes 4p .. 4p + 3 of v, four times each.
SPECIALISE __m512 spread_four(__m512 v, int p)
{
    const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return _mm512_permutexvar_ps(_mm512_add_epi32(first, _mm512_set1_epi32(4 * p)), v);
}

// Steps of a block of eight rows: SUPER_STEPS floats as super_steps() writes them. Rows 2p and 2p + 1, lane by lane.
SPECIALISE __m512 spread_steps(enum dtype type, __m512 steps, int p)
{
    return type == DTYPE_Q6_K ? spread_four(steps, p) : spread_pair(_mm512_castps512_ps256(steps), p);
}

// Steps of all blocks of eight rows' super-blocks: of each row, then their minima; for Q6_K of each row's two halves.
SPECIALISE void super_steps(enum dtype type, const uint8_t *const row[BLOCK_ROWS], int64_t at, float *steps)
{
    if (type == DTYPE_Q6_K)
        q6_k_steps(row, at, load_row_halves(row, at + 208), steps);
    else
        nibble_steps(row, at, steps);
}

// What is left of rows [row, row + 8) times tokens [t, t + n) of the call's when only the lanes' sums remain.
struct block_sums {
    __m512 lanes[BLOCK_TOKENS * BLOCK_PAIRS];
    __m256 minimum[BLOCK_TOKENS];
};

SPECIALISE void sum_blocks(const struct multiply *job, enum dtype type, int64_t row, int64_t token, int64_t t, int n,
                           struct block_sums *out)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const int64_t n_blocks = w->columns / BLOCK;
    const int block_bytes = type == DTYPE_Q8_0 ? 34 : type == DTYPE_Q4_0 ? 18 : 20;
    const int8_t *q = x->q + (token + t) * w->columns;
    const uint8_t *offset = x->table + (token + t) * x->table_bytes;
    const float *x_scale = x->scale + (token + t) * x->n_scales;
    const uint8_t *ahead = w->data + (row + BLOCK_ROWS) * w->row_bytes, *rows[BLOCK_ROWS];
    UNROLL()
    for (int i = 0; i < BLOCK_ROWS; i++)
        rows[i] = w->data + min_i64(row + i, w->rows - 1) * w->row_bytes;
    __m512 lanes[BLOCK_TOKENS * BLOCK_PAIRS];
    __m256 minimum[BLOCK_TOKENS];
    UNROLL()
    for (int i = 0; i < n * BLOCK_PAIRS; i++)
        lanes[i] = _mm512_setzero_ps();
    UNROLL()
    for (int i = 0; i < n; i++)
        minimum[i] = _mm256_setzero_ps();
    for (int64_t b = 0, at = 0; b < n_blocks; b++, at += block_bytes, ahead += BLOCK_ROWS * block_bytes) {
        prefetch_rows(ahead, BLOCK_ROWS * block_bytes);
        const __m256 d = load_row_halves(rows, at);
        const __m256 m = type == DTYPE_Q4_1 ? load_row_halves(rows, at + 2) : _mm256_setzero_ps();
        for (int i = 0; i < n && type == DTYPE_Q4_1; i++) {
            __m256 factor = _mm256_mul_ps(m, _mm256_set1_ps(x_scale[i * x->n_scales + b]));
            minimum[i] = _mm256_fmadd_ps(_mm256_set1_ps(block_sum(job, token + t + i, b)), factor, minimum[i]);
        }
        __m512i weights[BLOCK_PAIRS];
        UNROLL()
        for (int p = 0; p < BLOCK_PAIRS; p++)
            weights[p] = load_blocks(type, rows[2 * p] + at, rows[2 * p + 1] + at);
        UNROLL()
        for (int i = 0; i < n * BLOCK_PAIRS; i++) {
            const int p = i % BLOCK_PAIRS;
            const int64_t k = i / BLOCK_PAIRS;
            __m512i dot = _mm512_setzero_si512();
            if (type != DTYPE_Q4_1) dot = _mm512_broadcast_i64x4(load_256(offset + k * x->table_bytes + b * BLOCK));
            dot = add_dots(dot, weights[p], _mm512_broadcast_i64x4(load_256(q + k * w->columns + b * BLOCK)));
            __m512 factor = _mm512_mul_ps(spread_pair(d, p), _mm512_set1_ps(x_scale[k * x->n_scales + b]));
            lanes[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), factor, lanes[i]);
        }
    }
    UNROLL()
    for (int i = 0; i < n * BLOCK_PAIRS; i++)
        out->lanes[i] = lanes[i];
    UNROLL()
    for (int i = 0; i < n; i++)
        out->minimum[i] = minimum[i];
}

// The same for rows of super-blocks.
SPECIALISE void sum_supers(const struct multiply *job, enum dtype type, int64_t row, int64_t token, int64_t t, int n,
                           struct block_sums *out)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const int64_t n_blocks = w->columns / BLOCK;
    const bool minima = codec_has_minima(type);
    const int8_t *q = x->q + (token + t) * w->columns;
    const uint8_t *offset = x->table + (token + t) * x->table_bytes;
    const float *x_scale = x->scale + (token + t) * x->n_scales;
    const uint8_t *ahead = w->data + (row + BLOCK_ROWS) * w->row_bytes, *rows[BLOCK_ROWS];
    UNROLL()
    for (int i = 0; i < BLOCK_ROWS; i++)
        rows[i] = w->data + min_i64(row + i, w->rows - 1) * w->row_bytes;
    float steps[SUPER_BLOCKS * SUPER_STEPS];
    __m512 lanes[BLOCK_TOKENS * BLOCK_PAIRS], minimum[BLOCK_TOKENS]; // minima: upper half
    UNROLL()
    for (int i = 0; i < n * BLOCK_PAIRS; i++)
        lanes[i] = _mm512_setzero_ps();
    UNROLL()
    for (int i = 0; i < n; i++)
        minimum[i] = _mm512_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++, ahead += super_bytes(type)) {
        const int s = (int)(b % SUPER_BLOCKS);
        const int64_t at = b / SUPER_BLOCKS * super_bytes(type);
        prefetch_rows(ahead, super_bytes(type));
        if (s == 0) super_steps(type, rows, at, steps);
        __m512i weights[BLOCK_PAIRS];
        UNROLL()
        for (int p = 0; p < BLOCK_PAIRS; p++)
            weights[p] = load_super(type, rows[2 * p] + at, rows[2 * p + 1] + at, s);
        __m512 factor = _mm512_setzero_ps();
        UNROLL()
        for (int i = 0; i < n * BLOCK_PAIRS; i++) {
            const int p = i % BLOCK_PAIRS, k = i / BLOCK_PAIRS;
            if (p == 0) {
                const __m512 scale = _mm512_set1_ps(x_scale[k * x->n_scales + b]);
                factor = _mm512_mul_ps(_mm512_loadu_ps(steps + s * SUPER_STEPS), scale);
                if (minima)
                    minimum[k] = _mm512_fmadd_ps(_mm512_set1_ps(block_sum(job, token + t + k, b)), factor, minimum[k]);
            }
            __m512i dot = _mm512_setzero_si512();
            if (!minima) dot = _mm512_broadcast_i64x4(load_256(offset + k * x->table_bytes + b * BLOCK));
            dot = add_dots(dot, weights[p], _mm512_broadcast_i64x4(load_256(q + k * w->columns + b * BLOCK)));
            lanes[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), spread_steps(type, factor, p), lanes[i]);
        }
    }
    UNROLL()
    for (int i = 0; i < n * BLOCK_PAIRS; i++)
        out->lanes[i] = lanes[i];
    UNROLL()
    for (int i = 0; i < n; i++)
        out->minimum[i] = _mm512_extractf32x8_ps(minimum[i], 1);
}

// Writes the results of rows [row, row + 8) and n tokens from the job's `token` on.
SPECIALISE void store_blocks(const struct multiply *job, enum dtype type, const struct block_sums *sums, int64_t row,
                             int64_t token, int n)
{
    for (int i = 0; i < n; i++) {
        float dots[BLOCK_ROWS], minimum[BLOCK_ROWS];
        _mm256_storeu_ps(minimum, sums->minimum[i]);
        for (int p = 0; p < BLOCK_PAIRS; p++) {
            __m512 lanes = sums->lanes[i * BLOCK_PAIRS + p];
            dots[2 * p] = vector_tree8(_mm512_castps512_ps256(lanes));
            dots[2 * p + 1] = vector_tree8(_mm512_extractf32x8_ps(lanes, 1));
        }
        float *out = job->out + (token + i) * job->out_stride + row;
        for (int64_t r = 0; r < min_i64(BLOCK_ROWS, job->w->rows - row); r++)
            out[r] = (codec_has_minima(type) ? dots[r] + minimum[r] : dots[r]) * job->w->scale;
    }
}

// Rows [row, row + 8) times tokens [t, t + n) of the call's. Rows beyond the matrix are its last one.
SPECIALISE void multiply_blocks(const struct multiply *job, enum dtype type, int64_t row, int64_t token, int64_t t,
                                int n)
{
    struct block_sums sums;
    if (is_super(type))
        sum_supers(job, type, row, token, t, n, &sums);
    else
        sum_blocks(job, type, row, token, t, n, &sums);
    store_blocks(job, type, &sums, row, token + t, n);
}

SPECIALISE void multiply_blocks_tokens(const struct multiply *job, enum dtype type, int64_t row, int64_t token,
                                       int64_t n)
{
    int64_t t = 0;
    for (; t + BLOCK_TOKENS <= n; t += BLOCK_TOKENS)
        multiply_blocks(job, type, row, token, t, BLOCK_TOKENS);
    for (; t + 2 <= n; t += 2)
        multiply_blocks(job, type, row, token, t, 2);
    if (t < n) multiply_blocks(job, type, row, token, t, 1);
}

// ---- Many tokens: eight rows are unpacked once

struct unpacked_rows {
    __m512i *weights; // [n_blocks][BLOCK_PAIRS], as load_blocks() and load_super() have them
    float *steps;     // [n_blocks][SUPER_STEPS], as super_steps() has them
};

static struct unpacked_rows unpacked_place(const struct matrix *w, void *scratch)
{
    struct unpacked_rows rows = {.weights = scratch};
    rows.steps = (float *)(rows.weights + w->columns / BLOCK * BLOCK_PAIRS);
    return rows;
}

// Block b of rows of single blocks.
SPECIALISE void unpack_blocks(enum dtype type, const uint8_t *const rows[BLOCK_ROWS], int64_t b,
                              const struct unpacked_rows *out)
{
    const int64_t at = b * (type == DTYPE_Q8_0 ? 34 : type == DTYPE_Q4_0 ? 18 : 20);
    UNROLL()
    for (int p = 0; p < BLOCK_PAIRS; p++)
        out->weights[b * BLOCK_PAIRS + p] = load_blocks(type, rows[2 * p] + at, rows[2 * p + 1] + at);
    float *steps = out->steps + b * SUPER_STEPS;
    _mm256_storeu_ps(steps, load_row_halves(rows, at));
    _mm256_storeu_ps(steps + BLOCK_ROWS, type == DTYPE_Q4_1 ? load_row_halves(rows, at + 2) : _mm256_setzero_ps());
}

// Block b of rows of super-blocks; the first one of a super-block writes the steps of all.
SPECIALISE void unpack_supers(enum dtype type, const uint8_t *const rows[BLOCK_ROWS], int64_t b,
                              const struct unpacked_rows *out)
{
    const int s = (int)(b % SUPER_BLOCKS);
    const int64_t at = b / SUPER_BLOCKS * super_bytes(type);
    UNROLL()
    for (int p = 0; p < BLOCK_PAIRS; p++)
        out->weights[b * BLOCK_PAIRS + p] = load_super(type, rows[2 * p] + at, rows[2 * p + 1] + at, s);
    if (s == 0) super_steps(type, rows, at, out->steps + b * SUPER_STEPS);
}

// Rows [row, row + 8), beyond the matrix its last one.
SPECIALISE void unpack_rows(const struct matrix *w, enum dtype type, int64_t row, const struct unpacked_rows *out)
{
    // Bytes of eight rows that 32 columns take.
    const int piece = is_super(type) ? super_bytes(type)
                                     : BLOCK_ROWS * (type == DTYPE_Q8_0   ? 34
                                                     : type == DTYPE_Q4_0 ? 18
                                                                          : 20);
    const uint8_t *ahead = w->data + (row + BLOCK_ROWS) * w->row_bytes, *rows[BLOCK_ROWS];
    for (int i = 0; i < BLOCK_ROWS; i++)
        rows[i] = w->data + min_i64(row + i, w->rows - 1) * w->row_bytes;
    for (int64_t b = 0; b < w->columns / BLOCK; b++, ahead += piece) {
        prefetch_rows(ahead, piece);
        if (is_super(type))
            unpack_supers(type, rows, b, out);
        else
            unpack_blocks(type, rows, b, out);
    }
}

// Unpacked rows times tokens [t, t + n) of the call's.
SPECIALISE void sum_unpacked(const struct multiply *job, enum dtype type, const struct unpacked_rows *rows,
                             int64_t token, int64_t t, int n, struct block_sums *out)
{
    const struct activations *x = job->x;
    const int64_t columns = job->w->columns, n_blocks = columns / BLOCK;
    const int8_t *q = x->q + (token + t) * columns;
    const float *x_scale = x->scale + (token + t) * x->n_scales;
    const uint8_t *offset = x->table + (token + t) * x->table_bytes;
    const __m512i *weights = rows->weights;
    __m512 lanes[BLOCK_TOKENS * BLOCK_PAIRS], minimum[BLOCK_TOKENS]; // minima: upper half
    UNROLL()
    for (int i = 0; i < n * BLOCK_PAIRS; i++)
        lanes[i] = _mm512_setzero_ps();
    UNROLL()
    for (int i = 0; i < n; i++)
        minimum[i] = _mm512_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++, weights += BLOCK_PAIRS) {
        const __m512 steps = _mm512_loadu_ps(rows->steps + b * SUPER_STEPS);
        __m512 factor = _mm512_setzero_ps();
        __m512i v = _mm512_setzero_si512(), start = _mm512_setzero_si512();
        UNROLL()
        for (int i = 0; i < n * BLOCK_PAIRS; i++) {
            const int p = i % BLOCK_PAIRS, k = i / BLOCK_PAIRS;
            if (p == 0) {
                factor = _mm512_mul_ps(steps, _mm512_set1_ps(x_scale[k * x->n_scales + b]));
                v = _mm512_broadcast_i64x4(load_256(q + k * columns + b * BLOCK));
                if (!codec_has_minima(type))
                    start = _mm512_broadcast_i64x4(load_256(offset + k * x->table_bytes + b * BLOCK));
                if (codec_has_minima(type))
                    minimum[k] = _mm512_fmadd_ps(_mm512_set1_ps(block_sum(job, token + t + k, b)), factor, minimum[k]);
            }
            __m512i dot = add_dots(start, weights[p], v);
            lanes[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), spread_steps(type, factor, p), lanes[i]);
        }
    }
    UNROLL()
    for (int i = 0; i < n * BLOCK_PAIRS; i++)
        out->lanes[i] = lanes[i];
    UNROLL()
    for (int i = 0; i < n; i++)
        out->minimum[i] = _mm512_extractf32x8_ps(minimum[i], 1);
}

SPECIALISE void multiply_unpacked(const struct multiply *job, enum dtype type, const struct unpacked_rows *rows,
                                  int64_t row, int64_t token, int64_t t, int n)
{
    struct block_sums sums;
    sum_unpacked(job, type, rows, token, t, n, &sums);
    store_blocks(job, type, &sums, row, token + t, n);
}

SPECIALISE void multiply_many(const struct multiply *job, enum dtype type, const struct unpacked_rows *rows,
                              int64_t row, int64_t token, int64_t n)
{
    int64_t t = 0;
    unpack_rows(job->w, type, row, rows);
    for (; t + BLOCK_TOKENS <= n; t += BLOCK_TOKENS)
        multiply_unpacked(job, type, rows, row, token, t, BLOCK_TOKENS);
    for (; t < n; t++)
        multiply_unpacked(job, type, rows, row, token, t, 1);
}

SPECIALISE void multiply_block_rows(const struct multiply *job, enum dtype type, const struct unpacked_rows *rows,
                                    int64_t row, int64_t token, int64_t n)
{
    if (n <= BLOCK_FEW_TOKENS)
        multiply_blocks_tokens(job, type, row, token, n);
    else
        multiply_many(job, type, rows, row, token, n);
}

static void dense_multiply_int8(const struct multiply *job, int64_t row, int64_t row_end, int64_t token,
                                int64_t token_end, void *scratch)
{
    const int64_t n = token_end - token;
    const struct unpacked_rows rows = unpacked_place(job->w, scratch);
    for (; row < row_end; row += BLOCK_ROWS) {
        switch (job->w->type) {
        case DTYPE_Q8_0:
            multiply_block_rows(job, DTYPE_Q8_0, &rows, row, token, n);
            break;
        case DTYPE_Q4_0:
            multiply_block_rows(job, DTYPE_Q4_0, &rows, row, token, n);
            break;
        case DTYPE_Q4_1:
            multiply_block_rows(job, DTYPE_Q4_1, &rows, row, token, n);
            break;
        case DTYPE_Q4_K:
            multiply_block_rows(job, DTYPE_Q4_K, &rows, row, token, n);
            break;
        case DTYPE_Q5_K:
            multiply_block_rows(job, DTYPE_Q5_K, &rows, row, token, n);
            break;
        default: // Q6_K
            multiply_block_rows(job, DTYPE_Q6_K, &rows, row, token, n);
            break;
        }
    }
}

static void dense_multiply(const struct multiply *job, int64_t row, int64_t row_end, int64_t token, int64_t token_end,
                           void *scratch)
{
    if (job->w->form == ACTIVATION_F32)
        floats_multiply(job, row, row_end, token, token_end, scratch);
    else
        dense_multiply_int8(job, row, row_end, token, token_end, scratch);
}

#endif
