// Products with dense tiles in AVX-512 VBMI and VNNI.
//
// A vector holds four packed bytes of 16 rows, a row in each 32-bit lane. Two lookups in tables of 128 bytes give the
// fifth code of each byte and its other four, as two-bit fields; where bit 7 says so these are 2 minus what was found.
// A shift and a mask leave one code in each byte, and one VPDPBUSD multiplies four columns of 16 rows by four
// activations that a broadcast brings, rearranged so that those of one field of four neighbouring bytes stand together.
// A group's sum starts from -(sum of activations), which makes codes 0 .. 2 weights -1 .. 1.
#include "kernel/x86/avx512_packed.h"

#include "kernel/packed_byte.h"
#include "kernel/x86/avx512_vector.h"

enum {
    ROW_VECTORS = TILE_ROWS / 16,
    FIELDS = 4,          // codes of a packed byte besides the fifth
    BATCH_TOKENS = 6,    // tokens that take a tile's codes together
    AHEAD_BYTES = 11264, // from the byte in use to the one that is asked for
    LINE = 64,
    REST_BYTES = PACKED_QUADS * PACKED_QUAD_BYTES, // where packed bytes 24 and 25 of all rows begin
    REST_COLUMNS = 4 * PACKED_FIFTHS,              // and their activations
};

bool avx512_packed_runs(void)
{
    return __builtin_cpu_supports("avx512vbmi") != 0;
}

// ---- Codes

// By the seven low bits of a packed byte: its fifth code, and its other four if bit 7 is 0. Numbers that no byte has
// are taken modulo 3.
#define BASE3_FIELDS(n) ((n) % 3 | (n) / 3 % 3 << 2 | (n) / 9 % 3 << 4 | (n) / 27 % 3 << 6)
#define FOUR(i)         BASE3_FIELDS(40 + (i) % 41)
#define FIFTH(i)        ((i) / 41 % 3)
#define BY_4(of, i)     of(i), of((i) + 1), of((i) + 2), of((i) + 3)
#define BY_16(of, i)    BY_4(of, i), BY_4(of, (i) + 4), BY_4(of, (i) + 8), BY_4(of, (i) + 12)
#define BY_64(of, i)    BY_16(of, i), BY_16(of, (i) + 16), BY_16(of, (i) + 32), BY_16(of, (i) + 48)
static const uint8_t fours[128] = {BY_64(FOUR, 0), BY_64(FOUR, 64)};
static const uint8_t fifths[128] = {BY_64(FIFTH, 0), BY_64(FIFTH, 64)};

struct code_tables {
    __m512i four[2], fifth[2];
};

SPECIALISE struct code_tables load_tables(void)
{
    return (struct code_tables){{_mm512_loadu_si512(fours), _mm512_loadu_si512(fours + 64)},
                                {_mm512_loadu_si512(fifths), _mm512_loadu_si512(fifths + 64)}};
}

SPECIALISE __m512i four_codes(const struct code_tables *tables, __m512i bytes)
{
    const __m512i found = _mm512_permutex2var_epi8(tables->four[0], bytes, tables->four[1]);
    return _mm512_mask_sub_epi8(found, _mm512_movepi8_mask(bytes), _mm512_set1_epi8((char)0xaa), found);
}

SPECIALISE __m512i fifth_codes(const struct code_tables *tables, __m512i bytes)
{
    return _mm512_permutex2var_epi8(tables->fifth[0], bytes, tables->fifth[1]);
}

// ---- Activations, rearranged

// A group: for each quad 16 bytes, byte 4k + i of them activation 4i + k of the quad's 16; then of packed bytes 24 and
// 25 (a, b) four times a, b, 0, 0 and four times 0, 0, a, b, for the rows that share a lane of the last vector.
SPECIALISE void arrange_group(const int8_t *q, int8_t *out)
{
    const __m128i fours_of_16 = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m128i low = _mm_setr_epi8(0, 4, -1, -1, 1, 5, -1, -1, 2, 6, -1, -1, 3, 7, -1, -1);
    const __m128i high = _mm_setr_epi8(-1, -1, 0, 4, -1, -1, 1, 5, -1, -1, 2, 6, -1, -1, 3, 7);
    for (int64_t i = 0; i < REST_COLUMNS; i += 16)
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm_shuffle_epi8(load_128(q + i), fours_of_16));
    const __m128i rest = load_128(q + REST_COLUMNS);
    _mm_storeu_si128((__m128i *)(void *)(out + REST_COLUMNS), _mm_shuffle_epi8(rest, low));
    _mm_storeu_si128((__m128i *)(void *)(out + REST_COLUMNS + 16), _mm_shuffle_epi8(rest, high));
}

// A token's table: [n_groups][128], rearranged, then -(sum of a group's activations) for each group, int32.
void avx512_packed_build(const struct matrix *w, const int8_t *q, uint8_t *table)
{
    int32_t *offset = (int32_t *)(void *)(table + w->columns);
    for (int64_t g = 0; g < w->n_groups; g++, q += w->group, table += w->group) {
        __m512i sum = add_dots(_mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_loadu_si512(q));
        sum = add_dots(sum, _mm512_set1_epi8(1), _mm512_loadu_si512(q + 64));
        offset[g] = -_mm512_reduce_add_epi32(sum);
        arrange_group(q, (int8_t *)table);
    }
}

// ---- One group

// One group of a tile, and the activations from its first column on of the first token that meets it: arranged, and as
// they were; and how far it is to those of the next token.
struct group_step {
    const uint8_t *codes;
    const uint8_t *arranged;
    int64_t arranged_stride;
    const int8_t *q;
    int64_t q_stride;
};

SPECIALISE __m512i broadcast_four(const void *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

SPECIALISE void prefetch(const uint8_t *p)
{
    _mm_prefetch((const char *)p + AHEAD_BYTES, _MM_HINT_NTA);
}

SPECIALISE __m512i load_ahead(const uint8_t *codes)
{
    prefetch(codes);
    return _mm512_loadu_si512(codes);
}

// One token. Fields are not shifted down: the sums of each are kept apart, 1, 4, 16 and 64 times too large, until the
// group ends, and more sums wait for each other less.
SPECIALISE void sum_one(const struct group_step *step, const struct code_tables *tables, __m512i dot[ROW_VECTORS])
{
    __m512i sums[FIELDS * ROW_VECTORS];
    UNROLL()
    for (int i = 0; i < FIELDS * ROW_VECTORS; i++)
        sums[i] = _mm512_setzero_si512();
    UNROLL()
    for (int i = 0; i < (PACKED_QUADS + 1) * ROW_VECTORS; i++) {
        const int m = i / ROW_VECTORS, v = i % ROW_VECTORS;
        const bool rest = m == PACKED_QUADS;
        const __m512i bytes = load_ahead(step->codes + (rest ? REST_BYTES : LINE * i));
        const __m512i four = four_codes(tables, bytes);
        const uint8_t *q = step->arranged + (rest ? REST_COLUMNS + 16 * v : 16 * m);
        if (!rest)
            dot[v] = add_dots(dot[v], fifth_codes(tables, bytes), broadcast_four(step->q + PACKED_FIFTH + 4 * m));
        UNROLL()
        for (int k = 0; k < FIELDS; k++)
            sums[FIELDS * v + k] =
                add_dots(sums[FIELDS * v + k], _mm512_and_si512(four, _mm512_set1_epi8((char)(3 << 2 * k))),
                         broadcast_four(q + 4 * k));
    }
    UNROLL()
    for (int i = 0; i < FIELDS * ROW_VECTORS; i++)
        dot[i / FIELDS] = _mm512_add_epi32(dot[i / FIELDS], _mm512_srai_epi32(sums[i], (unsigned)(2 * (i % FIELDS))));
}

// Adds the products of the four fields of all rows; `rows` is how far the second vector's activations are from the
// first one's, which begin `at` bytes into the arranged ones.
SPECIALISE void add_fields(const struct group_step *step, const __m512i four[ROW_VECTORS], int64_t at, int64_t rows,
                           int n, __m512i *dot)
{
    UNROLL()
    for (int k = 0; k < FIELDS; k++) {
        __m512i codes[ROW_VECTORS];
        UNROLL()
        for (int v = 0; v < ROW_VECTORS; v++)
            codes[v] =
                _mm512_and_si512(k == 0 ? four[v] : _mm512_srli_epi32(four[v], (unsigned)(2 * k)), _mm512_set1_epi8(3));
        UNROLL()
        for (int i = 0; i < n * ROW_VECTORS; i++)
            dot[i] = add_dots(dot[i], codes[i % ROW_VECTORS],
                              broadcast_four(step->arranged + i / ROW_VECTORS * step->arranged_stride + at +
                                             i % ROW_VECTORS * rows + 4 * k));
    }
}

// n tokens: dot[n][ROW_VECTORS].
SPECIALISE void sum_some(const struct group_step *step, const struct code_tables *tables, int n, __m512i *dot)
{
    __m512i four[ROW_VECTORS];
    UNROLL()
    for (int m = 0; m < PACKED_QUADS; m++) {
        __m512i fifth[ROW_VECTORS];
        UNROLL()
        for (int v = 0; v < ROW_VECTORS; v++) {
            const __m512i bytes = load_ahead(step->codes + PACKED_QUAD_BYTES * m + LINE * v);
            four[v] = four_codes(tables, bytes);
            fifth[v] = fifth_codes(tables, bytes);
        }
        UNROLL()
        for (int i = 0; i < n * ROW_VECTORS; i++)
            dot[i] = add_dots(dot[i], fifth[i % ROW_VECTORS],
                              broadcast_four(step->q + i / ROW_VECTORS * step->q_stride + PACKED_FIFTH + 4 * m));
        add_fields(step, four, 16 * m, 0, n, dot);
    }
    four[0] = four[1] = four_codes(tables, load_ahead(step->codes + REST_BYTES));
    add_fields(step, four, REST_COLUMNS, 16, n, dot);
}

// ---- Products

// acc = fmaf((float)dot, w_scale * x_scale, acc) for n tokens.
SPECIALISE void multiply_group(const struct multiply *job, const uint8_t *codes, int64_t g, int64_t token, int n,
                               __m512 *acc)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const struct code_tables tables = load_tables();
    const uint8_t *table = x->table + token * x->table_bytes;
    const struct group_step step = {codes, table + g * w->group, x->table_bytes,
                                    x->q + token * x->columns + g * w->group, x->columns};
    __m512i dot[BATCH_TOKENS * ROW_VECTORS];
    UNROLL()
    for (int i = 0; i < n * ROW_VECTORS; i++)
        dot[i] = broadcast_four(table + i / ROW_VECTORS * x->table_bytes + w->columns + g * (int64_t)sizeof(int32_t));
    if (n == 1)
        sum_one(&step, &tables, dot);
    else
        sum_some(&step, &tables, n, dot);
    const uint8_t *scales = codes + PACKED_CODE_BYTES;
    prefetch(scales);
    UNROLL()
    for (int i = 0; i < n * ROW_VECTORS; i++) {
        const float x_scale = x->scale[(token + i / ROW_VECTORS) * x->n_scales + g];
        const __m512 w_scale = load_halves(scales + TILE_PIECE * (i % ROW_VECTORS));
        acc[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]), _mm512_mul_ps(w_scale, _mm512_set1_ps(x_scale)), acc[i]);
    }
}

SPECIALISE void multiply_tile(const struct multiply *job, int64_t tile, int64_t token, int n)
{
    const struct matrix *w = job->w;
    const uint8_t *codes = w->data + tile * w->tile_bytes;
    const int64_t first = tile * TILE_ROWS, n_rows = w->rows - first;
    __m512 acc[BATCH_TOKENS * ROW_VECTORS];
    UNROLL()
    for (int i = 0; i < n * ROW_VECTORS; i++)
        acc[i] = _mm512_setzero_ps();
    for (int64_t g = 0; g < w->n_groups; g++, codes += PACKED_GROUP_BYTES)
        multiply_group(job, codes, g, token, n, acc);
    for (int i = 0; i < n * ROW_VECTORS; i++) {
        const int64_t row = i % ROW_VECTORS * 16;
        if (row >= n_rows) continue;
        _mm512_mask_storeu_ps(job->out + (token + i / ROW_VECTORS) * job->out_stride + first + row,
                              first_lanes(n_rows - row), _mm512_mul_ps(acc[i], _mm512_set1_ps(w->scale)));
    }
}

static void multiply_batch(const struct multiply *job, int64_t tile, int64_t token, int64_t n)
{
    switch (n) {
    case 1:
        multiply_tile(job, tile, token, 1);
        break;
    case 2:
        multiply_tile(job, tile, token, 2);
        break;
    case 3:
        multiply_tile(job, tile, token, 3);
        break;
    case 4:
        multiply_tile(job, tile, token, 4);
        break;
    case 5:
        multiply_tile(job, tile, token, 5);
        break;
    default:
        multiply_tile(job, tile, token, BATCH_TOKENS);
    }
}

void avx512_packed_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token,
                            int64_t token_end)
{
    const int64_t n = token_end - token, batches = (n + BATCH_TOKENS - 1) / BATCH_TOKENS, size = n / batches;
    const int64_t larger = n % batches; // batches of one more
    for (; tile < tile_end; tile++)
        for (int64_t t = token, batch = 0, next; batch < batches; batch++, t = next) {
            next = t + size + (batch < larger);
            multiply_batch(job, tile, t, next - t);
        }
}
