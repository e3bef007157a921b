// Products with trit and bit tiles in AVX-512 VNNI.
//
// Two tiles go side by side: a vector holds one chunk of both, rows as lanes. Two levels of unpacking turn four chunks
// into four vectors whose 32-bit lanes hold the four bytes of one row; a shift and a mask leave one code in each byte,
// and one VPDPBUSD multiplies four columns of 16 rows by four activations that a broadcast brings. So the activations
// are rearranged once: the four that belong to the same bits of four neighbouring chunks stand together. Codes are not
// negative (trits 0 .. 3, bits 0 or 2); a group's sum starts from -(sum of activations), which makes them -1 .. 2 and
// -1 or 1.
#ifndef KERNEL_X86_AVX512_TILES_H
#define KERNEL_X86_AVX512_TILES_H

#include "kernel/x86/avx512_vector.h"

enum {
    LINE = 2 * TILE_PIECE, // a pair of pieces
    PAIR_ROWS = 2 * TILE_ROWS,
    ROW_VECTORS = PAIR_ROWS / 16,
    STEP_CHUNKS = 4,  // chunks that one unpacking takes
    BATCH_TOKENS = 6, // tokens whose sums stay in registers: 6 * ROW_VECTORS of the 32
};

// ---- Activations, rearranged

// A token's table: q[columns], rearranged, then -(sum of a group's activations) for each group, int32.
static int64_t dots_bytes(const struct matrix *w)
{
    return round_up(w->columns + w->n_groups * (int64_t)sizeof(int32_t));
}

// Of scratch: sums of the pair of tiles that is being multiplied, [n_tokens][ROW_VECTORS].
static int64_t tiles_scratch_bytes(const struct matrix *w, int64_t n_tokens)
{
    return w->form == ACTIVATION_F32 ? 0 : n_tokens * ROW_VECTORS * (int64_t)sizeof(__m512);
}

// 64 activations: trits, byte 4k + c of 16 becomes byte 4c + k's; bits, byte 8c + k of 32 goes to 4k + c.
SPECIALISE __m512i rearrange(enum matrix_kind kind, __m512i q)
{
    if (kind == MATRIX_TRITS) {
        const __m128i fours = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        return _mm512_shuffle_epi8(q, _mm512_broadcast_i32x4(fours));
    }
    const __m128i pairs = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    const __m512i words = _mm512_set_epi16(31, 23, 30, 22, 29, 21, 28, 20, 27, 19, 26, 18, 25, 17, 24, 16, 15, 7, 14, 6,
                                           13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
    return _mm512_permutexvar_epi16(words, _mm512_shuffle_epi8(q, _mm512_broadcast_i32x4(pairs)));
}

SPECIALISE void dots_build_kind(const struct matrix *w, enum matrix_kind kind, const int8_t *q, uint8_t *table)
{
    int32_t *offset = (int32_t *)(void *)(table + w->columns);
    for (int64_t g = 0; g < w->n_groups; g++) {
        __m512i sum = _mm512_setzero_si512();
        for (int64_t c = g * w->group; c < (g + 1) * w->group; c += 64) {
            __m512i x = _mm512_loadu_si512(q + c);
            sum = add_dots(sum, _mm512_set1_epi8(1), x);
            _mm512_storeu_si512(table + c, rearrange(kind, x));
        }
        offset[g] = -_mm512_reduce_add_epi32(sum);
    }
}

static void dots_build(const struct matrix *w, const int8_t *q, uint8_t *table)
{
    if (w->kind == MATRIX_BITS)
        dots_build_kind(w, MATRIX_BITS, q, table);
    else
        dots_build_kind(w, MATRIX_TRITS, q, table);
}

// ---- Reading ahead
//
// Tiles are read faster than a processor's own prefetchers follow, and 30 GB/s at a latency of 250 ns are 8 KiB on
// their way; so each group asks for what lies AHEAD_BYTES further, in this pair or in the next.

enum { AHEAD_BYTES = 11264 };

// n lines.
SPECIALISE void prefetch_lines(const uint8_t *p, int n)
{
    UNROLL()
    for (int i = 0; i < n; i++)
        _mm_prefetch((const char *)p + LINE * i, _MM_HINT_NTA);
}

// What nothing has asked for when the first pair's turn comes.
static void tiles_read_ahead(const struct matrix *w, int64_t tile)
{
    if (w->kind == MATRIX_DENSE) return;
    const uint8_t *first = w->data + tile_offset(w, tile);
    for (int64_t i = 0; i < min_i64(AHEAD_BYTES, 2 * w->tile_bytes); i += LINE)
        prefetch_lines(first + i, 1);
}

// ---- Codes

// Four chunks of a pair of tiles as four vectors, a row's four bytes in each 32-bit lane: vector v holds rows 4v ..
// 4v + 3 and 16 + 4v .. 16 + 4v + 3 of the first tile, then the same of the second.
SPECIALISE void unpack_chunks(const uint8_t *codes, __m512i v[ROW_VECTORS])
{
    __m512i chunk[STEP_CHUNKS];
    UNROLL()
    for (int c = 0; c < STEP_CHUNKS; c++)
        chunk[c] = _mm512_loadu_si512(codes + c * LINE);
    __m512i low01 = _mm512_unpacklo_epi8(chunk[0], chunk[1]), high01 = _mm512_unpackhi_epi8(chunk[0], chunk[1]);
    __m512i low23 = _mm512_unpacklo_epi8(chunk[2], chunk[3]), high23 = _mm512_unpackhi_epi8(chunk[2], chunk[3]);
    v[0] = _mm512_unpacklo_epi16(low01, low23);
    v[1] = _mm512_unpackhi_epi16(low01, low23);
    v[2] = _mm512_unpacklo_epi16(high01, high23);
    v[3] = _mm512_unpackhi_epi16(high01, high23);
}

// The code at position k of each byte.
SPECIALISE __m512i code_at(enum matrix_kind kind, __m512i bytes, int k)
{
    if (kind == MATRIX_TRITS)
        return _mm512_and_si512(k == 0 ? bytes : _mm512_srli_epi32(bytes, (unsigned)(2 * k)), _mm512_set1_epi8(3));
    __m512i moved = k == 0 ? _mm512_add_epi8(bytes, bytes) : _mm512_srli_epi32(bytes, (unsigned)(k - 1));
    return _mm512_and_si512(moved, _mm512_set1_epi8(2));
}

// Halves of 64 rows in the order of unpack_chunks.
SPECIALISE void load_scales(const uint8_t *p, __m512 scale[ROW_VECTORS])
{
    const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + LINE);
    const __m512i low = _mm512_setr_epi64(0, 8, 4, 12, 1, 9, 5, 13),
                  high = _mm512_setr_epi64(2, 10, 6, 14, 3, 11, 7, 15);
    const __m512i ordered[2] = {_mm512_permutex2var_epi64(a, low, b), _mm512_permutex2var_epi64(a, high, b)};
    UNROLL()
    for (int i = 0; i < 2; i++) {
        scale[2 * i] = _mm512_cvtph_ps(_mm512_castsi512_si256(ordered[i]));
        scale[2 * i + 1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(ordered[i], 1));
    }
}

SPECIALISE __m512i broadcast_four(const void *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

// ---- One pair of tiles

struct tile_pair {
    const struct multiply *job;
    const uint8_t *data;
    __m512 *sum;   // [n_tokens][ROW_VECTORS]
    int64_t token; // the job's, to which sum's first belongs
};

// For n tokens from t on: sum = fmaf((float)dot, w_scale * x_scale, sum).
SPECIALISE void accumulate_group(const struct tile_pair *pair, int64_t group, int64_t t, int n,
                                 const __m512 w_scale[ROW_VECTORS], const __m512i *dot)
{
    const struct activations *x = pair->job->x;
    const int64_t stride = x->n_scales;
    const float *x_scale = x->scale + (pair->token + t) * stride + group * pair->job->w->group / 128;
    __m512 *sum = pair->sum + t * ROW_VECTORS;
    UNROLL()
    for (int i = 0; i < n * ROW_VECTORS; i++) {
        const __m512 scale = _mm512_mul_ps(w_scale[i % ROW_VECTORS], _mm512_set1_ps(x_scale[i / ROW_VECTORS * stride]));
        sum[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]), scale, sum[i]);
    }
}

// One group times tokens [t, t + n), codes going from the tiles straight into the products; reads ahead if asked to.
SPECIALISE void multiply_group(const struct tile_pair *pair, enum matrix_kind kind, int64_t group, int64_t t, int n,
                               bool reads_ahead)
{
    const struct matrix *w = pair->job->w;
    const int positions = kind == MATRIX_TRITS ? 4 : 8;
    const int64_t stride = pair->job->x->table_bytes;
    const uint8_t *codes = pair->data + group * tile_group_bytes(w), *scales = codes + tile_code_bytes(w);
    const uint8_t *table = pair->job->x->table + (pair->token + t) * stride, *q = table + group * w->group;
    const uint8_t *offset = table + w->columns + group * (int64_t)sizeof(int32_t);
    __m512i dot[BATCH_TOKENS * ROW_VECTORS];
    UNROLL()
    for (int i = 0; i < n * ROW_VECTORS; i++)
        dot[i] = broadcast_four(offset + i / ROW_VECTORS * stride);
    for (; codes < scales; codes += STEP_CHUNKS * LINE) {
        __m512i bytes[ROW_VECTORS];
        if (reads_ahead) prefetch_lines(codes + AHEAD_BYTES, STEP_CHUNKS);
        unpack_chunks(codes, bytes);
        UNROLL()
        for (int k = 0; k < positions; k++, q += 4) {
            UNROLL()
            for (int i = 0; i < n * ROW_VECTORS; i++)
                dot[i] = add_dots(dot[i], code_at(kind, bytes[i % ROW_VECTORS], k),
                                  broadcast_four(q + i / ROW_VECTORS * stride));
        }
    }
    if (reads_ahead) prefetch_lines(scales + AHEAD_BYTES, 2);
    __m512 w_scale[ROW_VECTORS];
    load_scales(scales, w_scale);
    accumulate_group(pair, group, t, n, w_scale, dot);
}

// n <= BATCH_TOKENS tokens.
SPECIALISE void multiply_pair_by_few(const struct tile_pair *pair, enum matrix_kind kind, int n)
{
    for (int64_t g = 0; g < pair->job->w->n_groups; g++)
        multiply_group(pair, kind, g, 0, n, true);
}

// One group times tokens [t, t + n) of a batch: more than BATCH_TOKENS make none smaller than 3.
SPECIALISE void multiply_group_batch(const struct tile_pair *pair, enum matrix_kind kind, int64_t group, int64_t t,
                                     int64_t n, bool reads_ahead)
{
    switch (n) {
    case 3:
        multiply_group(pair, kind, group, t, 3, reads_ahead);
        break;
    case 4:
        multiply_group(pair, kind, group, t, 4, reads_ahead);
        break;
    case 5:
        multiply_group(pair, kind, group, t, 5, reads_ahead);
        break;
    default:
        multiply_group(pair, kind, group, t, BATCH_TOKENS, reads_ahead);
    }
}

// More tokens: each group is multiplied by batches of tokens of nearly equal size, of which the first reads ahead. To
// unpack it again for each batch is as fast as to keep its codes: shifts and masks go beside the products.
SPECIALISE void multiply_pair_by_many(const struct tile_pair *pair, enum matrix_kind kind, int64_t n)
{
    const struct matrix *w = pair->job->w;
    const int64_t batches = (n + BATCH_TOKENS - 1) / BATCH_TOKENS, size = n / batches;
    const int64_t larger = n % batches * (size + 1); // tokens in batches of one more
    for (int64_t g = 0; g < w->n_groups; g++) {
        int64_t t = 0;
        for (; t < larger; t += size + 1)
            multiply_group_batch(pair, kind, g, t, size + 1, t == 0);
        for (; t < n; t += size)
            multiply_group_batch(pair, kind, g, t, size, t == 0);
    }
}

SPECIALISE void multiply_pair_of(const struct tile_pair *pair, enum matrix_kind kind, int64_t n)
{
    switch (n) {
    case 1:
        multiply_pair_by_few(pair, kind, 1);
        break;
    case 2:
        multiply_pair_by_few(pair, kind, 2);
        break;
    case 3:
        multiply_pair_by_few(pair, kind, 3);
        break;
    case 4:
        multiply_pair_by_few(pair, kind, 4);
        break;
    case 5:
        multiply_pair_by_few(pair, kind, 5);
        break;
    case BATCH_TOKENS:
        multiply_pair_by_few(pair, kind, BATCH_TOKENS);
        break;
    default:
        multiply_pair_by_many(pair, kind, n);
    }
}

static void multiply_pair(const struct tile_pair *pair, int64_t n)
{
    for (int64_t i = 0; i < n * ROW_VECTORS; i++)
        pair->sum[i] = _mm512_setzero_ps();
    if (pair->job->w->kind == MATRIX_TRITS)
        multiply_pair_of(pair, MATRIX_TRITS, n);
    else
        multiply_pair_of(pair, MATRIX_BITS, n);
}

// Quarter q of vector v becomes quarter v of vector q.
SPECIALISE void transpose_quarters(__m512 v[4])
{
    const __m512 low01 = _mm512_shuffle_f32x4(v[0], v[1], 0x44), high01 = _mm512_shuffle_f32x4(v[0], v[1], 0xee);
    const __m512 low23 = _mm512_shuffle_f32x4(v[2], v[3], 0x44), high23 = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
    v[0] = _mm512_shuffle_f32x4(low01, low23, 0x88);
    v[1] = _mm512_shuffle_f32x4(low01, low23, 0xdd);
    v[2] = _mm512_shuffle_f32x4(high01, high23, 0x88);
    v[3] = _mm512_shuffle_f32x4(high01, high23, 0xdd);
}

// Writes a pair's rows for one token, times the matrix's scale.
SPECIALISE void store_rows(const struct multiply *job, int64_t tile, int64_t n_tiles, int64_t token,
                           const __m512 rows[ROW_VECTORS])
{
    const int64_t first = tile * TILE_ROWS, n_rows = min_i64(n_tiles * TILE_ROWS, job->w->rows - first);
    float *out = job->out + token * job->out_stride + first;
    for (int v = 0; 16 * v < n_rows; v++)
        _mm512_mask_storeu_ps(out + 16 * v, first_lanes(n_rows - 16 * v),
                              _mm512_mul_ps(rows[v], _mm512_set1_ps(job->w->scale)));
}

// Rows of a pair's sums back in their order.
static void store_pair(const struct tile_pair *pair, int64_t tile, int64_t n_tiles, int64_t n_tokens)
{
    for (int64_t t = 0; t < n_tokens; t++) {
        __m512 *rows = pair->sum + t * ROW_VECTORS;
        transpose_quarters(rows);
        store_rows(pair->job, tile, n_tiles, pair->token + t, rows);
    }
}

static void dots_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                          void *scratch)
{
    const struct matrix *w = job->w;
    const int64_t n = token_end - token;
    for (int64_t i = tile; i < tile_end; i += 2) {
        int64_t n_tiles = min_i64(2, tile_end - i);
        struct tile_pair pair = {job, w->data + tile_offset(w, i), scratch, token};
        multiply_pair(&pair, n);
        store_pair(&pair, i, n_tiles, n);
    }
}

// ---- F32: the exact path

enum { EXACT_TOKENS = 8, TILE_VECTORS = TILE_ROWS / 16 };

// Sums over one group for n tokens. A permutation by the low four bits of each lane looks a code's weight up; the bits
// above the code do not matter.
SPECIALISE void exact_group(const struct matrix *w, enum matrix_kind kind, const uint8_t *codes, const float *x,
                            int64_t stride, int n, __m512 (*sum)[TILE_VECTORS])
{
    const int positions = kind == MATRIX_TRITS ? 4 : 8, width = kind == MATRIX_TRITS ? 2 : 1;
    const __m512 weights = kind == MATRIX_TRITS
                               ? _mm512_setr_ps(-1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2)
                               : _mm512_setr_ps(-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1);
    for (int64_t c = 0; c < w->group; c += positions, codes += LINE) {
        __m512i bytes[TILE_VECTORS];
        UNROLL()
        for (int v = 0; v < TILE_VECTORS; v++)
            bytes[v] = _mm512_cvtepu8_epi32(load_128(codes + 16 * v));
        UNROLL()
        for (int k = 0; k < positions; k++)
            UNROLL()
        for (int v = 0; v < TILE_VECTORS; v++) {
            __m512 weight = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes[v], (unsigned)(width * k)), weights);
            UNROLL()
            for (int t = 0; t < n; t++)
                sum[t][v] = _mm512_fmadd_ps(weight, _mm512_set1_ps(x[t * stride + c + k]), sum[t][v]);
        }
    }
}

SPECIALISE void exact_tile(const struct multiply *job, enum matrix_kind kind, int64_t tile, int64_t token, int n)
{
    const struct matrix *w = job->w;
    const uint8_t *codes = w->data + tile_offset(w, tile);
    const float *x = job->x->f32 + token * w->columns;
    __m512 acc[EXACT_TOKENS][TILE_VECTORS], sum[EXACT_TOKENS][TILE_VECTORS];
    for (int t = 0; t < n; t++)
        acc[t][0] = acc[t][1] = _mm512_setzero_ps();
    for (int64_t g = 0; g < w->n_groups; g++, x += w->group) {
        UNROLL()
        for (int t = 0; t < n; t++)
            sum[t][0] = sum[t][1] = _mm512_setzero_ps();
        exact_group(w, kind, codes, x, w->columns, n, sum);
        codes += tile_code_bytes(w);
        UNROLL()
        for (int t = 0; t < n; t++)
            UNROLL()
        for (int v = 0; v < TILE_VECTORS; v++)
            acc[t][v] = _mm512_fmadd_ps(sum[t][v], load_halves(codes + LINE * v), acc[t][v]);
        codes += 2 * LINE;
    }
    int64_t first = tile * TILE_ROWS, n_rows = w->rows - first;
    for (int t = 0; t < n; t++)
        for (int v = 0; v < TILE_VECTORS && 16 * v < n_rows; v++)
            _mm512_mask_storeu_ps(job->out + (token + t) * job->out_stride + first + 16 * v,
                                  first_lanes(n_rows - 16 * v), _mm512_mul_ps(acc[t][v], _mm512_set1_ps(w->scale)));
}

SPECIALISE void exact_tiles(const struct multiply *job, enum matrix_kind kind, int64_t tile, int64_t tile_end,
                            int64_t token, int64_t token_end)
{
    for (int64_t i = tile; i < tile_end; i++) {
        int64_t t = token;
        for (; t + EXACT_TOKENS <= token_end; t += EXACT_TOKENS)
            exact_tile(job, kind, i, t, EXACT_TOKENS);
        for (; t < token_end; t++)
            exact_tile(job, kind, i, t, 1);
    }
}

static void exact_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end)
{
    if (job->w->kind == MATRIX_TRITS)
        exact_tiles(job, MATRIX_TRITS, tile, tile_end, token, token_end);
    else
        exact_tiles(job, MATRIX_BITS, tile, tile_end, token, token_end);
}

#endif
