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
    __m512 score[QUERY_BLOCK][KEY_VECTORS];
    UNROLL()
    for (int i = 0; i < n; i++)
        UNROLL()
    for (int v = 0; v < KEY_VECTORS; v++)
        score[i][v] = _mm512_setzero_ps();
    for (int64_t d = 0; d < block->head_size; d++) {
        __m512 keys[KEY_VECTORS];
        UNROLL()
        for (int v = 0; v < KEY_VECTORS; v++)
            keys[v] = load_halves(block->keys + d * ATTENTION_BLOCK + 16 * v);
        UNROLL()
        for (int i = 0; i < n; i++)
            UNROLL()
        for (int v = 0; v < KEY_VECTORS; v++)
            score[i][v] = _mm512_fmadd_ps(_mm512_set1_ps(query[i][d]), keys[v], score[i][v]);
    }
    UNROLL()
    for (int i = 0; i < n; i++)
        UNROLL()
    for (int v = 0; v < KEY_VECTORS; v++)
        _mm512_storeu_ps(batch->p[i] + 16 * v, _mm512_mul_ps(_mm512_set1_ps(block->scale), score[i][v]));
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

// Adds keys [j, j_end) to the sums of queries [i, i_end): elements d .. d + 16 * n_vectors, or those that `mask` has.
SPECIALISE void add_values(const struct query_batch *batch, int i, int i_end, int32_t j, int32_t j_end, int64_t d,
                           int n_vectors, __mmask16 mask, __m512 (*sum)[VALUE_VECTORS])
{
    const struct attention_block *block = batch->block;
    for (; j < j_end; j++) {
        const uint16_t *at = block->values + j * block->head_size + d;
        __m512 values[VALUE_VECTORS];
        UNROLL()
        for (int v = 0; v < n_vectors; v++)
            values[v] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at + 16 * v));
        UNROLL()
        for (int k = i; k < i_end; k++)
            UNROLL()
        for (int v = 0; v < n_vectors; v++)
            sum[k][v] = _mm512_fmadd_ps(_mm512_set1_ps(batch->p[k][j]), values[v], sum[k][v]);
    }
}

SPECIALISE void sum_values(const struct query_batch *batch, int n, int64_t d, int n_vectors, __mmask16 mask)
{
    const struct attention_block *block = batch->block;
    const int32_t *visible = block->visible + batch->first;
    float *const *acc = block->acc + batch->first;
    __m512 sum[QUERY_BLOCK][VALUE_VECTORS];
    int32_t common = visible[0];
    UNROLL()
    for (int i = 0; i < n; i++) {
        common = visible[i] < common ? visible[i] : common;
        UNROLL()
        for (int v = 0; v < n_vectors; v++)
            sum[i][v] =
                _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, acc[i] + d + 16 * v), _mm512_set1_ps(batch->correction[i]));
    }
    add_values(batch, 0, n, 0, common, d, n_vectors, mask, sum);
    UNROLL()
    for (int i = 0; i < n; i++) {
        add_values(batch, i, i + 1, common, visible[i], d, n_vectors, mask, sum);
        UNROLL()
        for (int v = 0; v < n_vectors; v++)
            _mm512_mask_storeu_ps(acc[i] + d + 16 * v, mask, sum[i][v]);
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
