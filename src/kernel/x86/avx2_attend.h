// Attention over one block of keys in AVX2: lanes are keys for the scores and head elements for the values. Queries go
// four, two or one at a time, so that a vector of halves is converted once for all of them.
#ifndef KERNEL_X86_AVX2_ATTEND_H
#define KERNEL_X86_AVX2_ATTEND_H

#include "kernel/kv_block.h"
#include "kernel/x86/avx2_vector.h"

enum {
    QUERIES = 4,  // most at a time
    PRODUCTS = 8, // sums in registers: n queries take PRODUCTS / n vectors each
    KEY_VECTORS = ATTENTION_BLOCK / 8,
};

// 8 codes of 8 bits, or the low or high nibbles of 8 bytes.
SPECIALISE __m256 load_codes(tern_kv_type type, const uint8_t *at, bool high)
{
    __m128i q = _mm_loadl_epi64((const __m128i *)(const void *)at);
    if (type == TERN_KV_Q8_0) return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
    q = _mm_and_si128(high ? _mm_srli_epi16(q, 4) : q, _mm_set1_epi8(15));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_sub_epi8(q, _mm_set1_epi8(8))));
}

// Positions j .. j + 7 of one element of the keys, whose codes begin at `at`; j is a multiple of 8.
SPECIALISE __m256 load_keys(tern_kv_type type, const uint8_t *at, int j, __m256 scale)
{
    if (type == TERN_KV_F16) return load_halves(at + 2 * j);
    if (type == TERN_KV_Q8_0) return _mm256_mul_ps(load_codes(type, at + j, false), scale);
    __m256 q = j < 32 ? load_codes(type, at + j, false) : load_codes(type, at + j - 32, true);
    return _mm256_mul_ps(q, scale);
}

// Elements d .. d + 7 of the value whose codes begin at `at`; d is a multiple of 8.
SPECIALISE __m256 load_values(tern_kv_type type, const uint8_t *at, int64_t d, __m256 scale)
{
    if (type == TERN_KV_F16) return load_halves(at + 2 * d);
    if (type == TERN_KV_Q8_0) return _mm256_mul_ps(load_codes(type, at + d, false), scale);
    at += d / KV_GROUP * 16 + d % 16;
    __m256 q = d % KV_GROUP < 16 ? load_codes(type, at, false) : load_codes(type, at, true);
    return _mm256_mul_ps(q, scale);
}

// Asks memory for the lines of `next` that lie where [at, at + bytes) lies in `now`: values while keys are multiplied,
// the next block's keys while values are. That far ahead (16 KB of halves) processors do not look by themselves.
SPECIALISE void read_ahead(const uint8_t *next, const uint8_t *now, const void *at, int64_t bytes)
{
    const char *to = (const char *)next + ((const uint8_t *)at - now);
    for (int64_t i = 0; i < bytes; i += 64)
        _mm_prefetch(to + i, _MM_HINT_T0);
}

// score[i][j] = scale * q_i . k_j of n queries.
SPECIALISE void attention_scores(const struct attention_block *block, tern_kv_type type, const float *const *query,
                                 int n, float score[QUERIES][ATTENTION_BLOCK])
{
    const int n_vectors = PRODUCTS / n;
    const uint16_t *scales = kv_scales(type, block->head_size, block->keys);
    const bool ahead = block->next_keys != NULL;
    for (int j = 0; j < ATTENTION_BLOCK; j += 8 * n_vectors) {
        __m256 sum[QUERIES][PRODUCTS];
        foreach (i, n)
            foreach (v, n_vectors)
                sum[i][v] = _mm256_setzero_ps();
        __m256 scale[PRODUCTS] = {_mm256_setzero_ps()};
        for (int64_t d = 0; d < block->head_size; d++) {
            if (type != TERN_KV_F16 && d % KV_GROUP == 0) {
                const uint16_t *group = scales + d / KV_GROUP * ATTENTION_BLOCK + j;
                foreach (v, n_vectors)
                    scale[v] = load_halves(group + 8 * v);
                if (ahead) read_ahead(block->values, block->keys, group, 16 * n_vectors);
            }
            const uint8_t *keys = block->keys + d * kv_key_stride(type);
            if (ahead) read_ahead(block->values, block->keys, keys + kv_bytes(type, j), kv_bytes(type, 8 * n_vectors));
            __m256 key[PRODUCTS];
            foreach (v, n_vectors)
                key[v] = load_keys(type, keys, j + 8 * v, scale[v]);
            foreach (i, n)
                foreach (v, n_vectors)
                    sum[i][v] = _mm256_fmadd_ps(_mm256_set1_ps(query[i][d]), key[v], sum[i][v]);
        }
        foreach (i, n)
            foreach (v, n_vectors)
                _mm256_storeu_ps(&score[i][j + 8 * v], _mm256_mul_ps(_mm256_set1_ps(block->scale), sum[i][v]));
    }
}

// Lanes of vector v that a query may see.
SPECIALISE __m256 visible_lanes(int v, int32_t visible)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(visible - 8 * v), lane));
}

// Turns query i's scores into probabilities in place, 0 where not visible; updates its maximum and sum and returns the
// factor that its accumulators need.
static float attention_softmax(const struct attention_block *block, int64_t i, float score[ATTENTION_BLOCK])
{
    int32_t visible = block->visible[i];
    __m256 most = _mm256_set1_ps(block->max[i]), lanes[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int v = 0; v < KEY_VECTORS; v++)
        most = _mm256_max_ps(most, _mm256_blendv_ps(most, _mm256_loadu_ps(score + 8 * v), visible_lanes(v, visible)));
    float max = vector_max(most) + 0.0f, correction = kernel_expf(block->max[i] - max);
    for (int v = 0; v < KEY_VECTORS; v++) {
        __m256 e = vector_exp(_mm256_sub_ps(_mm256_loadu_ps(score + 8 * v), _mm256_set1_ps(max)));
        e = _mm256_and_ps(e, visible_lanes(v, visible));
        lanes[v % 2] = _mm256_add_ps(lanes[v % 2], e);
        _mm256_storeu_ps(score + 8 * v, e);
    }
    float sum = vector_tree8(_mm256_add_ps(lanes[0], lanes[1]));
    block->sum[i] = __builtin_fmaf(block->sum[i], correction, sum);
    block->max[i] = max;
    return correction;
}

// Elements d .. d + 8 * n_vectors - 1 of n queries' accumulators, for keys that all of them see.
SPECIALISE void values_add(const struct attention_block *block, tern_kv_type type, float *const *acc,
                           float p[QUERIES][ATTENTION_BLOCK], int32_t key, int32_t key_end, int64_t d, int n,
                           int n_vectors)
{
    __m256 sum[QUERIES][PRODUCTS];
    foreach (i, n)
        foreach (v, n_vectors)
            sum[i][v] = _mm256_loadu_ps(acc[i] + d + 8 * v);
    const uint16_t *scales = kv_scales(type, block->head_size, block->values);
    const uint8_t *next = block->next_keys;
    for (int32_t j = key; j < key_end; j++) {
        const uint8_t *at = block->values + j * kv_value_stride(type, block->head_size);
        const uint16_t *group = scales + j * kv_groups(block->head_size) + d / KV_GROUP;
        if (next != NULL) {
            read_ahead(next, block->values, at + kv_bytes(type, d), kv_bytes(type, 8 * n_vectors));
            if (type != TERN_KV_F16) read_ahead(next, block->values, group, 1);
        }
        __m256 value[PRODUCTS], scale = _mm256_setzero_ps();
        foreach (v, n_vectors) {
            if (type != TERN_KV_F16 && v % 4 == 0) scale = _mm256_cvtph_ps(_mm_set1_epi16((int16_t)group[v / 4]));
            value[v] = load_values(type, at, d + 8 * v, scale);
        }
        foreach (i, n)
            foreach (v, n_vectors)
                sum[i][v] = _mm256_fmadd_ps(_mm256_set1_ps(p[i][j]), value[v], sum[i][v]);
    }
    foreach (i, n)
        foreach (v, n_vectors)
            _mm256_storeu_ps(acc[i] + d + 8 * v, sum[i][v]);
}

// Element d of one query.
static void value_add(const struct attention_block *block, float *acc, const float p[ATTENTION_BLOCK], int32_t key,
                      int32_t key_end, int64_t d)
{
    for (int32_t j = key; j < key_end; j++)
        acc[d] = __builtin_fmaf(p[j], kv_value(block->kv_type, block->head_size, block->values, j, d), acc[d]);
}

// acc_i += sum of p_ij v_j for keys key .. key_end - 1, that all n queries see.
SPECIALISE void attention_values(const struct attention_block *block, tern_kv_type type, float *const *acc,
                                 float p[QUERIES][ATTENTION_BLOCK], int32_t key, int32_t key_end, int n)
{
    const int n_vectors = PRODUCTS / n;
    int64_t d = 0;
    for (; d + 8 * n_vectors <= block->head_size; d += 8 * n_vectors)
        values_add(block, type, acc, p, key, key_end, d, n, n_vectors);
    for (; d + 8 <= block->head_size; d += 8)
        values_add(block, type, acc, p, key, key_end, d, n, 1);
    for (; d < block->head_size; d++)
        for (int i = 0; i < n; i++)
            value_add(block, acc[i], p[i], key, key_end, d);
}

static void attention_scale(float *acc, int64_t n, float factor)
{
    for (int64_t d = 0; d < n; d++)
        acc[d] *= factor;
}

// Queries first .. first + n - 1, each of which sees a key.
SPECIALISE void attend_queries(const struct attention_block *block, tern_kv_type type, int64_t first, int n)
{
    float p[QUERIES][ATTENTION_BLOCK];
    float *const *acc = block->acc + first;
    const int32_t *visible = block->visible + first;
    int32_t shared = ATTENTION_BLOCK;
    attention_scores(block, type, block->query + first, n, p);
    for (int i = 0; i < n; i++) {
        attention_scale(acc[i], block->head_size, attention_softmax(block, first + i, p[i]));
        if (visible[i] < shared) shared = visible[i];
    }
    attention_values(block, type, acc, p, 0, shared, n);
    for (int i = 0; i < n; i++)
        attention_values(block, type, acc + i, p + i, shared, visible[i], 1);
}

SPECIALISE void attend_type(const struct attention_block *block, tern_kv_type type)
{
    struct attention_block now = *block;
    for (int64_t i = 0, n; i < block->n_queries; i += n) {
        for (n = 0; n < QUERIES && i + n < block->n_queries && block->visible[i + n] > 0;)
            n++;
        n = n == 3 ? 2 : n;
        if (n == 4)
            attend_queries(&now, type, i, 4);
        else if (n == 2)
            attend_queries(&now, type, i, 2);
        else if (n == 1)
            attend_queries(&now, type, i, 1);
        else
            n = 1;            // sees nothing
        now.next_keys = NULL; // the first queries have asked for it
    }
}

#endif
