// Products with trit tiles by VPDPBUSD in vectors of 256 bits.
//
// Two levels of unpacking turn four chunks of a tile into four vectors whose 32-bit lanes hold the four bytes of one
// row; a shift and a mask leave one code in each byte, and one VPDPBUSD multiplies four columns of 8 rows by four
// activations that a broadcast brings. So the activations are rearranged once: the four that belong to the same bits of
// four neighbouring chunks stand together. Codes are 0 .. 3; a group's sum starts from -(sum of activations), which
// makes them -1 .. 2.
#ifndef KERNEL_X86_AVXVNNI_TILES_H
#define KERNEL_X86_AVXVNNI_TILES_H

#include "kernel/x86/avx2.h"
#include "kernel/x86/avx2_vector.h"

enum {
    ROW_VECTORS = TILE_ROWS / 8,
    STEP_CHUNKS = 4,  // chunks that one unpacking takes
    BATCH_TOKENS = 5, // most tokens at a time
    MAX_SUMS = 10,    // BATCH_TOKENS times half of the vectors: what registers hold beside codes and activations
};

// ---- Activations, rearranged

// A token's table: q[columns], rearranged, then -(sum of a group's activations) for each group, int32.
static int64_t dots_bytes(const struct matrix *w)
{
    return round_up(w->columns + w->n_groups * (int64_t)sizeof(int32_t));
}

// Of 16 columns each, byte 4c + k becomes byte 4k + c.
static void dots_build(const struct matrix *w, const int8_t *q, uint8_t *table)
{
    const __m256i fours =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    int32_t *offset = (int32_t *)(void *)(table + w->columns);
    for (int64_t g = 0; g < w->n_groups; g++) {
        __m256i sum = _mm256_setzero_si256();
        for (int64_t c = g * w->group; c < (g + 1) * w->group; c += 32) {
            __m256i x = load_256(q + c);
            sum = add_dots(sum, _mm256_set1_epi8(1), x);
            store_256(table + c, _mm256_shuffle_epi8(x, fours));
        }
        offset[g] = -sum_lanes(sum);
    }
}

// ---- Codes

// Vectors first .. first + n - 1 of the four that four chunks make, n = 2 or 4. Vector v holds rows 4v .. 4v + 3 and
// 16 + 4v .. 16 + 4v + 3.
SPECIALISE void unpack_chunks(const uint8_t *codes, int first, int n, __m256i v[ROW_VECTORS])
{
    __m256i chunk[STEP_CHUNKS];
    foreach (c, STEP_CHUNKS)
        chunk[c] = load_256(codes + c * TILE_PIECE);
    foreach (i, n / 2) {
        const bool low = first + 2 * i == 0;
        __m256i even = low ? _mm256_unpacklo_epi8(chunk[0], chunk[1]) : _mm256_unpackhi_epi8(chunk[0], chunk[1]);
        __m256i odd = low ? _mm256_unpacklo_epi8(chunk[2], chunk[3]) : _mm256_unpackhi_epi8(chunk[2], chunk[3]);
        v[2 * i] = _mm256_unpacklo_epi16(even, odd);
        v[2 * i + 1] = _mm256_unpackhi_epi16(even, odd);
    }
}

// The code at position k of each byte; with `apart` four times as much at odd positions, which saves every other shift.
SPECIALISE __m256i code_at(__m256i bytes, int k, bool apart)
{
    const int shift = apart ? k / 2 * 4 : 2 * k;
    if (shift != 0) bytes = _mm256_srli_epi32(bytes, shift);
    return _mm256_and_si256(bytes, _mm256_set1_epi8(apart && k % 2 == 1 ? 12 : 3));
}

// Scales of vector v's rows.
SPECIALISE __m256 load_scales(const uint8_t *scales, int v)
{
    __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)(scales + 8 * v));
    __m128i high = _mm_loadl_epi64((const __m128i *)(const void *)(scales + TILE_ROWS + 8 * v));
    return _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high));
}

SPECIALISE __m256i broadcast_four(const void *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

// ---- One tile

// Asks for what lies further on, in this tile or the next.
SPECIALISE void prefetch_step(const uint8_t *codes)
{
    _mm_prefetch((const char *)(codes + PREFETCH_BYTES), _MM_HINT_T0);
    _mm_prefetch((const char *)(codes + PREFETCH_BYTES + 64), _MM_HINT_T0);
}

// How tokens go at a time. Sums must be so few that they fit registers, and so many (eight) that additions to one need
// not wait for each other: so few tokens take more rows, or have sums apart for odd positions.
struct batch {
    int n;       // tokens
    int vectors; // of the tile's four
    bool apart;
};

// One group of a tile, and the first token's part of it.
struct dots_group {
    const uint8_t *codes, *scales, *q, *offset;
    const float *x_scale;
    int64_t stride, x_scale_stride; // from one token to the next
};

// Vectors `first` and so on times a batch of tokens: dot[token][vector].
SPECIALISE void multiply_group(const struct dots_group *group, struct batch batch, int first, __m256i dot[MAX_SUMS])
{
    const int count = batch.n * batch.vectors;
    const uint8_t *q = group->q;
    __m256i odd[MAX_SUMS];
    foreach (i, count) {
        dot[i] = broadcast_four(group->offset + i / batch.vectors * group->stride);
        odd[i] = _mm256_setzero_si256();
    }
    for (const uint8_t *codes = group->codes; codes < group->scales; codes += STEP_CHUNKS * TILE_PIECE, q += 16) {
        __m256i bytes[ROW_VECTORS];
        if (first == 0) prefetch_step(codes);
        unpack_chunks(codes, first, batch.vectors, bytes);
        foreach (k, 4)
            foreach (i, count) {
                __m256i *sum = batch.apart && k % 2 == 1 ? &odd[i] : &dot[i];
                *sum = add_dots(*sum, code_at(bytes[i % batch.vectors], k, batch.apart),
                                broadcast_four(q + 4 * k + i / batch.vectors * group->stride));
            }
    }
    foreach (i, count)
        if (batch.apart) dot[i] = _mm256_add_epi32(dot[i], _mm256_srai_epi32(odd[i], 2));
}

// acc = fmaf((float)dot, w_scale * x_scale, acc).
SPECIALISE void accumulate_group(const struct dots_group *group, struct batch batch, int first,
                                 const __m256i dot[MAX_SUMS], __m256 (*acc)[ROW_VECTORS])
{
    foreach (i, batch.n * batch.vectors) {
        const int t = i / batch.vectors, v = i % batch.vectors;
        const __m256 x_scale = _mm256_set1_ps(group->x_scale[t * group->x_scale_stride]);
        const __m256 scale = _mm256_mul_ps(load_scales(group->scales, first + v), x_scale);
        acc[t][first + v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[i]), scale, acc[t][first + v]);
    }
}

// Writes 32 rows' results for one token; the last tile may have fewer rows.
static void store_tile(const struct multiply *job, int64_t tile, int64_t token, const __m256 acc[ROW_VECTORS])
{
    const __m256 scale = _mm256_set1_ps(job->w->scale);
    const int64_t first = tile * TILE_ROWS, n = min_i64(TILE_ROWS, job->w->rows - first);
    float rows[TILE_ROWS];
    for (int v = 0; v < ROW_VECTORS; v++) {
        __m256 scaled = _mm256_mul_ps(acc[v], scale);
        _mm_storeu_ps(rows + 4 * v, _mm256_castps256_ps128(scaled));
        _mm_storeu_ps(rows + TILE_ROWS / 2 + 4 * v, _mm256_extractf128_ps(scaled, 1));
    }
    memcpy(job->out + token * job->out_stride + first, rows, (size_t)n * sizeof(float));
}

SPECIALISE void multiply_tile(const struct multiply *job, int64_t tile, int64_t token, struct batch batch)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const uint8_t *table = x->table + token * x->table_bytes;
    const int64_t code_bytes = tile_code_bytes(w);
    struct dots_group group = {
        .codes = w->data + tile * w->tile_bytes, .stride = x->table_bytes, .x_scale_stride = x->n_scales};
    __m256 acc[BATCH_TOKENS][ROW_VECTORS];
    for (int i = 0; i < batch.n * ROW_VECTORS; i++)
        acc[i / ROW_VECTORS][i % ROW_VECTORS] = _mm256_setzero_ps();
    for (int64_t g = 0; g < w->n_groups; g++) {
        group.scales = group.codes + code_bytes;
        group.q = table + g * w->group;
        group.offset = table + w->columns + g * (int64_t)sizeof(int32_t);
        group.x_scale = x->scale + token * x->n_scales + g * w->group / 128;
        for (int first = 0; first < ROW_VECTORS; first += batch.vectors) {
            __m256i dot[MAX_SUMS];
            multiply_group(&group, batch, first, dot);
            accumulate_group(&group, batch, first, dot, acc);
        }
        group.codes = group.scales + 2 * TILE_PIECE;
    }
    for (int t = 0; t < batch.n; t++)
        store_tile(job, tile, token + t, acc[t]);
}

// n <= BATCH_TOKENS tokens.
static void multiply_batch(const struct multiply *job, int64_t tile, int64_t token, int64_t n)
{
    switch (n) {
    case 1:
        multiply_tile(job, tile, token, (struct batch){1, 4, true});
        break;
    case 2:
        multiply_tile(job, tile, token, (struct batch){2, 2, true});
        break;
    case 3:
        multiply_tile(job, tile, token, (struct batch){3, 2, false});
        break;
    case 4:
        multiply_tile(job, tile, token, (struct batch){4, 2, false});
        break;
    default:
        multiply_tile(job, tile, token, (struct batch){BATCH_TOKENS, 2, false});
    }
}

static void dots_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end)
{
    for (; tile < tile_end; tile++)
        for (int64_t t = token; t < token_end; t += BATCH_TOKENS)
            multiply_batch(job, tile, t, min_i64(BATCH_TOKENS, token_end - t));
}

#endif
