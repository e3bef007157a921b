// Products with dense matrices of integers, rows as they lie in the file: Q8_0, Q4_0, Q4_1, and blocks of Q4_K, Q5_K
// and Q6_K. Included by the files of AVX2 and AVX-VNNI, whose add_dots() differ.
#ifndef KERNEL_X86_AVX2_BLOCKS_H
#define KERNEL_X86_AVX2_BLOCKS_H

#include "format/codec.h"
#include "kernel/x86/avx2_super.h"

enum { DENSE_ROWS = 4, DENSE_TOKENS = 4 }; // most that are at work at once; never both

// Asks for the same place of the rows that come next: a processor's own prefetching starts anew with each row, which
// leaves it at a third of the speed.
SPECIALISE void dense_prefetch(const uint8_t *at, int64_t row_bytes)
{
    _mm_prefetch((const char *)at + DENSE_ROWS * row_bytes, _MM_HINT_T0);
}

enum { INT8_BLOCK = 32 };

SPECIALISE int64_t int8_block_bytes(enum dtype type)
{
    return type == DTYPE_Q8_0 ? 34 : type == DTYPE_Q4_1 ? 20 : 18;
}

// How much larger than the weights a type's codes are, which makes them unsigned. What that adds to a lane depends on
// the activations alone, and each lane starts from that much less. Q8_0's weights are multiplied as they are.
SPECIALISE int int8_codes_up(enum dtype type)
{
    return type == DTYPE_Q4_0 ? 8 : type == DTYPE_Q6_K ? 32 : 0;
}

// A token's table: of each 32 columns what their products with a row take, side by side.
struct int8_columns {
    union {
        int32_t start[8]; // of the lanes
        float sum;        // of q, for types with minima
    };
    int8_t q[INT8_BLOCK];
};

static int64_t int8_table_bytes(const struct matrix *w)
{
    return w->columns / INT8_BLOCK * (int64_t)sizeof(struct int8_columns);
}

static void int8_build(const struct matrix *w, const int8_t *q, uint8_t *table)
{
    const __m256i zero = _mm256_setzero_si256(), up = _mm256_set1_epi8((char)int8_codes_up(w->type));
    struct int8_columns *columns = (struct int8_columns *)(void *)table;
    for (int64_t i = 0; i < w->columns / INT8_BLOCK; i++, columns++, q += INT8_BLOCK) {
        const __m256i x = load_256(q);
        store_256(columns->q, x);
        store_256(columns->start, _mm256_sub_epi32(zero, add_dots(zero, up, x)));
        if (codec_has_minima(w->type)) columns->sum = (float)sum_lanes(add_dots(zero, _mm256_set1_epi8(1), x));
    }
}

// The 32 codes of a block.
SPECIALISE __m256i int8_codes(enum dtype type, const uint8_t *block)
{
    if (type == DTYPE_Q8_0) return load_256(block + 2);
    __m128i bytes = load_128(block + (type == DTYPE_Q4_1 ? 4 : 2));
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes), _mm256_set1_epi8(15));
}

// Lane j: the sum of products of elements 4j .. 4j + 3.
SPECIALISE __m256 int8_dots(enum dtype type, __m256i codes, const struct int8_columns *x)
{
    __m256i q = load_256(x->q), start = _mm256_setzero_si256();
    if (int8_codes_up(type) != 0) start = load_256(x->start);
    if (type == DTYPE_Q8_0) {
        q = _mm256_sign_epi8(q, codes);
        codes = _mm256_abs_epi8(codes);
    }
    return _mm256_cvtepi32_ps(add_dots(start, codes, q));
}

struct int8_block {
    const uint8_t *place; // about where it lies
    __m256i codes;
    __m256 step;
    float minimum; // 0 if the type has none
};

// Block b of a row. steps: of the super-block, which its first block writes.
SPECIALISE struct int8_block int8_block(enum dtype type, const uint8_t *row, int64_t b, float steps[SUPER_STEPS])
{
    struct int8_block block = {.minimum = 0.0f};
    if (!is_super(type)) {
        block.place = row + b * int8_block_bytes(type);
        block.codes = int8_codes(type, block.place);
        block.step = broadcast_half(block.place);
        if (type == DTYPE_Q4_1) block.minimum = load_one_half(block.place + 2);
        return block;
    }
    const int s = (int)(b % SUPER_BLOCKS);
    const uint8_t *super = row + b / SUPER_BLOCKS * super_bytes(type);
    if (s == 0) super_steps(type, super, steps);
    block.place = super + s * super_bytes(type) / SUPER_BLOCKS;
    block.codes = block_codes(type, super, s);
    block.step = block_steps(type, steps, s);
    if (codec_has_minima(type)) block.minimum = steps[SUPER_BLOCKS + s];
    return block;
}

SPECIALISE void int8_rows(const struct multiply *job, enum dtype type, int64_t row, int64_t token, int n_rows,
                          int n_tokens)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const uint8_t *data = w->data + row * w->row_bytes;
    const int64_t n_blocks = w->columns / INT8_BLOCK;
    const struct int8_columns *columns = (const struct int8_columns *)(const void *)x->table + token * n_blocks;
    const float *x_scale = x->scale + token * x->n_scales;
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
                const struct int8_columns *at = columns + t * n_blocks + b;
                const float scale = x_scale[t * x->n_scales + b];
                __m256 dots = int8_dots(type, block.codes, at);
                acc[r][t] = _mm256_fmadd_ps(dots, _mm256_mul_ps(block.step, _mm256_set1_ps(scale)), acc[r][t]);
                if (codec_has_minima(type))
                    minimum[r][t] = __builtin_fmaf(at->sum, block.minimum * scale, minimum[r][t]);
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
                           int64_t token_end)
{
    for (; row < row_end; row += DENSE_ROWS) {
        int64_t t = token, end = min_i64(row + DENSE_ROWS, row_end);
        for (; t + DENSE_TOKENS <= token_end; t += DENSE_TOKENS)
            for (int64_t r = row; r < end; r++)
                int8_rows(job, type, r, t, 1, DENSE_TOKENS);
        for (; t < token_end; t++) {
            if (end - row == DENSE_ROWS)
                int8_rows(job, type, row, t, DENSE_ROWS, 1);
            else
                for (int64_t r = row; r < end; r++)
                    int8_rows(job, type, r, t, 1, 1);
        }
    }
}

static void int8_multiply(const struct multiply *job, int64_t row, int64_t row_end, int64_t token, int64_t token_end)
{
    switch (job->w->type) {
    case DTYPE_Q8_0:
        int8_range(job, DTYPE_Q8_0, row, row_end, token, token_end);
        break;
    case DTYPE_Q4_0:
        int8_range(job, DTYPE_Q4_0, row, row_end, token, token_end);
        break;
    case DTYPE_Q4_1:
        int8_range(job, DTYPE_Q4_1, row, row_end, token, token_end);
        break;
    case DTYPE_Q4_K:
        int8_range(job, DTYPE_Q4_K, row, row_end, token, token_end);
        break;
    case DTYPE_Q5_K:
        int8_range(job, DTYPE_Q5_K, row, row_end, token, token_end);
        break;
    default: // Q6_K
        int8_range(job, DTYPE_Q6_K, row, row_end, token, token_end);
        break;
    }
}

#endif
