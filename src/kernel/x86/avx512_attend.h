// Attention over one block of keys in AVX-512: lanes are keys for the scores and head elements for the values. Up to
// six queries share every load and conversion of keys and values.
#ifndef KERNEL_X86_AVX512_ATTEND_H
#define KERNEL_X86_AVX512_ATTEND_H

#include "kernel/kv_block.h"
#include "kernel/x86/avx512_vector.h"

enum { KEY_VECTORS = ATTENTION_BLOCK / 16, QUERY_BLOCK = 6, VALUE_VECTORS = 4 };

// Some queries of a block and what is known of them.
struct query_batch {
    const struct attention_block *block;
    int64_t first;
    float p[QUERY_BLOCK][ATTENTION_BLOCK]; // scores, then probabilities
    float correction[QUERY_BLOCK];         // what the query's sums so far are multiplied by
};

// 16 nibbles of 16 bytes as signed numbers.
SPECIALISE __m128i nibbles(__m128i bytes, bool high)
{
    bytes = _mm_and_si128(high ? _mm_srli_epi16(bytes, 4) : bytes, _mm_set1_epi8(15));
    return _mm_sub_epi8(bytes, _mm_set1_epi8(8));
}

SPECIALISE __m512 scaled_codes(__m128i q, __m512 scale)
{
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)), scale);
}

// Positions 16v .. 16v + 15 of one element of the keys, whose codes begin at `at`.
SPECIALISE __m512 load_keys(tern_kv_type type, const uint8_t *at, int v, __m512 scale)
{
    if (type == TERN_KV_F16) return load_halves(at + 32 * v);
    if (type == TERN_KV_Q8_0) return scaled_codes(load_128(at + 16 * v), scale);
    return scaled_codes(nibbles(load_128(at + 16 * (v % 2)), v >= 2), scale);
}

// Elements d .. d + 15 of the value whose codes begin at `at`, d a multiple of 16; halves only where `mask` has them,
// codes are there up to the end of their group.
SPECIALISE __m512 load_values(tern_kv_type type, const uint8_t *at, int64_t d, __mmask16 mask, __m512 scale)
{
    if (type == TERN_KV_F16) return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at + 2 * d));
    if (type == TERN_KV_Q8_0) return scaled_codes(load_128(at + d), scale);
    __m128i bytes = load_128(at + d / KV_GROUP * 16);
    return d % KV_GROUP < 16 ? scaled_codes(nibbles(bytes, false), scale) : scaled_codes(nibbles(bytes, true), scale);
}

// Asks memory for the lines of `next` that lie where [at, at + bytes) lies in `now`: values while keys are multiplied,
// the next block's keys while values are. That far ahead (16 KB of halves) processors do not look by themselves.
SPECIALISE void read_ahead(const uint8_t *next, const uint8_t *now, const void *at, int64_t bytes)
{
    const char *to = (const char *)next + ((const uint8_t *)at - now);
    for (int64_t i = 0; i < bytes; i += 64)
        _mm_prefetch(to + i, _MM_HINT_T0);
}

// Keys that some of n queries see.
static int32_t seen(const struct query_batch *batch, int n)
{
    int32_t most = 0;
    for (int i = 0; i < n; i++)
        if (batch->block->visible[batch->first + i] > most) most = batch->block->visible[batch->first + i];
    return most;
}

// score[j] = scale * q . k_j for all keys of the block; those that a query does not see are of no use.
SPECIALISE void batch_scores(struct query_batch *batch, tern_kv_type type, int n)
{
    const struct attention_block *block = batch->block;
    const float *const *query = block->query + batch->first;
    __m512 score[QUERY_BLOCK * KEY_VECTORS];
    UNROLL()
    for (int i = 0; i < n * KEY_VECTORS; i++)
        score[i] = _mm512_setzero_ps();
    const uint16_t *scales = kv_scales(type, block->head_size, block->keys);
    __m512 scale[KEY_VECTORS] = {_mm512_setzero_ps()};
    // Values of keys that nobody sees are not asked for.
    const uint8_t *end =
        block->keys + (batch->first == 0 ? seen(batch, n) * kv_value_stride(type, block->head_size) : 0);
    for (int64_t group = 0; group < block->head_size; group += KV_GROUP) {
        if (type != TERN_KV_F16) {
            UNROLL()
            for (int v = 0; v < KEY_VECTORS; v++)
                scale[v] = load_halves(scales + group / KV_GROUP * ATTENTION_BLOCK + 16 * v);
            if (batch->first == 0)
                read_ahead(block->values, block->keys, scales + group / KV_GROUP * ATTENTION_BLOCK, 128);
        }
        for (int64_t d = group; d < min_i64(group + KV_GROUP, block->head_size); d++) {
            const uint8_t *keys = block->keys + d * kv_key_stride(type);
            if (keys < end) read_ahead(block->values, block->keys, keys, kv_key_stride(type));
            UNROLL()
            for (int i = 0; i < n * KEY_VECTORS; i++)
                score[i] = _mm512_fmadd_ps(_mm512_set1_ps(query[i / KEY_VECTORS][d]),
                                           load_keys(type, keys, i % KEY_VECTORS, scale[i % KEY_VECTORS]), score[i]);
        }
    }
    UNROLL()
    for (int i = 0; i < n * KEY_VECTORS; i++)
        _mm512_storeu_ps(batch->p[i / KEY_VECTORS] + 16 * (i % KEY_VECTORS),
                         _mm512_mul_ps(_mm512_set1_ps(block->scale), score[i]));
}

// The new maximum of a query that sees something.
SPECIALISE float query_max(const struct query_batch *batch, int i)
{
    const int32_t visible = batch->block->visible[batch->first + i];
    const float *score = batch->p[i];
    __m512 most = _mm512_set1_ps(batch->block->max[batch->first + i]);
    for (int v = 0; 16 * v < visible; v++)
        most = _mm512_mask_max_ps(most, first_lanes(visible - 16 * v), most, _mm512_loadu_ps(score + 16 * v));
    return _mm512_reduce_max_ps(most) + 0.0f; // -0 becomes +0
}

// Scores to probabilities, 0 where not visible; returns the lanes of their sum.
SPECIALISE __m512 query_softmax(struct query_batch *batch, int i, float max)
{
    const int32_t visible = batch->block->visible[batch->first + i];
    float *p = batch->p[i];
    __m512 lanes = _mm512_setzero_ps();
    for (int v = 0; 16 * v < visible; v++) {
        __m512 e = vector_exp(_mm512_sub_ps(_mm512_loadu_ps(p + 16 * v), _mm512_set1_ps(max)));
        e = _mm512_maskz_mov_ps(first_lanes(visible - 16 * v), e);
        lanes = _mm512_add_ps(lanes, e);
        _mm512_storeu_ps(p + 16 * v, e);
    }
    return lanes;
}

// Moves the maxima and sums of n queries on. What their sums so far are multiplied by is computed for all at once.
SPECIALISE void batch_softmax(struct query_batch *batch, int n)
{
    const struct attention_block *block = batch->block;
    float max[16] = {0}, moved[16] = {0}, correction[16];
    for (int i = 0; i < n; i++) {
        if (block->visible[batch->first + i] == 0) continue; // moved by 0: multiplied by 1
        max[i] = query_max(batch, i);
        moved[i] = block->max[batch->first + i] - max[i];
    }
    _mm512_storeu_ps(correction, vector_exp(_mm512_loadu_ps(moved)));
    for (int i = 0; i < n; i++) {
        const int64_t query = batch->first + i;
        batch->correction[i] = correction[i];
        if (block->visible[query] == 0) continue;
        float sum = vector_tree16(query_softmax(batch, i, max[i]));
        block->sum[query] = __builtin_fmaf(block->sum[query], correction[i], sum);
        block->max[query] = max[i];
    }
}

// Adds key j to the sums of n queries: elements d .. d + 16 * n_vectors, or those of them that `mask` has.
SPECIALISE void add_value(const struct query_batch *batch, tern_kv_type type, int first, int n, int32_t j, int64_t d,
                          int n_vectors, __mmask16 mask, __m512 *sum)
{
    const struct attention_block *block = batch->block;
    const int64_t head_size = block->head_size;
    const uint8_t *at = block->values + j * kv_value_stride(type, head_size);
    const uint16_t *scales = kv_scales(type, head_size, block->values) + j * kv_groups(head_size) + d / KV_GROUP;
    __m512 scale[VALUE_VECTORS / 2] = {_mm512_setzero_ps()};
    if (type != TERN_KV_F16) {
        UNROLL()
        for (int v = 0; v < n_vectors; v += 2)
            scale[v / 2] = _mm512_cvtph_ps(_mm256_set1_epi16((int16_t)scales[v / 2]));
    }
    if (block->next_keys != NULL) {
        read_ahead(block->next_keys, block->values, at + kv_bytes(type, d), kv_bytes(type, 16 * n_vectors));
        if (type != TERN_KV_F16) read_ahead(block->next_keys, block->values, scales, 1);
    }
    UNROLL()
    for (int i = 0; i < n * n_vectors; i++) {
        int v = i % n_vectors;
        __m512 value = load_values(type, at, d + 16 * v, mask, scale[v / 2]);
        sum[i] = _mm512_fmadd_ps(_mm512_set1_ps(batch->p[first + i / n_vectors][j]), value, sum[i]);
    }
}

SPECIALISE void sum_values(const struct query_batch *batch, tern_kv_type type, int n, int64_t d, int n_vectors,
                           __mmask16 mask)
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
        add_value(batch, type, 0, n, j, d, n_vectors, mask, sum);
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
            add_value(batch, type, i, 1, j, d, n_vectors, mask, sum);
        UNROLL()
        for (int v = 0; v < n_vectors; v++)
            _mm512_mask_storeu_ps(acc[i] + d + 16 * v, mask, sum[v]);
    }
}

SPECIALISE void attend_batch(struct query_batch *batch, tern_kv_type type, int n)
{
    const int64_t head_size = batch->block->head_size;
    batch_scores(batch, type, n);
    batch_softmax(batch, n);
    int64_t d = 0;
    for (; d + 16 * VALUE_VECTORS <= head_size; d += 16 * VALUE_VECTORS)
        sum_values(batch, type, n, d, VALUE_VECTORS, 0xffff);
    for (; d < head_size; d += 16)
        sum_values(batch, type, n, d, 1, first_lanes(head_size - d));
}

SPECIALISE void attend_type(const struct attention_block *block, tern_kv_type type)
{
    struct attention_block now = *block;
    struct query_batch batch = {.block = &now};
    for (; batch.first < block->n_queries; batch.first += QUERY_BLOCK) {
        switch (block->n_queries - batch.first) {
        case 1:
            attend_batch(&batch, type, 1);
            break;
        case 2:
            attend_batch(&batch, type, 2);
            break;
        case 3:
            attend_batch(&batch, type, 3);
            break;
        case 4:
            attend_batch(&batch, type, 4);
            break;
        case 5:
            attend_batch(&batch, type, 5);
            break;
        default:
            attend_batch(&batch, type, QUERY_BLOCK);
        }
        now.next_keys = NULL; // the first queries have asked for it
    }
}

static void attend(const struct attention_block *block, void *scratch)
{
    (void)scratch;
    switch (block->kv_type) {
    case TERN_KV_F16:
        attend_type(block, TERN_KV_F16);
        break;
    case TERN_KV_Q8_0:
        attend_type(block, TERN_KV_Q8_0);
        break;
    case TERN_KV_Q4_0:
        attend_type(block, TERN_KV_Q4_0);
    }
}

#endif
