// Products with dense matrices in AVX2, rows as they lie in the file. Decoding is bound by memory: rows go four at a
// time so that their sums do not wait for each other. With more tokens a row's weights are unpacked once for four.
#ifndef KERNEL_X86_AVX2_DENSE_H
#define KERNEL_X86_AVX2_DENSE_H

#include "format/codec.h"
#include "kernel/x86/avx2_super.h"

enum { DENSE_ROWS = 4, DENSE_TOKENS = 4 }; // most that are at work at once; never both

// Asks for the same place of the rows that come next: a processor's own prefetching starts anew with each row, which
// leaves it at a third of the speed.
SPECIALISE void dense_prefetch(const uint8_t *at, int64_t row_bytes)
{
    _mm_prefetch((const char *)at + DENSE_ROWS * row_bytes, _MM_HINT_T0);
}

// ---- int8: Q8_0, Q4_0, Q4_1, and blocks of Q4_K, Q5_K, Q6_K
// ---------------------------------------------------------------------------------------------

enum { INT8_BLOCK = 32 };

SPECIALISE int64_t int8_block_bytes(enum dtype type)
{
    return type == DTYPE_Q8_0 ? 34 : type == DTYPE_Q4_1 ? 20 : 18;
}

// The 32 integers of a block.
SPECIALISE __m256i int8_weights(enum dtype type, const uint8_t *block)
{
    if (type == DTYPE_Q8_0) return load_256(block + 2);
    __m128i bytes = load_128(block + (type == DTYPE_Q4_1 ? 4 : 2));
    __m256i nibbles = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
    nibbles = _mm256_and_si256(nibbles, _mm256_set1_epi8(15));
    return type == DTYPE_Q4_0 ? _mm256_sub_epi8(nibbles, _mm256_set1_epi8(8)) : nibbles;
}

// Lane j: the sum of products of elements 4j .. 4j + 3. |w| <= 128 as an unsigned byte, |q| <= 127: two products fit
// int16. Types with minima have no negative weights.
SPECIALISE __m256 int8_dots(enum dtype type, __m256i w, __m256i q)
{
    __m256i pairs = codec_has_minima(type) ? _mm256_maddubs_epi16(w, q)
                                           : _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// Sums of each block's activations, for minima: sums[n_tokens][columns / 32].
static void int8_sums(const struct activations *x, int64_t token, int64_t token_end, float *sums)
{
    const int8_t *q = x->q + token * x->columns, *end = x->q + token_end * x->columns;
    for (; q < end; q += INT8_BLOCK) {
        __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), load_256(q));
        __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
        __m128i v = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
        v = _mm_add_epi32(v, _mm_shuffle_epi32(v, _MM_SHUFFLE(1, 0, 3, 2)));
        v = _mm_add_epi32(v, _mm_shuffle_epi32(v, _MM_SHUFFLE(2, 3, 0, 1)));
        *sums++ = (float)_mm_cvtsi128_si32(v);
    }
}

struct int8_block {
    const uint8_t *place; // about where it lies
    __m256i weights;
    __m256 step;
    float minimum; // 0 if the type has none
};

// Block b of a row. steps: of the super-block, which its first block writes.
SPECIALISE struct int8_block int8_block(enum dtype type, const uint8_t *row, int64_t b, float steps[SUPER_STEPS])
{
    struct int8_block block = {.minimum = 0.0f};
    if (!is_super(type)) {
        block.place = row + b * int8_block_bytes(type);
        block.weights = int8_weights(type, block.place);
        block.step = broadcast_half(block.place);
        if (type == DTYPE_Q4_1) block.minimum = load_one_half(block.place + 2);
        return block;
    }
    const int s = (int)(b % SUPER_BLOCKS);
    const uint8_t *super = row + b / SUPER_BLOCKS * super_bytes(type);
    if (s == 0) super_steps(type, super, steps);
    block.place = super + s * super_bytes(type) / SUPER_BLOCKS;
    block.weights = block_codes(type, super, s);
    block.step = block_steps(type, steps, s);
    if (codec_has_minima(type)) block.minimum = steps[SUPER_BLOCKS + s];
    return block;
}

// n_rows rows and n_tokens tokens; sums: int8_sums of the first token.
SPECIALISE void int8_rows(const struct multiply *job, enum dtype type, int64_t row, int64_t token, const float *sums,
                          int n_rows, int n_tokens)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const uint8_t *data = w->data + row * w->row_bytes;
    const int8_t *q = x->q + token * x->columns;
    const float *x_scale = x->scale + token * x->n_scales;
    const int64_t n_blocks = w->columns / INT8_BLOCK;
    __m256 acc[DENSE_ROWS][DENSE_TOKENS];
    float minimum[DENSE_ROWS][DENSE_TOKENS] = {{0}}, steps[DENSE_ROWS][SUPER_STEPS];
    foreach (r, n_rows)
        foreach (t, n_tokens)
            acc[r][t] = _mm256_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b++) {
        foreach (r, n_rows) {
            const struct int8_block block = int8_block(type, data + r * w->row_bytes, b, steps[r]);
            dense_prefetch(block.place, w->row_bytes);
            foreach (t, n_tokens) {
                float scale = x_scale[t * x->n_scales + b];
                __m256 dots = int8_dots(type, block.weights, load_256(q + t * x->columns + b * INT8_BLOCK));
                acc[r][t] = _mm256_fmadd_ps(dots, _mm256_mul_ps(block.step, _mm256_set1_ps(scale)), acc[r][t]);
                if (codec_has_minima(type))
                    minimum[r][t] = __builtin_fmaf(sums[t * n_blocks + b], block.minimum * scale, minimum[r][t]);
            }
        }
    }
    for (int r = 0; r < n_rows; r++)
        for (int t = 0; t < n_tokens; t++) {
            float dot = vector_tree8(acc[r][t]);
            if (codec_has_minima(type)) dot += minimum[r][t];
            job->out[(token + t) * job->out_stride + row + r] = dot * w->scale;
        }
}

SPECIALISE void int8_range(const struct multiply *job, enum dtype type, int64_t row, int64_t row_end, int64_t token,
                           int64_t token_end, const float *sums)
{
    const int64_t n_blocks = job->w->columns / INT8_BLOCK;
    for (; row < row_end; row += DENSE_ROWS) {
        int64_t t = token, end = min_i64(row + DENSE_ROWS, row_end);
        for (; t + DENSE_TOKENS <= token_end; t += DENSE_TOKENS)
            for (int64_t r = row; r < end; r++)
                int8_rows(job, type, r, t, sums + (t - token) * n_blocks, 1, DENSE_TOKENS);
        for (; t < token_end; t++) {
            if (end - row == DENSE_ROWS)
                int8_rows(job, type, row, t, sums + (t - token) * n_blocks, DENSE_ROWS, 1);
            else
                for (int64_t r = row; r < end; r++)
                    int8_rows(job, type, r, t, sums + (t - token) * n_blocks, 1, 1);
        }
    }
}

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

static int64_t dense_scratch_bytes(const struct matrix *w, int64_t n_tokens)
{
    if (w->form != ACTIVATION_F32)
        return codec_has_minima(w->type) ? w->columns / INT8_BLOCK * n_tokens * (int64_t)sizeof(float) : 0;
    return dense_is_float(w->type) ? 0 : w->columns * DENSE_ROWS * (int64_t)sizeof(float);
}

SPECIALISE void float_matrix(const struct multiply *job, enum dtype type, int64_t row, int64_t row_end, int64_t token,
                             int64_t token_end)
{
    const struct matrix *w = job->w;
    for (; row < row_end; row += DENSE_ROWS)
        float_range(job, type, w->data + row * w->row_bytes, w->row_bytes, row, min_i64(DENSE_ROWS, row_end - row),
                    token, token_end, true);
}

static void int8_matrix(const struct multiply *job, int64_t row, int64_t row_end, int64_t token, int64_t token_end,
                        float *scratch)
{
    if (codec_has_minima(job->w->type)) int8_sums(job->x, token, token_end, scratch);
    switch (job->w->type) {
    case DTYPE_Q8_0:
        int8_range(job, DTYPE_Q8_0, row, row_end, token, token_end, scratch);
        break;
    case DTYPE_Q4_0:
        int8_range(job, DTYPE_Q4_0, row, row_end, token, token_end, scratch);
        break;
    case DTYPE_Q4_1:
        int8_range(job, DTYPE_Q4_1, row, row_end, token, token_end, scratch);
        break;
    case DTYPE_Q4_K:
        int8_range(job, DTYPE_Q4_K, row, row_end, token, token_end, scratch);
        break;
    case DTYPE_Q5_K:
        int8_range(job, DTYPE_Q5_K, row, row_end, token, token_end, scratch);
        break;
    default: // Q6_K
        int8_range(job, DTYPE_Q6_K, row, row_end, token, token_end, scratch);
        break;
    }
}

static void dense_multiply(const struct multiply *job, int64_t row, int64_t row_end, int64_t token, int64_t token_end,
                           float *scratch)
{
    if (job->w->form != ACTIVATION_F32) {
        int8_matrix(job, row, row_end, token, token_end, scratch);
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
