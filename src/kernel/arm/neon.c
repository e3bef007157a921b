// AArch64's base vectors (ASIMD, 128 bits): twins of reference.c. Half floats are converted by the base instructions;
// neither the dot product nor the half arithmetic of later extensions is assumed.
#include <float.h>
#include <math.h>

#include "kernel/arithmetic.h"
#include "kernel/arm/neon.h"
#include "kernel/kv_block.h"
#include "kernel/packed.h"
#include "kernel/tables.h"

// Sums of four neighbouring products; two of them (2 * 128 * 127) still fit in 16 bits.
INLINE int32x4_t dot_by_four(int8x16_t w, int8x16_t x)
{
    int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x))), high = vpaddlq_s16(vmull_high_s8(w, x));
    return vpaddq_s32(low, high);
}

#include "kernel/arm/neon_blocks.h"

// tree16 of reference.c over lanes 0..3, 4..7, 8..11, 12..15.
INLINE float tree16_of(const float32x4_t v[4])
{
    float lanes[16];
    for (int i = 0; i < 4; i++)
        vst1q_f32(lanes + 4 * i, v[i]);
    return tree16(lanes);
}

// ---- Activations

INLINE float32x4_t finite_or_zero(float32x4_t x)
{
    uint32x4_t finite = vcleq_f32(vabsq_f32(x), vdupq_n_f32(FLT_MAX));
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), finite));
}

static float finite_absmax(const float *x, int64_t n)
{
    float32x4_t max = vdupq_n_f32(0.0f);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        max = vmaxq_f32(max, vabsq_f32(finite_or_zero(vld1q_f32(x + i))));
    float absmax = vmaxvq_f32(max);
    for (; i < n; i++)
        if (isfinite(x[i])) absmax = fmaxf(absmax, fabsf(x[i]));
    return absmax;
}

INLINE int16x4_t round_scaled(const float *x, float32x4_t inverse)
{
    return vmovn_s32(vcvtnq_s32_f32(vmulq_f32(finite_or_zero(vld1q_f32(x)), inverse)));
}

static void quantise_group(const float *x, int64_t n, int8_t *q, float *scale)
{
    float absmax = finite_absmax(x, n), inverse = 0.0f;
    *scale = 0.0f;
    if (absmax >= QUANTISE_LEAST) {
        *scale = absmax / 127.0f;
        inverse = 127.0f / absmax;
    }
    float32x4_t inverses = vdupq_n_f32(inverse);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        vst1_s8(q + i, vmovn_s16(vcombine_s16(round_scaled(x + i, inverses), round_scaled(x + i + 4, inverses))));
    for (; i < n; i++)
        q[i] = isfinite(x[i]) ? (int8_t)rintf(x[i] * inverse) : 0;
}

void neon_quantise(const float *x, int64_t n, int64_t group, int8_t *q, float *scale)
{
    for (int64_t i = 0; i < n; i += group)
        quantise_group(x + i, min_i64(group, n - i), q + i, scale++);
}

// ---- Tiles, int8: lanes are rows
//
// A group's dot products fit in 16 bits (128 * 2 * 127), so they are summed modulo 2^16, whatever the steps overflow
// to.

struct dots {
    int16x8_t rows[4]; // 8 rows each
};

INLINE void multiply_column(int8x16_t low, int8x16_t high, const int8_t *const *q, int n, int64_t column,
                            struct dots *dots)
{
    for (int t = 0; t < n; t++) {
        int8x16_t x = vld1q_dup_s8(q[t] + column);
        dots[t].rows[0] = vmlal_s8(dots[t].rows[0], vget_low_s8(low), vget_low_s8(x));
        dots[t].rows[1] = vmlal_high_s8(dots[t].rows[1], low, x);
        dots[t].rows[2] = vmlal_s8(dots[t].rows[2], vget_low_s8(high), vget_low_s8(x));
        dots[t].rows[3] = vmlal_high_s8(dots[t].rows[3], high, x);
    }
}

// Sums of code * q over a group of trits, code 0..3.
INLINE void sum_trits(const uint8_t *codes, int64_t columns, const int8_t *const *q, int n, struct dots *dots)
{
    const uint8x16_t mask = vdupq_n_u8(3);
    for (int64_t c = 0; c < columns; c += 4, codes += TILE_ROWS) {
        uint8x16_t low = vld1q_u8(codes), high = vld1q_u8(codes + 16);
        for (int k = 0; k < 4; k++) {
            multiply_column(vreinterpretq_s8_u8(vandq_u8(low, mask)), vreinterpretq_s8_u8(vandq_u8(high, mask)), q, n,
                            c + k, dots);
            low = vshrq_n_u8(low, 2);
            high = vshrq_n_u8(high, 2);
        }
    }
}

// Sums of -bit * q over a group of bits: a test of a bit gives -1.
INLINE void sum_bits(const uint8_t *codes, int64_t columns, const int8_t *const *q, int n, struct dots *dots)
{
    for (int64_t c = 0; c < columns; c += 8, codes += TILE_ROWS) {
        uint8x16_t low = vld1q_u8(codes), high = vld1q_u8(codes + 16);
        for (int k = 0; k < 8; k++) {
            uint8x16_t bit = vdupq_n_u8((uint8_t)(1 << k));
            multiply_column(vreinterpretq_s8_u8(vtstq_u8(low, bit)), vreinterpretq_s8_u8(vtstq_u8(high, bit)), q, n,
                            c + k, dots);
        }
    }
}

INLINE int16_t sum_of(const int8_t *q, int64_t n)
{
    int16x8_t sum = vdupq_n_s16(0);
    for (int64_t i = 0; i < n; i += 16)
        sum = vpadalq_s8(sum, vld1q_s8(q + i));
    return vaddvq_s16(sum);
}

// acc = fmaf((float)dot, w_scale * x_scale, acc) for 32 rows.
INLINE void accumulate_dots(const struct dots *dots, const float32x4_t w_scale[8], float x_scale, float *acc)
{
    for (int i = 0; i < 4; i++) {
        int32x4_t low = vmovl_s16(vget_low_s16(dots->rows[i])), high = vmovl_high_s16(dots->rows[i]);
        float *a = acc + 8 * i;
        vst1q_f32(a, vfmaq_f32(vld1q_f32(a), vcvtq_f32_s32(low), vmulq_n_f32(w_scale[2 * i], x_scale)));
        vst1q_f32(a + 4, vfmaq_f32(vld1q_f32(a + 4), vcvtq_f32_s32(high), vmulq_n_f32(w_scale[2 * i + 1], x_scale)));
    }
}

INLINE void tile_int8(const struct tile_step *step, enum matrix_kind kind, int n)
{
    const struct matrix *w = step->job->w;
    const struct activations *x = step->job->x;
    const uint8_t *codes = step->data;
    for (int64_t g = 0; g < w->n_groups; g++) {
        const int8_t *q[TOKEN_BLOCK];
        struct dots dots[TOKEN_BLOCK];
        int16_t sum[TOKEN_BLOCK];
        for (int t = 0; t < n; t++) {
            q[t] = x->q + (step->token + t) * x->columns + g * w->group;
            sum[t] = sum_of(q[t], w->group);
            for (int i = 0; i < 4; i++)
                dots[t].rows[i] = vdupq_n_s16(0);
        }
        if (kind == MATRIX_TRITS)
            sum_trits(codes, w->group, q, n, dots);
        else
            sum_bits(codes, w->group, q, n, dots);
        codes += tile_code_bytes(w);

        float32x4_t w_scale[8];
        for (int i = 0; i < 8; i++)
            w_scale[i] = load_halves(codes + 8 * i);
        codes += 2 * TILE_ROWS;
        for (int t = 0; t < n; t++) {
            for (int i = 0; i < 4; i++) {
                // Trits are code - 1, bits 2 * bit - 1.
                int16x8_t *d = &dots[t].rows[i];
                if (kind == MATRIX_BITS) *d = vmulq_n_s16(*d, -2);
                *d = vsubq_s16(*d, vdupq_n_s16(sum[t]));
            }
            accumulate_dots(&dots[t], w_scale, x->scale[(step->token + t) * x->n_scales + g * w->group / 128],
                            step->acc[t]);
        }
    }
}

static void neon_tile_int8(const struct tile_step *step, int64_t n)
{
    neon_tile_of_constants(step, n, tile_int8);
}

// ---- Tiles, F32: the exact path

// A group's codes as floats, -1 .. +2: out[column][row].
static void decode_group(const struct matrix *w, const uint8_t *codes, float (*out)[TILE_ROWS])
{
    int64_t per_byte = tile_chunk_columns(w->kind);
    for (int64_t c = 0; c < w->group; c++) {
        const uint8_t *chunk = codes + c / per_byte * TILE_ROWS;
        int shift = (int)(c % per_byte);
        for (int r = 0; r < TILE_ROWS; r++)
            out[c][r] = w->kind == MATRIX_TRITS ? (float)((chunk[r] >> 2 * shift & 3) - 1)
                                                : (float)(2 * (chunk[r] >> shift & 1) - 1);
    }
}

static void multiply_group_f32(float (*codes)[TILE_ROWS], int64_t columns, const float *x, const float32x4_t w_scale[8],
                               float *acc)
{
    float32x4_t sum[8];
    for (int i = 0; i < 8; i++)
        sum[i] = vdupq_n_f32(0.0f);
    for (int64_t c = 0; c < columns; c++)
        for (int i = 0; i < 8; i++)
            sum[i] = vfmaq_n_f32(sum[i], vld1q_f32(codes[c] + 4 * i), x[c]);
    for (int i = 0; i < 8; i++)
        vst1q_f32(acc + 4 * i, vfmaq_f32(vld1q_f32(acc + 4 * i), sum[i], w_scale[i]));
}

static void tile_f32(const struct tile_step *step, int64_t n)
{
    const struct matrix *w = step->job->w;
    const struct activations *x = step->job->x;
    const uint8_t *codes = step->data;
    for (int64_t g = 0; g < w->n_groups; g++) {
        float decoded[128][TILE_ROWS];
        decode_group(w, codes, decoded);
        codes += tile_code_bytes(w);
        float32x4_t w_scale[8];
        for (int i = 0; i < 8; i++)
            w_scale[i] = load_halves(codes + 8 * i);
        codes += 2 * TILE_ROWS;
        for (int64_t t = 0; t < n; t++)
            multiply_group_f32(decoded, w->group, x->f32 + (step->token + t) * x->columns + g * w->group, w_scale,
                               step->acc[t]);
    }
}

static void multiply_tile(const struct multiply *job, int64_t tile, int64_t token, int64_t n,
                          const struct neon_products *products)
{
    const struct matrix *w = job->w;
    float acc[TOKEN_BLOCK][TILE_ROWS] = {0};
    struct tile_step step = {job, w->data + tile * w->tile_bytes, token, acc};
    if (job->x->form == ACTIVATION_F32)
        tile_f32(&step, n);
    else
        products->tile_int8(&step, n);
    int64_t first = tile * TILE_ROWS, n_rows = min_i64(TILE_ROWS, w->rows - first);
    for (int64_t t = 0; t < n; t++)
        for (int64_t r = 0; r < n_rows; r++)
            job->out[(token + t) * job->out_stride + first + r] = acc[t][r] * w->scale;
}

// ---- Every other dense type: floats

enum { PIECE = 256 }; // columns of a row that are unpacked at once: CODEC_MAX_BLOCK, a multiple of 16

// Columns [column, column + n) of a row as floats.
static void unpack_piece(const struct matrix *w, int64_t row, int64_t column, int64_t n, float *out)
{
    const uint8_t *data = w->data + row * w->row_bytes;
    int64_t i = 0;
    switch (w->type) {
    case DTYPE_F32:
        memcpy(out, data + 4 * column, (size_t)n * sizeof *out);
        return;
    case DTYPE_F16:
        for (; i + LANES <= n; i += LANES)
            vst1q_f32(out + i, load_halves(data + 2 * (column + i)));
        break;
    case DTYPE_BF16:
        for (; i + LANES <= n; i += LANES) {
            uint16x4_t bits;
            memcpy(&bits, data + 2 * (column + i), sizeof bits);
            vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(bits, 16)));
        }
        break;
    default:
        break;
    }
    if (i < n) dense_unpack(w, row, column + i, n - i, out + i);
}

// lane (i mod 16) = fmaf(w_i, x_i, lane).
static void multiply_piece(const float *w, const float *x, int64_t n, float lanes[16])
{
    float32x4_t sum[4];
    for (int k = 0; k < 4; k++)
        sum[k] = vld1q_f32(lanes + 4 * k);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 4; k++)
            sum[k] = vfmaq_f32(sum[k], vld1q_f32(w + i + 4 * k), vld1q_f32(x + i + 4 * k));
    for (int k = 0; k < 4; k++)
        vst1q_f32(lanes + 4 * k, sum[k]);
    for (; i < n; i++)
        lanes[i % 16] = fmaf(w[i], x[i], lanes[i % 16]);
}

static void multiply_row_f32(const struct multiply *job, int64_t row, int64_t token, int64_t n)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    float lanes[TOKEN_BLOCK][16] = {0}, piece[PIECE];
    for (int64_t column = 0; column < w->columns; column += PIECE) {
        int64_t length = min_i64(PIECE, w->columns - column);
        unpack_piece(w, row, column, length, piece);
        for (int64_t t = 0; t < n; t++)
            multiply_piece(piece, x->f32 + (token + t) * x->columns + column, length, lanes[t]);
    }
    for (int64_t t = 0; t < n; t++)
        job->out[(token + t) * job->out_stride + row] = tree16(lanes[t]) * w->scale;
}

int64_t neon_scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens)
{
    if (w->kind != MATRIX_PACKED_TRITS) return 0;
    const struct packed_table table = {false, reference_scratch_bytes, NULL};
    return packed_scratch_bytes(&table, w, n_tiles, n_tokens);
}

void neon_multiply_by(const struct multiply *job, const struct tile_span *span, void *scratch,
                      const struct neon_products *products)
{
    if (job->w->kind == MATRIX_PACKED_TRITS) {
        const struct packed_table table = {false, reference_scratch_bytes, products->multiply};
        packed_multiply(&table, job, span->tile, span->tile_end, span->token, span->token_end, scratch);
        return;
    }
    bool dense = job->w->kind == MATRIX_DENSE;
    for (int64_t i = span->tile; i < span->tile_end; i++) {
        int64_t row_end = min_i64((i + 1) * TILE_ROWS, job->w->rows);
        for (int64_t t = span->token; t < span->token_end; t += TOKEN_BLOCK) {
            int64_t n = min_i64(TOKEN_BLOCK, span->token_end - t);
            if (!dense) multiply_tile(job, i, t, n, products);
            for (int64_t row = i * TILE_ROWS; dense && row < row_end; row++)
                (job->w->form == ACTIVATION_F32 ? multiply_row_f32 : products->row_group32)(job, row, t, n);
        }
    }
}

static void neon_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                          void *scratch)
{
    static const struct neon_products products = {neon_tile_int8, multiply_row_group32, neon_multiply};
    neon_multiply_by(job, &(struct tile_span){tile, tile_end, token, token_end}, scratch, &products);
}

// ---- Elementwise

void neon_rms_norm(const float *x, const float *weight, int64_t n, float eps, float *out)
{
    float lanes[16] = {0};
    multiply_piece(x, x, n, lanes);
    float s = 1.0f / sqrtf(tree16(lanes) / (float)n + eps);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        float32x4_t v = vmulq_n_f32(vld1q_f32(x + i), s);
        vst1q_f32(out + i, weight != NULL ? vmulq_f32(v, vld1q_f32(weight + i)) : v);
    }
    for (; i < n; i++)
        out[i] = weight != NULL ? x[i] * s * weight[i] : x[i] * s;
}

void neon_add(float *x, const float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vst1q_f32(x + i, vaddq_f32(vld1q_f32(x + i), vld1q_f32(y + i)));
    for (; i < n; i++)
        x[i] += y[i];
}

// kernel_expf in each lane.
INLINE float32x4_t exp_lanes(float32x4_t x)
{
    uint32x4_t zero = vcltq_f32(x, vdupq_n_f32(EXP_LOWEST));
    x = vminq_f32(x, vdupq_n_f32(EXP_HIGHEST));
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, EXP_LOG2E));
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(EXP_LN2_HI));
    r = vfmsq_f32(r, n, vdupq_n_f32(EXP_LN2_LO));
    float32x4_t p = vfmaq_f32(vdupq_n_f32(EXP_C5), vdupq_n_f32(EXP_C6), r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C4), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C3), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C2), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    p = vmulq_f32(p, vreinterpretq_f32_s32(exponent));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), zero));
}

void neon_silu_gate(const float *gate, const float *up, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        float32x4_t g = vld1q_f32(gate + i);
        float32x4_t s = vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), exp_lanes(vnegq_f32(g))));
        vst1q_f32(out + i, vmulq_f32(s, vld1q_f32(up + i)));
    }
    reference_silu_gate(gate + i, up + i, n - i, out + i);
}

void neon_relu2_gate(const float *gate, const float *up, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        float32x4_t r = vmaxq_f32(vld1q_f32(gate + i), vdupq_n_f32(0.0f));
        vst1q_f32(out + i, vmulq_f32(vmulq_f32(r, r), vld1q_f32(up + i)));
    }
    reference_relu2_gate(gate + i, up + i, n - i, out + i);
}

// (a, b) -> (fmaf(a, cos, -(b * sin)), fmaf(a, sin, b * cos))
INLINE void rotate(float32x4_t *a, float32x4_t *b, float32x4_t cosine, float32x4_t sine)
{
    float32x4_t first = vfmaq_f32(vnegq_f32(vmulq_f32(*b, sine)), *a, cosine);
    *b = vfmaq_f32(vmulq_f32(*b, cosine), *a, sine);
    *a = first;
}

static void rotate_pair(float *first, float *second, float cosine, float sine)
{
    float a = *first, b = *second;
    *first = fmaf(a, cosine, -(b * sine));
    *second = fmaf(a, sine, b * cosine);
}

static void rope_interleaved(float *head, const float *cosine, const float *sine, int64_t n_pairs)
{
    int64_t i = 0;
    for (; i + LANES <= n_pairs; i += LANES) {
        float32x4x2_t pair = vld2q_f32(head + 2 * i);
        rotate(&pair.val[0], &pair.val[1], vld1q_f32(cosine + i), vld1q_f32(sine + i));
        vst2q_f32(head + 2 * i, pair);
    }
    for (; i < n_pairs; i++)
        rotate_pair(head + 2 * i, head + 2 * i + 1, cosine[i], sine[i]);
}

void neon_rope(float *head, const float *cosine, const float *sine, int64_t n_pairs, bool interleaved)
{
    if (interleaved) {
        rope_interleaved(head, cosine, sine, n_pairs);
        return;
    }
    float *second = head + n_pairs;
    int64_t i = 0;
    for (; i + LANES <= n_pairs; i += LANES) {
        float32x4_t a = vld1q_f32(head + i), b = vld1q_f32(second + i);
        rotate(&a, &b, vld1q_f32(cosine + i), vld1q_f32(sine + i));
        vst1q_f32(head + i, a);
        vst1q_f32(second + i, b);
    }
    for (; i < n_pairs; i++)
        rotate_pair(head + i, second + i, cosine[i], sine[i]);
}

void neon_to_half(const float *x, int64_t n, uint16_t *out)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
    reference_to_half(x + i, n - i, out + i);
}

// ---- Attention: lanes are keys for the scores, elements of a value for the sums

enum { KEY_VECTORS = ATTENTION_BLOCK / LANES, HALF_BLOCK = KEY_VECTORS / 2, QUERY_BLOCK = 2 };

// 4 codes of 8 bits, or the low or high nibbles of 4 bytes, times their scales.
INLINE float32x4_t load_codes(tern_kv_type type, const uint8_t *at, bool high, float32x4_t scale)
{
    uint32_t bits;
    memcpy(&bits, at, sizeof bits);
    int8x8_t q = vcreate_s8(bits);
    if (type == TERN_KV_Q4_0) {
        uint8x8_t nibbles = high ? vshr_n_u8(vcreate_u8(bits), 4) : vand_u8(vcreate_u8(bits), vdup_n_u8(15));
        q = vsub_s8(vreinterpret_s8_u8(nibbles), vdup_n_s8(8));
    }
    return vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(q)))), scale);
}

// Positions j .. j + 3 of one element of the keys, whose codes begin at `at`; j is a multiple of 4.
INLINE float32x4_t load_keys(tern_kv_type type, const uint8_t *at, int j, float32x4_t scale)
{
    if (type == TERN_KV_F16) return load_halves(at + 2 * j);
    if (type == TERN_KV_Q8_0) return load_codes(type, at + j, false, scale);
    return load_codes(type, at + j % 32, j >= 32, scale);
}

// Elements d .. d + 3 of the value whose codes begin at `at`; d is a multiple of 4.
INLINE float32x4_t load_values(tern_kv_type type, const uint8_t *at, int64_t d, float32x4_t scale)
{
    if (type == TERN_KV_F16) return load_halves(at + 2 * d);
    if (type == TERN_KV_Q8_0) return load_codes(type, at + d, false, scale);
    return load_codes(type, at + d / KV_GROUP * 16 + d % 16, d % KV_GROUP >= 16, scale);
}

// Scores of keys [first, first + 32) for n queries; those that a query does not see are of no use.
INLINE void score_half(const struct attention_block *block, tern_kv_type type, const float *const *query, int n,
                       int first, float (*score)[ATTENTION_BLOCK])
{
    float32x4_t s[QUERY_BLOCK][HALF_BLOCK];
    for (int i = 0; i < n; i++)
        for (int v = 0; v < HALF_BLOCK; v++)
            s[i][v] = vdupq_n_f32(0.0f);
    const uint16_t *scales = kv_scales(type, block->head_size, block->keys) + first;
    float32x4_t scale[HALF_BLOCK] = {vdupq_n_f32(0.0f)};
    for (int64_t d = 0; d < block->head_size; d++) {
        const uint8_t *keys = block->keys + d * kv_key_stride(type);
        for (int v = 0; type != TERN_KV_F16 && d % KV_GROUP == 0 && v < HALF_BLOCK; v++)
            scale[v] = load_halves(scales + d / KV_GROUP * ATTENTION_BLOCK + LANES * v);
        for (int v = 0; v < HALF_BLOCK; v++) {
            float32x4_t k = load_keys(type, keys, first + LANES * v, scale[v]);
            for (int i = 0; i < n; i++)
                s[i][v] = vfmaq_n_f32(s[i][v], k, query[i][d]);
        }
    }
    for (int i = 0; i < n; i++)
        for (int v = 0; v < HALF_BLOCK; v++)
            vst1q_f32(score[i] + first + LANES * v, vmulq_n_f32(s[i][v], block->scale));
}

// Turns scores into probabilities, moves max and sum on; returns what the query's sums so far are multiplied by.
static float weigh_scores(const struct attention_block *block, int64_t query, float *score)
{
    int32_t visible = block->visible[query];
    for (int32_t j = visible; j < ATTENTION_BLOCK; j++)
        score[j] = -INFINITY;
    float32x4_t most = vdupq_n_f32(block->max[query]);
    for (int v = 0; v < KEY_VECTORS; v++)
        most = vmaxq_f32(most, vld1q_f32(score + LANES * v));
    float max = vmaxvq_f32(most) + 0.0f; // -0 becomes +0
    float32x4_t lanes[4];
    for (int i = 0; i < 4; i++)
        lanes[i] = vdupq_n_f32(0.0f);
    for (int v = 0; v < KEY_VECTORS; v++) {
        float32x4_t p = exp_lanes(vsubq_f32(vld1q_f32(score + LANES * v), vdupq_n_f32(max)));
        lanes[v % 4] = vaddq_f32(lanes[v % 4], p); // keys not visible add +0
        vst1q_f32(score + LANES * v, p);
    }
    float correction = kernel_expf(block->max[query] - max);
    block->sum[query] = fmaf(block->sum[query], correction, tree16_of(lanes));
    block->max[query] = max;
    return correction;
}

// Elements [d, d + 4 * n_vectors) of the sums of one query, which lie in one group of 32.
INLINE void sum_values(const struct attention_block *block, tern_kv_type type, int64_t query, const float *p,
                       float correction, int64_t d, int n_vectors)
{
    const uint16_t *scales = kv_scales(type, block->head_size, block->values);
    float *acc = block->acc[query] + d;
    float32x4_t sum[8];
    for (int v = 0; v < n_vectors; v++)
        sum[v] = vmulq_n_f32(vld1q_f32(acc + LANES * v), correction);
    for (int32_t j = 0; j < block->visible[query]; j++) {
        const uint8_t *values = block->values + j * kv_value_stride(type, block->head_size);
        float32x4_t scale = vdupq_n_f32(0.0f);
        if (type != TERN_KV_F16)
            scale = vdupq_n_f32(half_to_float(scales[j * kv_groups(block->head_size) + d / KV_GROUP]));
        for (int v = 0; v < n_vectors; v++)
            sum[v] = vfmaq_n_f32(sum[v], load_values(type, values, d + LANES * v, scale), p[j]);
    }
    for (int v = 0; v < n_vectors; v++)
        vst1q_f32(acc + LANES * v, sum[v]);
}

INLINE void attend_values(const struct attention_block *block, tern_kv_type type, int64_t query, const float *p,
                          float correction)
{
    int64_t d = 0;
    for (; d + 32 <= block->head_size; d += 32)
        sum_values(block, type, query, p, correction, d, 8);
    for (; d + LANES <= block->head_size; d += LANES)
        sum_values(block, type, query, p, correction, d, 1);
    for (; d < block->head_size; d++) {
        float sum = block->acc[query][d] * correction;
        for (int32_t j = 0; j < block->visible[query]; j++)
            sum = fmaf(p[j], kv_value(type, block->head_size, block->values, j, d), sum);
        block->acc[query][d] = sum;
    }
}

INLINE void attend_type(const struct attention_block *block, tern_kv_type type)
{
    for (int64_t i = 0; i < block->n_queries; i += QUERY_BLOCK) {
        float score[QUERY_BLOCK][ATTENTION_BLOCK];
        int64_t n = min_i64(QUERY_BLOCK, block->n_queries - i);
        for (int first = 0; first < ATTENTION_BLOCK; first += ATTENTION_BLOCK / 2) {
            if (n == QUERY_BLOCK)
                score_half(block, type, block->query + i, QUERY_BLOCK, first, score);
            else
                score_half(block, type, block->query + i, 1, first, score);
        }
        for (int64_t k = 0; k < n; k++)
            if (block->visible[i + k] > 0)
                attend_values(block, type, i + k, score[k], weigh_scores(block, i + k, score[k]));
    }
}

void neon_attend(const struct attention_block *block, void *scratch)
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

const struct kernels kernel_neon = {
    .name = "neon",
    .multiply = neon_multiply,
    NEON_COMMON,
};
