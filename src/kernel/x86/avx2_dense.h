// Products with dense matrices in AVX2, rows as they lie in the file. Decoding is bound by memory: rows go four at a
// time so that their sums do not wait for each other. With more tokens a row's weights are unpacked once for four.
#ifndef KERNEL_X86_AVX2_DENSE_H
#define KERNEL_X86_AVX2_DENSE_H

#include "kernel/x86/avx2_blocks.h"

// ---- Floats: F32, F16, BF16, and rows of every other type after they were unpacked
// ------------------------------------------

enum { FLOAT_LANES = 16 };

SPECIALISE int float_bytes(enum dtype type)
{
    return type == DTYPE_F32 ? 4 : 2;
}

// Eight weights.
SPECIALISE __m256 float_weights(enum dtype type, const uint8_t *p)
{
    if (type == DTYPE_F32) return _mm256_loadu_ps((const float *)(const void *)p);
    if (type == DTYPE_F16) return load_halves(p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_128(p)), 16));
}

SPECIALISE float float_weight(enum dtype type, const uint8_t *p)
{
    float weight;
    codec_unpack_dense(type, p, &weight);
    return weight;
}

// n_rows rows from `data` on, row_bytes apart, written as rows `row` .. of n_tokens tokens.
SPECIALISE void float_dots(const struct multiply *job, enum dtype type, const uint8_t *data, int64_t row_bytes,
                           int64_t row, int64_t token, int n_rows, int n_tokens, bool prefetch)
{
    const int64_t columns = job->w->columns, whole = columns / FLOAT_LANES * FLOAT_LANES;
    const float *x = job->x->f32 + token * columns;
    __m256 acc[DENSE_ROWS][DENSE_TOKENS][2];
    foreach (r, n_rows)
        foreach (t, n_tokens)
            acc[r][t][0] = acc[r][t][1] = _mm256_setzero_ps();
    for (int64_t c = 0; c < whole; c += FLOAT_LANES)
        foreach (r, n_rows) {
            const uint8_t *at = data + r * row_bytes + c * float_bytes(type);
            if (prefetch) dense_prefetch(at, row_bytes);
            foreach (h, 2) {
                __m256 weights = float_weights(type, at + 8 * h * float_bytes(type));
                foreach (t, n_tokens)
                    acc[r][t][h] = _mm256_fmadd_ps(weights, _mm256_loadu_ps(x + t * columns + c + 8 * h), acc[r][t][h]);
            }
        }
    for (int r = 0; r < n_rows; r++)
        for (int t = 0; t < n_tokens; t++) {
            float lanes[FLOAT_LANES];
            _mm256_storeu_ps(lanes, acc[r][t][0]);
            _mm256_storeu_ps(lanes + 8, acc[r][t][1]);
            for (int64_t c = whole; c < columns; c++)
                lanes[c - whole] = __builtin_fmaf(float_weight(type, data + r * row_bytes + c * float_bytes(type)),
                                                  x[t * columns + c], lanes[c - whole]);
            job->out[(token + t) * job->out_stride + row + r] = tree16(lanes) * job->w->scale;
        }
}

// n rows, DENSE_ROWS at most, and all tokens. prefetch: the rows after them come next.
SPECIALISE void float_range(const struct multiply *job, enum dtype type, const uint8_t *data, int64_t row_bytes,
                            int64_t row, int64_t n, int64_t token, int64_t token_end, bool prefetch)
{
    for (; token + DENSE_TOKENS <= token_end; token += DENSE_TOKENS)
        for (int64_t r = 0; r < n; r++)
            float_dots(job, type, data + r * row_bytes, row_bytes, row + r, token, 1, DENSE_TOKENS, prefetch);
    for (; token < token_end; token++) {
        if (n == DENSE_ROWS)
            float_dots(job, type, data, row_bytes, row, token, DENSE_ROWS, 1, prefetch);
        else
            for (int64_t r = 0; r < n; r++)
                float_dots(job, type, data + r * row_bytes, row_bytes, row + r, token, 1, 1, prefetch);
    }
}

// ---- Unpacking
// ------------------------------------------------------------------------------------------------------------

// A row as floats, the same that codec_unpack_row gives.
static void dense_row(const struct matrix *w, int64_t row, float *out)
{
    const struct dtype_info *info = dtype_info(w->type);
    const uint8_t *block = w->data + row * w->row_bytes;
    for (int64_t c = 0; c < w->columns; c += info->block_elements, block += info->block_bytes) {
        for (uint32_t i = 0; i < info->block_bytes; i += 64)
            dense_prefetch(block + i, w->row_bytes);
        if (w->type == DTYPE_Q4_K)
            unpack_super(DTYPE_Q4_K, block, out + c);
        else if (w->type == DTYPE_Q5_K)
            unpack_super(DTYPE_Q5_K, block, out + c);
        else if (w->type == DTYPE_Q6_K)
            unpack_super(DTYPE_Q6_K, block, out + c);
        else
            codec_unpack_dense(w->type, block, out + c);
    }
}

// Four rows at a time as floats in scratch.
static void unpacked_range(const struct multiply *job, int64_t row, int64_t row_end, int64_t token, int64_t token_end,
                           float *scratch)
{
    const int64_t columns = job->w->columns, row_bytes = columns * (int64_t)sizeof(float);
    for (; row < row_end; row += DENSE_ROWS) {
        int64_t n = min_i64(DENSE_ROWS, row_end - row);
        for (int64_t r = 0; r < n; r++)
            dense_row(job->w, row + r, scratch + r * columns);
        float_range(job, DTYPE_F32, (const uint8_t *)scratch, row_bytes, row, n, token, token_end, false);
    }
}

// ---- All types
// --------------------------------------------------------------------------------------------------------------

static bool dense_is_float(enum dtype type)
{
    return type == DTYPE_F32 || type == DTYPE_F16 || type == DTYPE_BF16;
}

static int64_t dense_scratch_bytes(const struct matrix *w)
{
    return w->form != ACTIVATION_F32 || dense_is_float(w->type) ? 0 : w->columns * DENSE_ROWS * (int64_t)sizeof(float);
}

SPECIALISE void float_matrix(const struct multiply *job, enum dtype type, int64_t row, int64_t row_end, int64_t token,
                             int64_t token_end)
{
    const struct matrix *w = job->w;
    for (; row < row_end; row += DENSE_ROWS)
        float_range(job, type, w->data + row * w->row_bytes, w->row_bytes, row, min_i64(DENSE_ROWS, row_end - row),
                    token, token_end, true);
}

static void dense_multiply(const struct multiply *job, int64_t row, int64_t row_end, int64_t token, int64_t token_end,
                           float *scratch)
{
    if (job->w->form != ACTIVATION_F32) {
        int8_multiply(job, row, row_end, token, token_end);
        return;
    }
    switch (job->w->type) {
    case DTYPE_F32:
        float_matrix(job, DTYPE_F32, row, row_end, token, token_end);
        break;
    case DTYPE_F16:
        float_matrix(job, DTYPE_F16, row, row_end, token, token_end);
        break;
    case DTYPE_BF16:
        float_matrix(job, DTYPE_BF16, row, row_end, token, token_end);
        break;
    default:
        unpacked_range(job, row, row_end, token, token_end, scratch);
        break;
    }
}

#endif
