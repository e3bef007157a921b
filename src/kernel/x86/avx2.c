// The AVX2 table (with FMA and F16C): the same bits as reference.c. Elements that fill no vector go through the
// reference's own functions or through the same scalar steps.
#include "kernel/x86/avx2.h"
#include "kernel/packed.h"
#include "kernel/tables.h"
#include "kernel/x86/avx2_attend.h"
#include "kernel/x86/avx2_dense.h"
#include "kernel/x86/avx2_tiles.h"

#include <math.h>

// ---- Activations
// --------------------------------------------------------------------------------------------------------

// x, or 0 where it is not finite.
SPECIALISE __m256 finite_or_zero(__m256 x)
{
    __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
    return _mm256_and_ps(x, _mm256_cmp_ps(magnitude, _mm256_set1_ps(INFINITY), _CMP_LT_OQ));
}

static float group_absmax(const float *x, int64_t n)
{
    __m256 most = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = finite_or_zero(_mm256_loadu_ps(x + i));
        most = _mm256_max_ps(most, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v));
    }
    float absmax = vector_max(most);
    for (; i < n; i++)
        if (isfinite(x[i])) absmax = fmaxf(absmax, fabsf(x[i]));
    return absmax;
}

// 32 elements times `inverse`, rounded to even.
SPECIALISE void quantise_32(const float *x, float inverse, int8_t *q)
{
    __m256i v[4];
    foreach (i, 4)
        v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(finite_or_zero(_mm256_loadu_ps(x + 8 * i)), _mm256_set1_ps(inverse)));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    store_256(q, _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

static void quantise_group(const float *x, int64_t n, int8_t *q, float *scale)
{
    float absmax = group_absmax(x, n);
    *scale = absmax >= QUANTISE_LEAST ? absmax / 127.0f : 0.0f;
    float inverse = absmax >= QUANTISE_LEAST ? 127.0f / absmax : 0.0f;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        quantise_32(x + i, inverse, q + i);
    for (; i < n; i++)
        q[i] = (int8_t)rintf(isfinite(x[i]) ? x[i] * inverse : 0.0f);
}

void avx2_quantise(const float *x, int64_t n, int64_t group, int8_t *q, float *scale)
{
    for (int64_t i = 0; i < n; i += group)
        quantise_group(x + i, min_i64(group, n - i), q + i, scale++);
}

// ---- Products
// -----------------------------------------------------------------------------------------------------------

int64_t avx2_table_bytes(const struct matrix *w, int64_t n_tokens)
{
    if (w->form == ACTIVATION_F32) return 0;
    if (w->kind == MATRIX_DENSE) return int8_table_bytes(w);
    return n_tokens <= LOOKUP_TOKENS ? lookup_bytes(w) : 0;
}

void avx2_table_build(const struct matrix *w, int64_t n_tokens, const int8_t *q, uint8_t *table)
{
    (void)n_tokens;
    if (w->kind == MATRIX_DENSE)
        int8_build(w, q, table);
    else
        lookup_build(w, q, table);
}

static const struct packed_table packed_table = {false, avx2_scratch_bytes, avx2_multiply};

void avx2_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                   void *scratch)
{
    if (job->w->kind == MATRIX_DENSE)
        dense_multiply(job, tile * TILE_ROWS, min_i64(tile_end * TILE_ROWS, job->w->rows), token, token_end, scratch);
    else if (job->w->kind == MATRIX_PACKED_TRITS)
        packed_multiply(&packed_table, job, tile, tile_end, token, token_end, scratch);
    else
        tiles_multiply(job, tile, tile_end, token, token_end, scratch);
}

int64_t avx2_scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens)
{
    if (w->kind == MATRIX_PACKED_TRITS) return packed_scratch_bytes(&packed_table, w, n_tiles, n_tokens);
    int64_t bytes = w->kind == MATRIX_DENSE ? dense_scratch_bytes(w) : tiles_scratch_bytes(w, n_tiles, n_tokens);
    return round_up(bytes);
}

// What nothing has asked for when the first tile's turn comes.
void avx2_read_ahead(const struct matrix *w, int64_t tile)
{
    if (w->kind == MATRIX_DENSE) return;
    const uint8_t *codes = w->data + tile * w->tile_bytes;
    for (int64_t i = 0; i < min_i64(PREFETCH_BYTES, w->tile_bytes); i += 64)
        _mm_prefetch((const char *)(codes + i), _MM_HINT_T0);
}

// ---- Elementwise
// --------------------------------------------------------------------------------------------------------

static float sum_of_squares(const float *x, int64_t n)
{
    __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        foreach (h, 2) {
            __m256 v = _mm256_loadu_ps(x + i + 8 * h);
            acc[h] = _mm256_fmadd_ps(v, v, acc[h]);
        }
    float lanes[16];
    _mm256_storeu_ps(lanes, acc[0]);
    _mm256_storeu_ps(lanes + 8, acc[1]);
    for (; i < n; i++)
        lanes[i % 16] = fmaf(x[i], x[i], lanes[i % 16]);
    return tree16(lanes);
}

void avx2_rms_norm(const float *x, const float *weight, int64_t n, float eps, float *out)
{
    const float s = 1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(s));
        if (weight != NULL) v = _mm256_mul_ps(v, _mm256_loadu_ps(weight + i));
        _mm256_storeu_ps(out + i, v);
    }
    for (; i < n; i++)
        out[i] = weight != NULL ? x[i] * s * weight[i] : x[i] * s;
}

void avx2_add(float *x, const float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    reference_add(x + i, y + i, n - i);
}

void avx2_silu_gate(const float *gate, const float *up, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 g = _mm256_loadu_ps(gate + i);
        __m256 e = vector_exp(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f)));
        __m256 silu = _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
    }
    reference_silu_gate(gate + i, up + i, n - i, out + i);
}

void avx2_relu2_gate(const float *gate, const float *up, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 r = _mm256_max_ps(_mm256_loadu_ps(gate + i), _mm256_setzero_ps());
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_mul_ps(r, r), _mm256_loadu_ps(up + i)));
    }
    reference_relu2_gate(gate + i, up + i, n - i, out + i);
}

// Pairs (i, i + n_pairs).
static void rope_halves(float *head, const float *cosine, const float *sine, int64_t n_pairs)
{
    int64_t i = 0;
    for (; i + 8 <= n_pairs; i += 8) {
        __m256 a = _mm256_loadu_ps(head + i), b = _mm256_loadu_ps(head + i + n_pairs);
        __m256 c = _mm256_loadu_ps(cosine + i), s = _mm256_loadu_ps(sine + i);
        _mm256_storeu_ps(head + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(head + i + n_pairs, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
    }
    for (; i < n_pairs; i++) {
        float a = head[i], b = head[i + n_pairs];
        head[i] = fmaf(a, cosine[i], -(b * sine[i]));
        head[i + n_pairs] = fmaf(a, sine[i], b * cosine[i]);
    }
}

// Pairs (2i, 2i + 1): four pairs to a vector.
static void rope_interleaved(float *head, const float *cosine, const float *sine, int64_t n_pairs)
{
    int64_t i = 0;
    for (; i + 4 <= n_pairs; i += 4) {
        __m256 x = _mm256_loadu_ps(head + 2 * i);
        __m128 c = _mm_loadu_ps(cosine + i), s = _mm_loadu_ps(sine + i);
        __m256 cs = _mm256_set_m128(_mm_unpackhi_ps(c, s), _mm_unpacklo_ps(c, s));
        __m256 sc = _mm256_permute_ps(cs, _MM_SHUFFLE(2, 3, 0, 1));
        __m256 product = _mm256_mul_ps(_mm256_movehdup_ps(x), sc); // b sin, b cos
        _mm256_storeu_ps(head + 2 * i, _mm256_fmaddsub_ps(_mm256_moveldup_ps(x), cs, product));
    }
    reference_rope(head + 2 * i, cosine + i, sine + i, n_pairs - i, true);
}

void avx2_rope(float *head, const float *cosine, const float *sine, int64_t n_pairs, bool interleaved)
{
    if (interleaved)
        rope_interleaved(head, cosine, sine, n_pairs);
    else
        rope_halves(head, cosine, sine, n_pairs);
}

void avx2_to_half(const float *x, int64_t n, uint16_t *out)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)(out + i), halves);
    }
    reference_to_half(x + i, n - i, out + i);
}

// ---- Attention
// ---

void avx2_attend(const struct attention_block *block, void *scratch)
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

const struct kernels kernel_avx2 = {
    .name = "avx2",
    .table_bytes = avx2_table_bytes,
    .table_build = avx2_table_build,
    .multiply = avx2_multiply,
    .scratch_bytes = avx2_scratch_bytes,
    AVX2_COMMON,
};
