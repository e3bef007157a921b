// The AVX-512 table (F, BW, DQ, VL, VNNI): the same bits as reference.c. Elements that fill no vector go through the
// same instructions under a mask.
#include "kernel/packed.h"
#include "kernel/tables.h"
#include "kernel/x86/avx512_attend.h"
#include "kernel/x86/avx512_dense.h"
#include "kernel/x86/avx512_lookup.h"
#include "kernel/x86/avx512_packed.h"
#include "kernel/x86/avx512_tiles.h"

#include <math.h>

// ---- Activations

// Elements of x that are there and finite, 0 for the others.
SPECIALISE __m512 load_finite(const float *x, __mmask16 mask)
{
    __m512 v = _mm512_maskz_loadu_ps(mask, x);
    __mmask16 finite = _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(INFINITY), _CMP_LT_OQ);
    return _mm512_maskz_mov_ps(finite, v);
}

static void quantise_group(const float *x, int64_t n, int8_t *q, float *scale)
{
    __m512 most = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += 16)
        most = _mm512_max_ps(most, _mm512_abs_ps(load_finite(x + i, first_lanes(n - i))));
    float absmax = _mm512_reduce_max_ps(most), inverse = 0.0f;
    *scale = 0.0f;
    if (absmax >= QUANTISE_LEAST) {
        *scale = absmax / 127.0f;
        inverse = 127.0f / absmax;
    }
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(load_finite(x + i, mask), _mm512_set1_ps(inverse)));
        _mm_mask_storeu_epi8(q + i, mask, _mm512_cvtepi32_epi8(rounded));
    }
}

static void quantise(const float *x, int64_t n, int64_t group, int8_t *q, float *scale)
{
    for (int64_t i = 0; i < n; i += group)
        quantise_group(x + i, min_i64(group, n - i), q + i, scale++);
}

// ---- Products

// One token looks bits up.
static bool looks_up(const struct matrix *w, int64_t n_tokens)
{
    return w->kind == MATRIX_BITS && n_tokens == 1;
}

static bool takes_packed(const struct matrix *w)
{
    return w->kind == MATRIX_PACKED_TRITS && w->form != ACTIVATION_F32 && avx512_packed_runs();
}

static int64_t table_bytes(const struct matrix *w, int64_t n_tokens)
{
    if (w->form == ACTIVATION_F32) return 0;
    if (w->kind == MATRIX_DENSE) return blocks_table_bytes(w);
    return looks_up(w, n_tokens) ? lookup_bytes(w) : dots_bytes(w);
}

static void table_build(const struct matrix *w, int64_t n_tokens, const int8_t *q, uint8_t *table)
{
    if (w->kind == MATRIX_DENSE)
        blocks_build(w, q, table);
    else if (takes_packed(w))
        avx512_packed_build(w, q, table);
    else if (looks_up(w, n_tokens))
        lookup_build(w, q, table);
    else
        dots_build(w, q, table);
}

static void multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch);
static int64_t scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens);

static const struct packed_table packed_table = {true, scratch_bytes, multiply};

static void multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch)
{
    if (job->w->kind == MATRIX_DENSE)
        dense_multiply(job, tile * TILE_ROWS, min_i64(tile_end * TILE_ROWS, job->w->rows), token, token_end, scratch);
    else if (takes_packed(job->w))
        avx512_packed_multiply(job, tile, tile_end, token, token_end);
    else if (job->w->kind == MATRIX_PACKED_TRITS)
        packed_multiply(&packed_table, job, tile, tile_end, token, token_end, scratch);
    else if (job->x->form == ACTIVATION_F32)
        exact_multiply(job, tile, tile_end, token, token_end);
    else if (looks_up(job->w, job->x->n_tokens))
        lookup_multiply(job, tile, tile_end, token);
    else
        dots_multiply(job, tile, tile_end, token, token_end, scratch);
}

static int64_t scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens)
{
    if (takes_packed(w)) return 0;
    if (w->kind == MATRIX_PACKED_TRITS) return packed_scratch_bytes(&packed_table, w, n_tiles, n_tokens);
    return w->kind == MATRIX_DENSE ? dense_scratch_bytes(w, n_tokens) : tiles_scratch_bytes(w, n_tokens);
}

// ---- Elementwise

static void rms_norm(const float *x, const float *weight, int64_t n, float eps, float *out)
{
    __m512 lanes = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
        lanes = _mm512_fmadd_ps(v, v, lanes); // sums of squares are never -0: adding 0 changes nothing
    }
    const float s = 1.0f / sqrtf(vector_tree16(lanes) / (float)n + eps);
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_set1_ps(s));
        if (weight != NULL) v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, weight + i));
        _mm512_mask_storeu_ps(out + i, mask, v);
    }
}

static void add(float *x, const float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m512 sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_maskz_loadu_ps(mask, y + i));
        _mm512_mask_storeu_ps(x + i, mask, sum);
    }
}

static void silu_gate(const float *gate, const float *up, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m512 g = _mm512_maskz_loadu_ps(mask, gate + i);
        __m512 e = vector_exp(_mm512_xor_ps(g, _mm512_set1_ps(-0.0f)));
        __m512 silu = _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1.0f), e));
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(mask, up + i)));
    }
}

static void relu2_gate(const float *gate, const float *up, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m512 r = _mm512_max_ps(_mm512_maskz_loadu_ps(mask, gate + i), _mm512_setzero_ps());
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(_mm512_mul_ps(r, r), _mm512_maskz_loadu_ps(mask, up + i)));
    }
}

// Pairs (i, i + n_pairs).
static void rope_halves(float *head, const float *cosine, const float *sine, int64_t n_pairs)
{
    for (int64_t i = 0; i < n_pairs; i += 16) {
        __mmask16 mask = first_lanes(n_pairs - i);
        __m512 a = _mm512_maskz_loadu_ps(mask, head + i), b = _mm512_maskz_loadu_ps(mask, head + i + n_pairs);
        __m512 c = _mm512_maskz_loadu_ps(mask, cosine + i), s = _mm512_maskz_loadu_ps(mask, sine + i);
        _mm512_mask_storeu_ps(head + i, mask, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
        _mm512_mask_storeu_ps(head + i + n_pairs, mask, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)));
    }
}

// Pairs (2i, 2i + 1): eight pairs to a vector.
static void rope_interleaved(float *head, const float *cosine, const float *sine, int64_t n_pairs)
{
    const __m512i weave = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    for (int64_t i = 0; i < n_pairs; i += 8) {
        __mmask16 pairs = first_lanes(min_i64(8, n_pairs - i)), mask = first_lanes(2 * (n_pairs - i));
        __m512 x = _mm512_maskz_loadu_ps(mask, head + 2 * i);
        __m512 c = _mm512_maskz_loadu_ps(pairs, cosine + i), s = _mm512_maskz_loadu_ps(pairs, sine + i);
        __m512 cs = _mm512_permutex2var_ps(c, weave, s), sc = _mm512_permute_ps(cs, _MM_SHUFFLE(2, 3, 0, 1));
        __m512 product = _mm512_mul_ps(_mm512_movehdup_ps(x), sc); // b sin, b cos
        _mm512_mask_storeu_ps(head + 2 * i, mask, _mm512_fmaddsub_ps(_mm512_moveldup_ps(x), cs, product));
    }
}

static void rope(float *head, const float *cosine, const float *sine, int64_t n_pairs, bool interleaved)
{
    if (interleaved)
        rope_interleaved(head, cosine, sine, n_pairs);
    else
        rope_halves(head, cosine, sine, n_pairs);
}

static void to_half(const float *x, int64_t n, uint16_t *out)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
        _mm256_mask_storeu_epi16(out + i, mask, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }
}

const struct kernels kernel_avx512 = {
    .name = "avx512",
    .quantise = quantise,
    .pairs_tiles = true,
    .table_bytes = table_bytes,
    .table_build = table_build,
    .takes_packed = avx512_packed_runs,
    .read_ahead = tiles_read_ahead,
    .few_tokens = 32,
    .multiply = multiply,
    .token_tile = 32,
    .dense_token_tile = 128,
    .scratch_bytes = scratch_bytes,
    .rms_norm = rms_norm,
    .add = add,
    .silu_gate = silu_gate,
    .relu2_gate = relu2_gate,
    .rope = rope,
    .to_half = to_half,
    .attend = attend,
    .attention_scratch_bytes = 0,
};
