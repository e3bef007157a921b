// The floor for x86: SSE4.1, 128 bits, no fused multiply-add and no half floats. The same bits as reference.c: products
// of trits and bits by table lookup, as avx2_tiles.h explains, and a fused multiply-add made of doubles.
#include <math.h>
#include <smmintrin.h>

#include "format/codec.h"
#include "kernel/kv_block.h"
#include "kernel/packed.h"
#include "kernel/tables.h"
#include "kernel/x86/sse41_vector.h"

enum {
    NIBBLE_BYTES = 32, // of a nibble position's table: low bytes of its 16 sums, then high bytes
    ROW_QUADS = TILE_ROWS / 4,
    FEW_TOKENS = 8,
};

// ---- Activations

SPECIALISE __m128 finite_or_zero(__m128 x)
{
    return _mm_and_ps(x, _mm_cmplt_ps(magnitude(x), _mm_set1_ps(INFINITY)));
}

static float group_absmax(const float *x, int64_t n)
{
    __m128 most = _mm_setzero_ps();
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        most = _mm_max_ps(most, magnitude(finite_or_zero(_mm_loadu_ps(x + i))));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    float absmax = _mm_cvtss_f32(_mm_max_ss(most, _mm_shuffle_ps(most, most, 1)));
    for (; i < n; i++)
        if (isfinite(x[i])) absmax = fmaxf(absmax, fabsf(x[i]));
    return absmax;
}

// 16 elements times `inverse`, rounded to even.
SPECIALISE __m128i quantise_16(const float *x, float inverse)
{
    __m128i v[4];
    for (int i = 0; i < 4; i++)
        v[i] = _mm_cvtps_epi32(_mm_mul_ps(finite_or_zero(_mm_loadu_ps(x + 4 * i)), _mm_set1_ps(inverse)));
    return _mm_packs_epi16(_mm_packs_epi32(v[0], v[1]), _mm_packs_epi32(v[2], v[3]));
}

static void quantise_group(const float *x, int64_t n, int8_t *q, float *scale)
{
    float absmax = group_absmax(x, n);
    *scale = absmax >= QUANTISE_LEAST ? absmax / 127.0f : 0.0f;
    float inverse = absmax >= QUANTISE_LEAST ? 127.0f / absmax : 0.0f;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        store_128(q + i, quantise_16(x + i, inverse));
    for (; i < n; i++)
        q[i] = (int8_t)rintf(isfinite(x[i]) ? x[i] * inverse : 0.0f);
}

static void quantise(const float *x, int64_t n, int64_t group, int8_t *q, float *scale)
{
    for (int64_t i = 0; i < n; i += group)
        quantise_group(x + i, min_i64(group, n - i), q + i, scale++);
}

// ---- Tiles: lookup

static int64_t lookup_bytes(const struct matrix *w)
{
    return w->columns / tile_chunk_columns(w->kind) * 2 * NIBBLE_BYTES;
}

// Sum i of the columns that a nibble stands for: two trits, four bits.
static int nibble_sum(enum matrix_kind kind, const int8_t *q, int i)
{
    if (kind != MATRIX_BITS) return ((i & 3) - 1) * q[0] + ((i >> 2) - 1) * q[1];
    int sum = 0;
    for (int k = 0; k < 4; k++)
        sum += i >> k & 1 ? q[k] : -q[k];
    return sum;
}

static void lookup_build(const struct matrix *w, const int8_t *q, uint8_t *table)
{
    const int64_t step = tile_chunk_columns(w->kind) / 2;
    for (int64_t c = 0; c < w->columns; c += step, table += NIBBLE_BYTES)
        for (int i = 0; i < 16; i++) {
            int sum = nibble_sum(w->kind, q + c, i);
            table[i] = (uint8_t)(sum & 255);
            table[16 + i] = (uint8_t)(sum >> 8 & 255);
        }
}

// Adds the sums that 16 nibbles stand for: rows 0 .. 7 to s[0], 8 .. 15 to s[1].
SPECIALISE void lookup_add(__m128i s[2], __m128i nibbles, const uint8_t *table)
{
    __m128i low = _mm_shuffle_epi8(load_128(table), nibbles), high = _mm_shuffle_epi8(load_128(table + 16), nibbles);
    s[0] = _mm_add_epi16(s[0], _mm_unpacklo_epi8(low, high));
    s[1] = _mm_add_epi16(s[1], _mm_unpackhi_epi8(low, high));
}

// acc += sums of eight rows * (their scales * x_scale)
SPECIALISE void finish_rows(__m128i sums, const uint8_t *scales, float x_scale, __m128 acc[2])
{
    __m128i half[2] = {_mm_cvtepi16_epi32(sums), _mm_cvtepi16_epi32(_mm_srli_si128(sums, 8))};
    for (int i = 0; i < 2; i++)
        acc[i] = fused(_mm_cvtepi32_ps(half[i]), _mm_mul_ps(load_halves(scales + 8 * i), _mm_set1_ps(x_scale)), acc[i]);
}

static void lookup_tile(const struct multiply *job, int64_t tile, int64_t token, const uint8_t *table)
{
    const struct matrix *w = job->w;
    const float *x_scale = job->x->scale + token * job->x->n_scales;
    const uint8_t *codes = w->data + tile * w->tile_bytes;
    const int64_t code_bytes = tile_code_bytes(w);
    __m128 acc[ROW_QUADS];
    for (int i = 0; i < ROW_QUADS; i++)
        acc[i] = _mm_setzero_ps();
    for (int64_t g = 0; g < w->n_groups; g++) {
        __m128i sums[4];
        for (int i = 0; i < 4; i++)
            sums[i] = _mm_setzero_si128();
        for (int64_t i = 0; i < code_bytes; i += TILE_ROWS, codes += TILE_ROWS, table += 2 * NIBBLE_BYTES)
            for (int half = 0; half < 2; half++) {
                __m128i bytes = load_128(codes + 16 * half), mask = _mm_set1_epi8(15);
                lookup_add(sums + 2 * half, _mm_and_si128(bytes, mask), table);
                lookup_add(sums + 2 * half, _mm_and_si128(_mm_srli_epi16(bytes, 4), mask), table + NIBBLE_BYTES);
            }
        for (int i = 0; i < 4; i++)
            finish_rows(sums[i], codes + 16 * i, x_scale[g * w->group / 128], acc + 2 * i);
        codes += 2 * TILE_ROWS;
    }
    store_tile(job, tile, token, acc);
}

static void lookup_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token,
                            int64_t token_end, uint8_t *scratch)
{
    const struct activations *x = job->x;
    for (; token < token_end; token++) {
        const uint8_t *table = scratch;
        if (x->table != NULL)
            table = x->table + token * x->table_bytes;
        else
            lookup_build(job->w, x->q + token * x->columns, scratch);
        for (int64_t i = tile; i < tile_end; i++)
            lookup_tile(job, i, token, table);
    }
}

// ---- Tiles: unrounded activations

static void exact_tile(const struct multiply *job, int64_t tile, int64_t token)
{
    const struct matrix *w = job->w;
    const float *x = job->x->f32 + token * job->x->columns;
    const uint8_t *codes = w->data + tile * w->tile_bytes;
    const int positions = (int)tile_chunk_columns(w->kind), width = 8 / positions;
    __m128 acc[ROW_QUADS];
    for (int i = 0; i < ROW_QUADS; i++)
        acc[i] = _mm_setzero_ps();
    for (int64_t g = 0; g < w->n_groups; g++) {
        __m128 sum[ROW_QUADS];
        for (int i = 0; i < ROW_QUADS; i++)
            sum[i] = _mm_setzero_ps();
        for (int64_t c = 0; c < w->group; c += positions, x += positions, codes += TILE_ROWS)
            for (int i = 0; i < ROW_QUADS; i++)
                sum[i] = exact_chunk(sum[i], load_four_bytes(codes + 4 * i), x, positions, width);
        for (int i = 0; i < ROW_QUADS; i++)
            acc[i] = fused(sum[i], load_halves(codes + 8 * i), acc[i]);
        codes += 2 * TILE_ROWS;
    }
    store_tile(job, tile, token, acc);
}

static void exact_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end)
{
    for (; tile < tile_end; tile++)
        for (int64_t t = token; t < token_end; t++)
            exact_tile(job, tile, t);
}

// ---- Dense matrices, a row at a time

enum { BLOCK = 32 };

// 16 weights of a block of 32, from element 16 * half on.
SPECIALISE __m128i block_weights(enum dtype type, const uint8_t *block, int half)
{
    if (type == DTYPE_Q8_0) return load_128(block + 2 + 16 * half);
    __m128i bytes = load_128(block + (type == DTYPE_Q4_1 ? 4 : 2));
    bytes = _mm_and_si128(half == 0 ? bytes : _mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    return type == DTYPE_Q4_0 ? _mm_sub_epi8(bytes, _mm_set1_epi8(8)) : bytes;
}

// Sums of four neighbouring products each.
SPECIALISE __m128i dot_by_four(__m128i weights, __m128i q)
{
    __m128i pairs = _mm_maddubs_epi16(_mm_abs_epi8(weights), _mm_sign_epi8(q, weights));
    return _mm_madd_epi16(pairs, _mm_set1_epi16(1));
}

static float dot_blocks(const struct matrix *w, const uint8_t *block, const int8_t *q, const float *scale)
{
    const uint32_t block_bytes = dtype_info(w->type)->block_bytes;
    __m128 lanes[2] = {_mm_setzero_ps(), _mm_setzero_ps()};
    float l[8], minimum = 0.0f;
    for (int64_t b = 0; b < w->columns / BLOCK; b++, block += block_bytes, q += BLOCK) {
        const __m128 factor = _mm_set1_ps(load_half(block) * scale[b]);
        __m128i x_sum = _mm_setzero_si128();
        for (int half = 0; half < 2; half++) {
            __m128i x = load_128(q + 16 * half);
            __m128i dot = dot_by_four(block_weights(w->type, block, half), x);
            lanes[half] = fused(_mm_cvtepi32_ps(dot), factor, lanes[half]);
            x_sum = _mm_add_epi32(x_sum, dot_by_four(_mm_set1_epi8(1), x));
        }
        if (w->type == DTYPE_Q4_1) minimum = fmaf((float)sum_lanes(x_sum), load_half(block + 2) * scale[b], minimum);
    }
    _mm_storeu_ps(l, lanes[0]);
    _mm_storeu_ps(l + 4, lanes[1]);
    return w->type == DTYPE_Q4_1 ? tree8(l) + minimum : tree8(l);
}

// The same with super-blocks, whose codes are unpacked in plain C.
static float dot_supers(const struct matrix *w, const uint8_t *super, const int8_t *q, const float *scale)
{
    __m128 lanes[2] = {_mm_setzero_ps(), _mm_setzero_ps()};
    const bool minima = codec_has_minima(w->type);
    float l[8], minimum = 0.0f;
    struct codec_parts parts;
    for (int64_t c = 0; c < w->columns; c += BLOCK, q += BLOCK, scale++) {
        const int64_t i = c % CODEC_MAX_BLOCK;
        if (i == 0) codec_unpack_parts(w->type, super + c / CODEC_MAX_BLOCK * super_bytes(w->type), &parts);
        __m128i x_sum = _mm_setzero_si128();
        for (int half = 0; half < 2; half++) {
            __m128i x = load_128(q + 16 * half), dot = dot_by_four(load_128(parts.code + i + 16 * half), x);
            const __m128 factor = _mm_set1_ps(parts.step[i / 16 + half] * *scale);
            lanes[half] = fused(_mm_cvtepi32_ps(dot), factor, lanes[half]);
            x_sum = _mm_add_epi32(x_sum, dot_by_four(_mm_set1_epi8(1), x));
        }
        if (minima) minimum = fmaf((float)sum_lanes(x_sum), parts.minimum[i / BLOCK] * *scale, minimum);
    }
    _mm_storeu_ps(l, lanes[0]);
    _mm_storeu_ps(l + 4, lanes[1]);
    return minima ? tree8(l) + minimum : tree8(l);
}

static float dot_int8(const struct matrix *w, const uint8_t *row, const int8_t *q, const float *scale)
{
    return is_super(w->type) ? dot_supers(w, row, q, scale) : dot_blocks(w, row, q, scale);
}

static float dot_floats(const float *weights, const float *x, int64_t n)
{
    float l[16];
    __m128 lanes[4] = {_mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps(), _mm_setzero_ps()};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int v = 0; v < 4; v++)
            lanes[v] = fused(_mm_loadu_ps(weights + i + 4 * v), _mm_loadu_ps(x + i + 4 * v), lanes[v]);
    for (int v = 0; v < 4; v++)
        _mm_storeu_ps(l + 4 * v, lanes[v]);
    for (; i < n; i++)
        l[i % 16] = fmaf(weights[i], x[i], l[i % 16]);
    return tree16(l);
}

static void dense_multiply(const struct multiply *job, int64_t row, int64_t row_end, int64_t token, int64_t token_end,
                           float *unpacked)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const bool floats = w->form == ACTIVATION_F32;
    for (; row < row_end; row++) {
        const uint8_t *data = w->data + row * w->row_bytes;
        if (floats) dense_unpack(w, row, 0, w->columns, unpacked);
        for (int64_t t = token; t < token_end; t++) {
            float dot = floats ? dot_floats(unpacked, x->f32 + t * x->columns, w->columns)
                               : dot_int8(w, data, x->q + t * x->columns, x->scale + t * x->n_scales);
            job->out[t * job->out_stride + row] = dot * w->scale;
        }
    }
}

// ---- Products

static int64_t table_bytes(const struct matrix *w, int64_t n_tokens)
{
    return w->kind != MATRIX_DENSE && w->form != ACTIVATION_F32 && n_tokens <= FEW_TOKENS ? lookup_bytes(w) : 0;
}

static void table_build(const struct matrix *w, int64_t n_tokens, const int8_t *q, uint8_t *table)
{
    (void)n_tokens;
    lookup_build(w, q, table);
}

static void multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch);
static int64_t scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens);

static const struct packed_table packed_table = {false, scratch_bytes, multiply};

static void multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch)
{
    if (job->w->kind == MATRIX_DENSE)
        dense_multiply(job, tile * TILE_ROWS, min_i64(tile_end * TILE_ROWS, job->w->rows), token, token_end, scratch);
    else if (job->w->kind == MATRIX_PACKED_TRITS)
        packed_multiply(&packed_table, job, tile, tile_end, token, token_end, scratch);
    else if (job->w->form == ACTIVATION_F32)
        exact_multiply(job, tile, tile_end, token, token_end);
    else
        lookup_multiply(job, tile, tile_end, token, token_end, scratch);
}

static int64_t scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens)
{
    if (w->kind == MATRIX_PACKED_TRITS) return packed_scratch_bytes(&packed_table, w, n_tiles, n_tokens);
    if (w->kind == MATRIX_DENSE) return w->columns * (int64_t)sizeof(float);
    return w->form == ACTIVATION_F32 ? 0 : lookup_bytes(w);
}

// ---- Elementwise

static void silu_gate(const float *gate, const float *up, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m128 g = _mm_loadu_ps(gate + i), e = vector_exp(_mm_xor_ps(g, _mm_set1_ps(-0.0f)));
        __m128 silu = _mm_div_ps(g, _mm_add_ps(_mm_set1_ps(1.0f), e));
        _mm_storeu_ps(out + i, _mm_mul_ps(silu, _mm_loadu_ps(up + i)));
    }
    reference_silu_gate(gate + i, up + i, n - i, out + i);
}

// ---- Attention

struct attention_scratch {
    float keys[ATTENTION_MAX_HEAD][ATTENTION_BLOCK];
    float values[ATTENTION_BLOCK][ATTENTION_MAX_HEAD];
};

// scores[j] = scale * q . k_j, four keys at a time.
static void attention_scores(const struct attention_block *block, const struct attention_scratch *s, const float *query,
                             int32_t visible, float score[ATTENTION_BLOCK])
{
    for (int32_t j = 0; j < visible; j += 4) {
        __m128 sum = _mm_setzero_ps();
        for (int64_t d = 0; d < block->head_size; d++)
            sum = fused(_mm_set1_ps(query[d]), _mm_loadu_ps(s->keys[d] + j), sum);
        _mm_storeu_ps(score + j, _mm_mul_ps(_mm_set1_ps(block->scale), sum));
    }
}

static void attention_values(const struct attention_block *block, const struct attention_scratch *s, const float *p,
                             int32_t visible, float correction, float *acc)
{
    int64_t d = 0;
    for (; d + 4 <= block->head_size; d += 4) {
        __m128 sum = _mm_mul_ps(_mm_loadu_ps(acc + d), _mm_set1_ps(correction));
        for (int32_t j = 0; j < visible; j++)
            sum = fused(_mm_set1_ps(p[j]), _mm_loadu_ps(s->values[j] + d), sum);
        _mm_storeu_ps(acc + d, sum);
    }
    for (; d < block->head_size; d++) {
        float sum = acc[d] * correction;
        for (int32_t j = 0; j < visible; j++)
            sum = fmaf(p[j], s->values[j][d], sum);
        acc[d] = sum;
    }
}

static void attend_query(const struct attention_block *block, const struct attention_scratch *s, int64_t i)
{
    const int32_t visible = block->visible[i];
    float p[ATTENTION_BLOCK], lanes[16] = {0}, max = block->max[i];
    attention_scores(block, s, block->query[i], visible, p);
    for (int32_t j = 0; j < visible; j++)
        max = p[j] > max ? p[j] : max;
    max += 0.0f; // -0 becomes +0
    for (int32_t j = 0; j < visible; j++) {
        p[j] = kernel_expf(p[j] - max);
        lanes[j % 16] += p[j];
    }
    const float correction = kernel_expf(block->max[i] - max);
    block->sum[i] = fmaf(block->sum[i], correction, tree16(lanes));
    block->max[i] = max;
    attention_values(block, s, p, visible, correction, block->acc[i]);
}

static void attend(const struct attention_block *block, void *scratch)
{
    struct attention_scratch *s = scratch;
    int32_t most = 0;
    for (int64_t i = 0; i < block->n_queries; i++)
        most = block->visible[i] > most ? block->visible[i] : most;
    for (int64_t d = 0; d < block->head_size; d++)
        for (int32_t j = 0; j < ATTENTION_BLOCK; j++)
            s->keys[d][j] = j < most ? kv_key(block->kv_type, block->head_size, block->keys, j, d) : 0.0f;
    for (int32_t j = 0; j < most; j++)
        for (int64_t d = 0; d < block->head_size; d++)
            s->values[j][d] = kv_value(block->kv_type, block->head_size, block->values, j, d);
    for (int64_t i = 0; i < block->n_queries; i++)
        if (block->visible[i] > 0) attend_query(block, s, i);
}

const struct kernels kernel_sse41 = {
    .name = "sse41",
    .quantise = quantise,
    .table_bytes = table_bytes,
    .table_build = table_build,
    .few_tokens = FEW_TOKENS,
    .multiply = multiply,
    .token_tile = FEW_TOKENS,
    .dense_token_tile = FEW_TOKENS,
    .scratch_bytes = scratch_bytes,
    .rms_norm = reference_rms_norm,
    .add = reference_add,
    .silu_gate = silu_gate,
    .relu2_gate = reference_relu2_gate,
    .rope = reference_rope,
    .to_half = reference_to_half,
    .attend = attend,
    .attention_scratch_bytes = sizeof(struct attention_scratch),
};
