// Attention over one block of keys in AVX-512: lanes are keys for the scores and head elements for the values. Up to
// four queries share every load and conversion of keys and values.
#ifndef KERNEL_X86_AVX512_ATTEND_H
#define KERNEL_X86_AVX512_ATTEND_H

#include "kernel/x86/avx512_vector.h"

enum { KEY_VECTORS = ATTENTION_BLOCK / 16, QUERY_BLOCK = 4, VALUE_VECTORS = 4 };

// Some queries of a block and what is known of them.
struct query_batch {
    const struct attention_block *block;
    int64_t first;
    float p[QUERY_BLOCK][ATTENTION_BLOCK]; // scores, then probabilities
    float correction[QUERY_BLOCK];         // what the query's sums so far are multiplied by
};

// score[j] = scale * q . k_j for all keys of the block; those that a query does not see are of no use.
SPECIALISE void batch_scores(struct query_batch *batch, int n)
{
    const struct attention_block *block = batch->block;
    const float *const *query = block->query + batch->first;
    __m512 score[QUERY_BLOCK * KEY_VECTORS];
    UNROLL()
    for (int i = 0; i < n * KEY_VECTORS; i++)
        score[i] = _mm512_setzero_ps();
    for (int64_t d = 0; d < block->head_size; d++) {
        const uint16_t *keys = block->keys + d * ATTENTION_BLOCK;
        UNROLL()
        for (int i = 0; i < n * KEY_VECTORS; i++)
            score[i] = _mm512_fmadd_ps(_mm512_set1_ps(query[i / KEY_VECTORS][d]),
                                       load_halves(keys + 16 * (i % KEY_VECTORS)), score[i]);
    }
    UNROLL()
    for (int i = 0; i < n * KEY_VECTORS; i++)
        _mm512_storeu_ps(batch->p[i / KEY_VECTORS] + 16 * (i % KEY_VECTORS),
                         _mm512_mul_ps(_mm512_set1_ps(block->scale), score[i]));
}

// Scores to probabilities, 0 where not visible; moves the query's maximum and sum on.
static void query_softmax(struct query_batch *batch, int i)
{
    const struct attention_block *block = batch->block;
    const int64_t query = batch->first + i;
    const int32_t visible = block->visible[query];
    batch->correction[i] = 1.0f;
    if (visible == 0) return;
    float *p = batch->p[i];
    __m512 most = _mm512_set1_ps(block->max[query]), lanes = _mm512_setzero_ps();
    for (int v = 0; 16 * v < visible; v++)
        most = _mm512_mask_max_ps(most, first_lanes(visible - 16 * v), most, _mm512_loadu_ps(p + 16 * v));
    float max = _mm512_reduce_max_ps(most) + 0.0f; // -0 becomes +0
    for (int v = 0; 16 * v < visible; v++) {
        __m512 e = vector_exp(_mm512_sub_ps(_mm512_loadu_ps(p + 16 * v), _mm512_set1_ps(max)));
        e = _mm512_maskz_mov_ps(first_lanes(visible - 16 * v), e);
        lanes = _mm512_add_ps(lanes, e);
        _mm512_storeu_ps(p + 16 * v, e);
    }
    batch->correction[i] = kernel_expf(block->max[query] - max);
    block->sum[query] = __builtin_fmaf(block->sum[query], batch->correction[i], vector_tree16(lanes));
    block->max[query] = max;
}

// Adds key j to the sums of n queries: elements d .. d + 16 * n_vectors, or those of them that `mask` has.
SPECIALISE void add_value(const struct query_batch *batch, int first, int n, int32_t j, int64_t d, int n_vectors,
                          __mmask16 mask, __m512 *sum)
{
    const uint16_t *at = batch->block->values + j * batch->block->head_size + d;
    UNROLL()
    for (int i = 0; i < n * n_vectors; i++) {
        __m512 value = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at + 16 * (i % n_vectors)));
        sum[i] = _mm512_fmadd_ps(_mm512_set1_ps(batch->p[first + i / n_vectors][j]), value, sum[i]);
    }
}

SPECIALISE void sum_values(const struct query_batch *batch, int n, int64_t d, int n_vectors, __mmask16 mask)
{
    const int32_t *visible = batch->block->visible + batch->first;
    float *const *acc = batch->block->acc + batch->first;
    __m512 sum[QUERY_BLOCK * VALUE_VECTORS];
    int32_t common = visible[0];
    for (int i = 1; i < n; i++)
        common = visible[i] < common ? visible[i] : common;
    UNROLL()
    for (int i = 0; i < n * n_vectors; i++)
        sum[i] = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, acc[i / n_vectors] + d + 16 * (i % n_vectors)),
                               _mm512_set1_ps(batch->correction[i / n_vectors]));
    for (int32_t j = 0; j < common; j++)
        add_value(batch, 0, n, j, d, n_vectors, mask, sum);
    UNROLL()
    for (int i = 0; i < n * n_vectors; i++)
        _mm512_mask_storeu_ps(acc[i / n_vectors] + d + 16 * (i % n_vectors), mask, sum[i]);
    // Queries that see further than the others go on alone.
    for (int i = 0; i < n; i++) {
        if (visible[i] == common) continue;
        UNROLL()
        for (int v = 0; v < n_vectors; v++)
            sum[v] = _mm512_maskz_loadu_ps(mask, acc[i] + d + 16 * v);
        for (int32_t j = common; j < visible[i]; j++)
            add_value(batch, i, 1, j, d, n_vectors, mask, sum);
        UNROLL()
        for (int v = 0; v < n_vectors; v++)
            _mm512_mask_storeu_ps(acc[i] + d + 16 * v, mask, sum[v]);
    }
}

SPECIALISE void attend_batch(struct query_batch *batch, int n)
{
    const int64_t head_size = batch->block->head_size;
    batch_scores(batch, n);
    for (int i = 0; i < n; i++)
        query_softmax(batch, i);
    int64_t d = 0;
    for (; d + 16 * VALUE_VECTORS <= head_size; d += 16 * VALUE_VECTORS)
        sum_values(batch, n, d, VALUE_VECTORS, 0xffff);
    for (; d < head_size; d += 16)
        sum_values(batch, n, d, 1, first_lanes(head_size - d));
}

static void attend(const struct attention_block *block, void *scratch)
{
    (void)scratch;
    struct query_batch batch = {.block = block};
    for (; batch.first < block->n_queries; batch.first += QUERY_BLOCK) {
        switch (block->n_queries - batch.first) {
        case 1:
            attend_batch(&batch, 1);
            break;
        case 2:
            attend_batch(&batch, 2);
            break;
        case 3:
            attend_batch(&batch, 3);
            break;
        default:
            attend_batch(&batch, QUERY_BLOCK);
        }
    }
}

#endif
