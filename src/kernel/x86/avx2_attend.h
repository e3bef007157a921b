// Attention over one block of keys in AVX2: lanes are keys for the scores and head elements for the values.
#ifndef KERNEL_X86_AVX2_ATTEND_H
#define KERNEL_X86_AVX2_ATTEND_H

#include "kernel/x86/avx2_vector.h"

enum {
    KEY_VECTORS = ATTENTION_BLOCK / 8,
    ATTENTION_FLOATS = ATTENTION_MAX_HEAD * ATTENTION_BLOCK, // of a block's keys, and of its values
};

// Keys or values of a block: halves as they lie in the cache, or floats when several queries share the conversion.
SPECIALISE __m256 block_load(const void *at, bool floats, int64_t index)
{
    return floats ? _mm256_loadu_ps((const float *)at + index) : load_halves((const uint16_t *)at + index);
}

// n is a multiple of 8.
static void block_convert(const uint16_t *halves, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(out + i, load_halves(halves + i));
}

// score[j] = scale * q . k_j for the first 8 * n_vectors keys.
SPECIALISE void scores_of(const struct attention_block *block, const void *keys, bool floats, const float *query,
                          int n_vectors, __m256 score[KEY_VECTORS])
{
    UNROLL for (int v = 0; v < n_vectors; v++) score[v] = _mm256_setzero_ps();
    for (int64_t d = 0; d < block->head_size; d++) {
        __m256 q = _mm256_set1_ps(query[d]);
        UNROLL for (int v = 0; v < n_vectors; v++) score[v] =
            _mm256_fmadd_ps(q, block_load(keys, floats, d * ATTENTION_BLOCK + 8 * v), score[v]);
    }
    UNROLL for (int v = 0; v < n_vectors; v++) score[v] = _mm256_mul_ps(_mm256_set1_ps(block->scale), score[v]);
}

// Lanes of vector v that the query may see.
SPECIALISE __m256 visible_lanes(int v, int32_t visible)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(visible - 8 * v), lane));
}

// Scores to probabilities p, 0 where not visible; updates the query's maximum and sum and returns the factor that its
// accumulators need.
static float block_softmax(const struct attention_block *block, int64_t i, const __m256 score[KEY_VECTORS],
                           int n_vectors, float p[ATTENTION_BLOCK])
{
    int32_t visible = block->visible[i];
    __m256 most = _mm256_set1_ps(block->max[i]), lanes[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int v = 0; v < n_vectors; v++)
        most = _mm256_max_ps(most, _mm256_blendv_ps(most, score[v], visible_lanes(v, visible)));
    float max = vector_max(most) + 0.0f, correction = kernel_expf(block->max[i] - max);
    for (int v = 0; v < n_vectors; v++) {
        __m256 e = vector_exp(_mm256_sub_ps(score[v], _mm256_set1_ps(max)));
        e = _mm256_and_ps(e, visible_lanes(v, visible));
        lanes[v % 2] = _mm256_add_ps(lanes[v % 2], e);
        _mm256_storeu_ps(p + 8 * v, e);
    }
    float sum = vector_tree8(_mm256_add_ps(lanes[0], lanes[1]));
    block->sum[i] = __builtin_fmaf(block->sum[i], correction, sum);
    block->max[i] = max;
    return correction;
}

// 8 * n elements of the accumulators.
SPECIALISE void values_of(const struct attention_block *block, const void *values, bool floats, const float *p,
                          int32_t visible, float correction, int64_t d, int n, float *acc)
{
    __m256 a[8];
    UNROLL for (int v = 0; v < n; v++) a[v] =
        _mm256_mul_ps(_mm256_loadu_ps(acc + d + 8 * v), _mm256_set1_ps(correction));
    for (int32_t j = 0; j < visible; j++) {
        __m256 weight = _mm256_set1_ps(p[j]);
        UNROLL for (int v = 0; v < n; v++) a[v] =
            _mm256_fmadd_ps(weight, block_load(values, floats, j * block->head_size + d + 8 * v), a[v]);
    }
    UNROLL for (int v = 0; v < n; v++) _mm256_storeu_ps(acc + d + 8 * v, a[v]);
}

// The elements that fill no vector.
static void values_rest(const struct attention_block *block, const float *p, int32_t visible, float correction,
                        int64_t d, float *acc)
{
    for (; d < block->head_size; d++) {
        float sum = acc[d] * correction;
        for (int32_t j = 0; j < visible; j++)
            sum = __builtin_fmaf(p[j], half_to_float(block->values[j * block->head_size + d]), sum);
        acc[d] = sum;
    }
}

SPECIALISE void attend_query(const struct attention_block *block, int64_t i, const void *keys, const void *values,
                             bool floats)
{
    int32_t visible = block->visible[i];
    float *acc = block->acc[i], p[ATTENTION_BLOCK], correction;
    __m256 score[KEY_VECTORS];
    if (visible <= ATTENTION_BLOCK / 2) {
        scores_of(block, keys, floats, block->query[i], KEY_VECTORS / 2, score);
        correction = block_softmax(block, i, score, KEY_VECTORS / 2, p);
    } else {
        scores_of(block, keys, floats, block->query[i], KEY_VECTORS, score);
        correction = block_softmax(block, i, score, KEY_VECTORS, p);
    }
    int64_t d = 0;
    for (; d + 64 <= block->head_size; d += 64)
        values_of(block, values, floats, p, visible, correction, d, 8, acc);
    for (; d + 8 <= block->head_size; d += 8)
        values_of(block, values, floats, p, visible, correction, d, 1, acc);
    values_rest(block, p, visible, correction, d, acc);
}

static void attend(const struct attention_block *block, void *scratch)
{
    if (block->n_queries == 1) {
        if (block->visible[0] > 0) attend_query(block, 0, block->keys, block->values, false);
        return;
    }
    int64_t n = block->head_size * ATTENTION_BLOCK;
    float *keys = scratch, *values = keys + ATTENTION_FLOATS;
    block_convert(block->keys, n, keys);
    block_convert(block->values, n, values);
    for (int64_t i = 0; i < block->n_queries; i++)
        if (block->visible[i] > 0) attend_query(block, i, keys, values, true);
}

#endif
