// The truth: every kernel in plain C, one operation after the other in the order that kernel.h states.
#include <math.h>

#include "format/codec.h"
#include "kernel/arithmetic.h"
#include "kernel/kv_block.h"
#include "kernel/packed_byte.h"
#include "kernel/tables.h"

// ---- Activations --------------------------------------------------------------------------------------------------

static float finite_or_zero(float x)
{
    return isfinite(x) ? x : 0.0f;
}

static void quantise_group(const float *x, int64_t n, int8_t *q, float *scale)
{
    float absmax = 0.0f;
    for (int64_t i = 0; i < n; i++)
        absmax = fmaxf(absmax, fabsf(finite_or_zero(x[i])));
    *scale = absmax >= QUANTISE_LEAST ? absmax / 127.0f : 0.0f;
    float inverse = absmax >= QUANTISE_LEAST ? 127.0f / absmax : 0.0f;
    for (int64_t i = 0; i < n; i++)
        q[i] = (int8_t)rintf(finite_or_zero(x[i]) * inverse);
}

void reference_quantise(const float *x, int64_t n, int64_t group, int8_t *q, float *scale)
{
    for (int64_t i = 0; i < n; i += group)
        quantise_group(x + i, min_i64(group, n - i), q + i, scale++);
}

int64_t reference_table_bytes(const struct matrix *w, int64_t n_tokens)
{
    (void)w, (void)n_tokens;
    return 0;
}

void reference_table_build(const struct matrix *w, int64_t n_tokens, const int8_t *q, uint8_t *table)
{
    (void)w, (void)n_tokens, (void)q, (void)table;
}

// ---- Tiles: 32 rows at once -----------------------------------------------------------------------------------------

// Codes of one column of a group: -1 .. +2 for trits, -1 or +1 for bits.
static void tile_column(const struct matrix *w, const uint8_t *codes, int64_t column, int32_t out[TILE_ROWS])
{
    if (w->kind == MATRIX_PACKED_TRITS) {
        for (int r = 0; r < TILE_ROWS; r++)
            out[r] = packed_code(codes, column, r) - 1;
        return;
    }
    int64_t per_byte = tile_chunk_columns(w->kind);
    const uint8_t *chunk = codes + column / per_byte * w->pitch;
    int shift = (int)(column % per_byte);
    for (int r = 0; r < TILE_ROWS; r++)
        out[r] = w->kind == MATRIX_TRITS ? (chunk[r] >> 2 * shift & 3) - 1 : 2 * (chunk[r] >> shift & 1) - 1;
}

static void tile_group_int8(const struct matrix *w, const uint8_t *codes, const int8_t *q, float x_scale,
                            float acc[TILE_ROWS])
{
    int32_t dot[TILE_ROWS] = {0}, column[TILE_ROWS];
    for (int64_t c = 0; c < w->group; c++) {
        tile_column(w, codes, c, column);
        for (int r = 0; r < TILE_ROWS; r++)
            dot[r] += column[r] * q[c];
    }
    for (int r = 0; r < TILE_ROWS; r++)
        acc[r] = fmaf((float)dot[r], load_half(codes + tile_scale_offset(w, r)) * x_scale, acc[r]);
}

static void tile_group_f32(const struct matrix *w, const uint8_t *codes, const float *x, float acc[TILE_ROWS])
{
    float sum[TILE_ROWS] = {0};
    int32_t column[TILE_ROWS];
    for (int64_t c = 0; c < w->group; c++) {
        tile_column(w, codes, c, column);
        for (int r = 0; r < TILE_ROWS; r++)
            sum[r] = fmaf((float)column[r], x[c], sum[r]);
    }
    for (int r = 0; r < TILE_ROWS; r++)
        acc[r] = fmaf(sum[r], load_half(codes + tile_scale_offset(w, r)), acc[r]);
}

static void tile_multiply(const struct multiply *job, int64_t tile, int64_t token)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const uint8_t *data = w->data + tile_offset(w, tile);
    float acc[TILE_ROWS] = {0};
    for (int64_t g = 0; g < w->n_groups; g++) {
        const uint8_t *codes = data + g * tile_group_bytes(w);
        int64_t column = g * w->group;
        if (x->form == ACTIVATION_F32)
            tile_group_f32(w, codes, x->f32 + token * x->columns + column, acc);
        else
            tile_group_int8(w, codes, x->q + token * x->columns + column, x->scale[token * x->n_scales + column / 128],
                            acc);
    }
    int64_t first = tile * TILE_ROWS, n = min_i64(TILE_ROWS, w->rows - first);
    for (int64_t r = 0; r < n; r++)
        job->out[token * job->out_stride + first + r] = acc[r] * w->scale;
}

// ---- Dense matrices: one row at a time ------------------------------------------------------------------------------

// Columns 32 s .. 32 s + 31 of a block: a lane for every four.
static void group32_lanes(const struct codec_parts *block, int64_t s, const int8_t *q, float x_scale, float lanes[8])
{
    for (int j = 0; j < 8; j++) {
        int32_t dot = 0;
        for (int i = 4 * j; i < 4 * j + 4; i++)
            dot += block->code[32 * s + i] * q[i];
        lanes[j] = fmaf((float)dot, block->step[2 * s + j / 4] * x_scale, lanes[j]);
    }
}

static float group32_sum(const int8_t *q)
{
    int32_t sum = 0;
    for (int i = 0; i < 32; i++)
        sum += q[i];
    return (float)sum;
}

static float dense_dot_group32(const struct matrix *w, const uint8_t *row, const int8_t *q, const float *scale)
{
    const struct dtype_info *info = dtype_info(w->type);
    const bool minima = codec_has_minima(w->type);
    float lanes[8] = {0}, minimum_sum = 0.0f;
    for (int64_t c = 0; c < w->columns; c += info->block_elements, row += info->block_bytes) {
        struct codec_parts block;
        codec_unpack_parts(w->type, row, &block);
        for (int64_t s = 0; s < info->block_elements / 32; s++, q += 32, scale++) {
            group32_lanes(&block, s, q, *scale, lanes);
            if (minima) minimum_sum = fmaf(group32_sum(q), block.minimum[s] * *scale, minimum_sum);
        }
    }
    return minima ? tree8(lanes) + minimum_sum : tree8(lanes);
}

static float dense_dot_f32(const struct matrix *w, int64_t row, const float *x)
{
    float lanes[16] = {0}, weights[CODEC_MAX_BLOCK];
    for (int64_t column = 0; column < w->columns; column += CODEC_MAX_BLOCK) {
        int64_t n = min_i64(CODEC_MAX_BLOCK, w->columns - column);
        dense_unpack(w, row, column, n, weights);
        for (int64_t i = 0; i < n; i++)
            lanes[i % 16] = fmaf(weights[i], x[column + i], lanes[i % 16]);
    }
    return tree16(lanes);
}

static void dense_multiply(const struct multiply *job, int64_t row, int64_t token)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    float dot;
    if (w->form == ACTIVATION_F32)
        dot = dense_dot_f32(w, row, x->f32 + token * x->columns);
    else
        dot = dense_dot_group32(w, w->data + row * w->row_bytes, x->q + token * x->columns,
                                x->scale + token * x->n_scales);
    job->out[token * job->out_stride + row] = dot * w->scale;
}

void reference_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                        void *scratch)
{
    (void)scratch;
    if (job->w->kind != MATRIX_DENSE) {
        for (int64_t i = tile; i < tile_end; i++)
            for (int64_t t = token; t < token_end; t++)
                tile_multiply(job, i, t);
        return;
    }
    int64_t row_end = min_i64(tile_end * TILE_ROWS, job->w->rows);
    for (int64_t row = tile * TILE_ROWS; row < row_end; row++)
        for (int64_t t = token; t < token_end; t++)
            dense_multiply(job, row, t);
}

int64_t reference_scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens)
{
    (void)w, (void)n_tiles, (void)n_tokens;
    return 0;
}

// ---- Elementwise ----------------------------------------------------------------------------------------------------

float kernel_expf(float x)
{
    if (x < EXP_LOWEST) return 0.0f;
    if (x > EXP_HIGHEST) x = EXP_HIGHEST;
    float n = rintf(x * EXP_LOG2E);
    float r = fmaf(-n, EXP_LN2_LO, fmaf(-n, EXP_LN2_HI, x));
    float p = fmaf(EXP_C6, r, EXP_C5);
    p = fmaf(p, r, EXP_C4);
    p = fmaf(p, r, EXP_C3);
    p = fmaf(p, r, EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return p * half_from_bits32((uint32_t)((int32_t)n + 127) << 23);
}

void reference_rms_norm(const float *x, const float *weight, int64_t n, float eps, float *out)
{
    float lanes[16] = {0};
    for (int64_t i = 0; i < n; i++)
        lanes[i % 16] = fmaf(x[i], x[i], lanes[i % 16]);
    float s = 1.0f / sqrtf(tree16(lanes) / (float)n + eps);
    for (int64_t i = 0; i < n; i++)
        out[i] = weight != NULL ? x[i] * s * weight[i] : x[i] * s;
}

void reference_add(float *x, const float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] += y[i];
}

void reference_silu_gate(const float *gate, const float *up, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0f + kernel_expf(-gate[i])) * up[i];
}

void reference_relu2_gate(const float *gate, const float *up, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        float r = gate[i] > 0.0f ? gate[i] : 0.0f;
        out[i] = r * r * up[i];
    }
}

void reference_rope(float *head, const float *cosine, const float *sine, int64_t n_pairs, bool interleaved)
{
    for (int64_t i = 0; i < n_pairs; i++) {
        float *first = interleaved ? head + 2 * i : head + i, *second = interleaved ? first + 1 : first + n_pairs;
        float a = *first, b = *second;
        *first = fmaf(a, cosine[i], -(b * sine[i]));
        *second = fmaf(a, sine[i], b * cosine[i]);
    }
}

void reference_to_half(const float *x, int64_t n, uint16_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = half_from_float(x[i]);
}

// ---- Attention
// --------------------------------------------------------------------------------------------------------

// Scores of the visible keys, and the larger of their maximum and `max`. A maximum of -0 counts as +0, so that the
// order of comparisons cannot be seen.
static float attention_scores(const struct attention_block *block, const float *query, int32_t visible, float max,
                              float *score)
{
    for (int32_t j = 0; j < visible; j++) {
        float s = 0.0f;
        for (int64_t d = 0; d < block->head_size; d++)
            s = fmaf(query[d], kv_key(block->kv_type, block->head_size, block->keys, j, d), s);
        score[j] = block->scale * s;
        if (score[j] > max) max = score[j];
    }
    return max + 0.0f;
}

static void attention_values(const struct attention_block *block, const float *p, int32_t visible, float correction,
                             float *acc)
{
    for (int64_t d = 0; d < block->head_size; d++) {
        float sum = acc[d] * correction;
        for (int32_t j = 0; j < visible; j++)
            sum = fmaf(p[j], kv_value(block->kv_type, block->head_size, block->values, j, d), sum);
        acc[d] = sum;
    }
}

void reference_attend(const struct attention_block *block, void *scratch)
{
    (void)scratch;
    for (int64_t i = 0; i < block->n_queries; i++) {
        int32_t visible = block->visible[i];
        if (visible == 0) continue;
        float p[ATTENTION_BLOCK] = {0}, lanes[16] = {0};
        float max = attention_scores(block, block->query[i], visible, block->max[i], p);
        float correction = kernel_expf(block->max[i] - max);
        for (int32_t j = 0; j < visible; j++) {
            p[j] = kernel_expf(p[j] - max);
            lanes[j % 16] += p[j];
        }
        block->sum[i] = fmaf(block->sum[i], correction, tree16(lanes));
        block->max[i] = max;
        attention_values(block, p, visible, correction, block->acc[i]);
    }
}

const struct kernels kernel_reference = {
    .name = "reference",
    .quantise = reference_quantise,
    .table_bytes = reference_table_bytes,
    .table_build = reference_table_build,
    .few_tokens = 0,
    .multiply = reference_multiply,
    .token_tile = 1,
    .dense_token_tile = 1,
    .scratch_bytes = reference_scratch_bytes,
    .rms_norm = reference_rms_norm,
    .add = reference_add,
    .silu_gate = reference_silu_gate,
    .relu2_gate = reference_relu2_gate,
    .rope = reference_rope,
    .to_half = reference_to_half,
    .attend = reference_attend,
    .attention_scratch_bytes = 0,
};
