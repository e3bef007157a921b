// Products with tiles in AVX2. Which way is fastest depends on the number of tokens:
//
//   few      Lookup. A nibble of a tile's byte stands for two trits or four bits; for each nibble position a table of
//            16 partial sums, made from the token's activations, is looked up for 32 rows by byte shuffles.
//   many     The method of four Russians. For a batch of tokens all sums that a whole byte can stand for are made in
//            advance, lanes being tokens; every row then adds one line of its table for each byte.
//
// In both the sum over a group is at most 128 * 2 * 127 in magnitude, so that int16 holds it exactly.
#ifndef KERNEL_X86_AVX2_TILES_H
#define KERNEL_X86_AVX2_TILES_H

#include "kernel/x86/avx2.h"
#include "kernel/x86/avx2_vector.h"

enum {
    NIBBLE_BYTES = 32, // of a nibble position's table: low bytes of its 16 sums, then high bytes
    BATCH_SMALL = 16,  // tokens of a smaller batch: lanes of int16 in one vector
    BLOCK_TILES = 64,  // tiles that share the sums of a batch
    LINES = 256,       // sums of a chunk: one for each value of a byte
    TABLE_LINES = 277, // from one chunk's table to the next, see russians_trits()
    PASS_CHUNKS = 8,   // whose tables are at work at a time: what first and second level of cache serve best
    TABLES_BYTES = PASS_CHUNKS * TABLE_LINES * BATCH_LARGE * 2,
};

// ---- Lookup -------------------------------------------------------------------------------------------------------

static int64_t lookup_bytes(const struct matrix *w)
{
    return w->columns / tile_chunk_columns(w->kind) * 2 * NIBBLE_BYTES;
}

// Stores 16 sums as their low bytes and their high bytes.
SPECIALISE void lookup_store(__m256i sums, uint8_t *table)
{
    __m256i low = _mm256_and_si256(sums, _mm256_set1_epi16(255)), high = _mm256_srli_epi16(sums, 8);
    store_256(table, _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), _MM_SHUFFLE(3, 1, 2, 0)));
}

// Sum i of a pair of columns: code i % 4 of the first, code i / 4 of the second.
static void lookup_build_trits(const int8_t *q, int64_t columns, uint8_t *table)
{
    const __m256i first = _mm256_setr_epi16(-1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2);
    const __m256i second = _mm256_setr_epi16(-1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2);
    for (int64_t i = 0; i < columns; i += 2, table += NIBBLE_BYTES)
        lookup_store(_mm256_add_epi16(_mm256_mullo_epi16(_mm256_set1_epi16(q[i]), first),
                                      _mm256_mullo_epi16(_mm256_set1_epi16(q[i + 1]), second)),
                     table);
}

// Sum i of four columns: the sign of column k is bit k of i.
static void lookup_build_bits(const int8_t *q, int64_t columns, uint8_t *table)
{
    const __m256i index = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m256i sign[4];
    foreach (k, 4) {
        __m256i bit = _mm256_and_si256(_mm256_srli_epi16(index, k), _mm256_set1_epi16(1));
        sign[k] = _mm256_sub_epi16(_mm256_add_epi16(bit, bit), _mm256_set1_epi16(1));
    }
    for (int64_t i = 0; i < columns; i += 4, table += NIBBLE_BYTES) {
        __m256i sums = _mm256_setzero_si256();
        foreach (k, 4)
            sums = _mm256_add_epi16(sums, _mm256_sign_epi16(_mm256_set1_epi16(q[i + k]), sign[k]));
        lookup_store(sums, table);
    }
}

static void lookup_build(const struct matrix *w, const int8_t *q, uint8_t *table)
{
    if (w->kind == MATRIX_BITS)
        lookup_build_bits(q, w->columns, table);
    else
        lookup_build_trits(q, w->columns, table);
}

// Sums of 32 rows: rows 0 .. 7 and 16 .. 23 in low, 8 .. 15 and 24 .. 31 in high.
struct row_sums {
    __m256i low, high;
};

// Adds the sums that 32 nibbles stand for.
SPECIALISE void lookup_add(struct row_sums *s, __m256i nibbles, const uint8_t *table)
{
    __m256i low = _mm256_shuffle_epi8(load_twice(table), nibbles);
    __m256i high = _mm256_shuffle_epi8(load_twice(table + 16), nibbles);
    s->low = _mm256_add_epi16(s->low, _mm256_unpacklo_epi8(low, high));
    s->high = _mm256_add_epi16(s->high, _mm256_unpackhi_epi8(low, high));
}

// acc += sums * (scales of the rows * x_scale), eight rows in each acc.
SPECIALISE void group_finish(struct row_sums s, const uint8_t *scales, float x_scale, __m256 acc[4])
{
    __m128i quarter[4] = {_mm256_castsi256_si128(s.low), _mm256_castsi256_si128(s.high),
                          _mm256_extracti128_si256(s.low, 1), _mm256_extracti128_si256(s.high, 1)};
    foreach (i, 4) {
        __m256 dot = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(quarter[i]));
        __m256 factor = _mm256_mul_ps(load_halves(scales + 16 * i), _mm256_set1_ps(x_scale));
        acc[i] = _mm256_fmadd_ps(dot, factor, acc[i]);
    }
}

// Writes 32 rows' results for one token; the last tile may have fewer rows.
static void tile_store(const struct multiply *job, int64_t tile, int64_t token, const __m256 acc[4])
{
    const struct matrix *w = job->w;
    int64_t first = tile * TILE_ROWS, n = min_i64(TILE_ROWS, w->rows - first);
    float rows[TILE_ROWS];
    for (int i = 0; i < 4; i++)
        _mm256_storeu_ps(rows + 8 * i, _mm256_mul_ps(acc[i], _mm256_set1_ps(w->scale)));
    memcpy(job->out + token * job->out_stride + first, rows, (size_t)n * sizeof(float));
}

// One tile and `n` tokens whose tables lie table_bytes apart.
SPECIALISE void lookup_tile(const struct multiply *job, int64_t tile, int64_t token, const uint8_t *table,
                            int64_t table_bytes, int n)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    const uint8_t *codes = w->data + tile * w->tile_bytes;
    const __m256i nibble = _mm256_set1_epi8(15);
    int64_t group_bytes = tile_code_bytes(w);
    __m256 acc[2][4];
    foreach (t, n)
        foreach (i, 4)
            acc[t][i] = _mm256_setzero_ps();
    for (int64_t g = 0; g < w->n_groups; g++) {
        struct row_sums sums[2];
        foreach (t, n)
            sums[t].low = sums[t].high = _mm256_setzero_si256();
        for (int64_t i = 0; i < group_bytes; i += TILE_ROWS, table += 2 * NIBBLE_BYTES) {
            __m256i bytes = load_256(codes + i);
            _mm_prefetch((const char *)(codes + i + PREFETCH_BYTES), _MM_HINT_T0);
            __m256i low = _mm256_and_si256(bytes, nibble);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
            foreach (t, n) {
                lookup_add(&sums[t], low, table + t * table_bytes);
                lookup_add(&sums[t], high, table + t * table_bytes + NIBBLE_BYTES);
            }
        }
        codes += group_bytes;
        foreach (t, n)
            group_finish(sums[t], codes, x->scale[(token + t) * x->n_scales + g * w->group / 128], acc[t]);
        codes += TILE_ROWS * 2;
    }
    foreach (t, n)
        tile_store(job, tile, token + t, acc[t]);
}

static void lookup_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token,
                            int64_t token_end, uint8_t *scratch)
{
    const struct activations *x = job->x;
    int64_t bytes = lookup_bytes(job->w);
    const uint8_t *tables = scratch;
    if (x->table != NULL)
        tables = x->table + token * bytes;
    else
        for (int64_t t = token; t < token_end; t++)
            lookup_build(job->w, x->q + t * x->columns, scratch + (t - token) * bytes);
    for (; tile < tile_end; tile++) {
        int64_t t = token;
        for (; t + 2 <= token_end; t += 2)
            lookup_tile(job, tile, t, tables + (t - token) * bytes, bytes, 2);
        if (t < token_end) lookup_tile(job, tile, t, tables + (t - token) * bytes, bytes, 1);
    }
}

// ---- Four Russians --------------------------------------------------------------------------------------------------

// Memory of one call. `batch` is the number of int16 lanes: 16 or 32.
struct russians {
    int16_t *tables;  // [chunks of a pass][TABLE_LINES][batch]
    int16_t *columns; // [128][batch]: the group's activations, turned over
    int16_t *sums;    // [tiles * 32][batch]: of the group so far
    float *acc;       // [tiles * 32][batch]
};

static int64_t russians_bytes(int64_t n_tiles)
{
    int64_t rows = min_i64(n_tiles, BLOCK_TILES) * TILE_ROWS;
    return TABLES_BYTES + 128 * BATCH_LARGE * 2 + rows * BATCH_LARGE * (2 + 4);
}

static struct russians russians_place(uint8_t *scratch, int64_t n_tiles)
{
    int64_t rows = min_i64(n_tiles, BLOCK_TILES) * TILE_ROWS;
    uint8_t *columns = scratch + TABLES_BYTES, *sums = columns + 128 * BATCH_LARGE * 2;
    return (struct russians){(int16_t *)scratch, (int16_t *)columns, (int16_t *)sums,
                             (float *)(sums + rows * BATCH_LARGE * 2)};
}

// 16 x 16 bytes: interleaving the two halves four times turns them over.
SPECIALISE void transpose_bytes(__m128i v[16])
{
    for (int round = 0; round < 4; round++) {
        __m128i t[16];
        foreach (i, 8) {
            t[2 * i] = _mm_unpacklo_epi8(v[i], v[i + 8]);
            t[2 * i + 1] = _mm_unpackhi_epi8(v[i], v[i + 8]);
        }
        foreach (i, 16)
            v[i] = t[i];
    }
}

// columns[c][t] = q[t][c] for the n <= batch tokens there are, 0 for others. n_columns is a multiple of 16.
static void russians_columns(const int8_t *q, int64_t stride, int64_t n, int64_t n_columns, int batch, int16_t *columns)
{
    for (int first = 0; first < batch; first += 16)
        for (int64_t c = 0; c < n_columns; c += 16) {
            __m128i v[16];
            for (int t = 0; t < 16; t++)
                v[t] = first + t < n ? load_128(q + (first + t) * stride + c) : _mm_setzero_si128();
            transpose_bytes(v);
            for (int i = 0; i < 16; i++)
                store_256(columns + (c + i) * batch + first, _mm256_cvtepi8_epi16(v[i]));
        }
}

// All sums of four columns by their codes; without code 3 only the 81 lines that exist. Those fall on 27 of a cache's
// 64 sets, the lines whose number has no digit 3 to the base 4: a step of 21, 111 to that base, spreads the tables of
// neighbouring chunks over the others.
SPECIALISE void russians_trits(const int16_t *columns, int batch, int codes, int16_t *table)
{
    for (int lane = 0; lane < batch; lane += 16) {
        __m256i x[4], s[4];
        for (int k = 0; k < 4; k++)
            x[k] = load_256(columns + k * batch + lane);
        s[3] = _mm256_sub_epi16(_mm256_setzero_si256(),
                                _mm256_add_epi16(_mm256_add_epi16(x[0], x[1]), _mm256_add_epi16(x[2], x[3])));
        for (int c3 = 0; c3 < codes; c3++, s[3] = _mm256_add_epi16(s[3], x[3])) {
            s[2] = s[3];
            for (int c2 = 0; c2 < codes; c2++, s[2] = _mm256_add_epi16(s[2], x[2])) {
                s[1] = s[2];
                for (int c1 = 0; c1 < codes; c1++, s[1] = _mm256_add_epi16(s[1], x[1])) {
                    int16_t *line = table + (c1 << 2 | c2 << 4 | c3 << 6) * batch + lane;
                    s[0] = s[1];
                    foreach (c0, codes) {
                        store_256(line + c0 * batch, s[0]);
                        s[0] = _mm256_add_epi16(s[0], x[0]);
                    }
                }
            }
        }
    }
}

// All sums of eight columns by their signs: each line with bit k set is the one without it plus 2 x_k.
SPECIALISE void russians_bits(const int16_t *columns, int batch, int16_t *table)
{
    for (int lane = 0; lane < batch; lane += 16) {
        __m256i sum = _mm256_setzero_si256();
        for (int k = 0; k < 8; k++)
            sum = _mm256_sub_epi16(sum, load_256(columns + k * batch + lane));
        store_256(table + lane, sum);
        for (int k = 0; k < 8; k++) {
            __m256i twice = _mm256_slli_epi16(load_256(columns + k * batch + lane), 1);
            int16_t *from = table + lane, *to = from + (batch << k);
            for (int i = 0; i < 1 << k; i++)
                store_256(to + i * batch, _mm256_add_epi16(load_256(from + i * batch), twice));
        }
    }
}

// Whether any of the group's codes, in tiles that lie tile_bytes apart, is 3.
static bool russians_code_3(const uint8_t *codes, int64_t tile_bytes, int64_t n_tiles, int64_t group_bytes)
{
    __m256i found = _mm256_setzero_si256();
    for (int64_t tile = 0; tile < n_tiles; tile++, codes += tile_bytes)
        for (int64_t i = 0; i < group_bytes; i += TILE_ROWS) {
            __m256i bytes = load_256(codes + i);
            found = _mm256_or_si256(found, _mm256_and_si256(bytes, _mm256_srli_epi16(bytes, 1)));
        }
    return !_mm256_testz_si256(found, _mm256_set1_epi8(0x55));
}

// Adds one line for each of `n_chunks` chunks to the sums of a tile's 32 rows.
SPECIALISE void russians_pass(const int16_t *tables, const uint8_t *chunks, int n_chunks, int batch, bool first,
                              int16_t *sums)
{
    for (int r = 0; r < TILE_ROWS; r++, sums += batch) {
        __m256i s[BATCH_LARGE / 16];
        foreach (v, batch / 16)
            s[v] = first ? _mm256_setzero_si256() : load_256(sums + 16 * v);
        foreach (c, n_chunks) {
            const int16_t *line = tables + c * TABLE_LINES * batch + (size_t)chunks[c * TILE_ROWS + r] * (size_t)batch;
            foreach (v, batch / 16)
                s[v] = _mm256_add_epi16(s[v], load_256(line + 16 * v));
        }
        foreach (v, batch / 16)
            store_256(sums + 16 * v, s[v]);
    }
}

// acc += sums * (w_scale * x_scale) for a tile's 32 rows.
SPECIALISE void russians_finish(const int16_t *sums, const uint8_t *scales, const float *x_scale, int batch, float *acc)
{
    float w_scale[TILE_ROWS];
    for (int i = 0; i < TILE_ROWS; i += 8)
        _mm256_storeu_ps(w_scale + i, load_halves(scales + 2 * i));
    for (int r = 0; r < TILE_ROWS; r++)
        foreach (v, batch / 8) {
            float *a = acc + r * batch + 8 * v;
            __m256 dot = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(load_128(sums + r * batch + 8 * v)));
            __m256 factor = _mm256_mul_ps(_mm256_set1_ps(w_scale[r]), _mm256_loadu_ps(x_scale + 8 * v));
            _mm256_storeu_ps(a, _mm256_fmadd_ps(dot, factor, _mm256_loadu_ps(a)));
        }
}

// A block of tiles and a batch of tokens, at work on one group.
struct russians_step {
    struct russians memory;
    const uint8_t *codes; // of the first tile's group
    int64_t tile_bytes, n_tiles, group_bytes;
    float x_scale[BATCH_LARGE];
};

// Tables of chunks `chunk` .. chunk + n_chunks - 1.
SPECIALISE void russians_tables(const struct russians *m, enum matrix_kind kind, int batch, bool code_3, int64_t chunk,
                                int n_chunks)
{
    const int64_t step = tile_chunk_columns(kind) * batch;
    for (int c = 0; c < n_chunks; c++) {
        const int16_t *columns = m->columns + (chunk + c) * step;
        int16_t *table = m->tables + c * TABLE_LINES * batch;
        if (kind == MATRIX_BITS)
            russians_bits(columns, batch, table);
        else if (code_3)
            russians_trits(columns, batch, 4, table);
        else
            russians_trits(columns, batch, 3, table);
    }
}

SPECIALISE void russians_group(const struct russians_step *step, enum matrix_kind kind, int batch)
{
    const struct russians *m = &step->memory;
    const int n_chunks = kind == MATRIX_BITS && batch == BATCH_LARGE ? PASS_CHUNKS / 2 : PASS_CHUNKS;
    const bool code_3 =
        kind == MATRIX_TRITS && russians_code_3(step->codes, step->tile_bytes, step->n_tiles, step->group_bytes);
    for (int64_t chunk = 0; chunk < step->group_bytes / TILE_ROWS; chunk += n_chunks) {
        russians_tables(m, kind, batch, code_3, chunk, n_chunks);
        for (int64_t tile = 0; tile < step->n_tiles; tile++)
            russians_pass(m->tables, step->codes + tile * step->tile_bytes + chunk * TILE_ROWS, n_chunks, batch,
                          chunk == 0, m->sums + tile * TILE_ROWS * batch);
    }
    for (int64_t tile = 0; tile < step->n_tiles; tile++)
        russians_finish(m->sums + tile * TILE_ROWS * batch, step->codes + tile * step->tile_bytes + step->group_bytes,
                        step->x_scale, batch, m->acc + tile * TILE_ROWS * batch);
}

// acc [rows][batch] to out [tokens][rows], times the matrix' scale.
static void russians_store(const struct multiply *job, const float *acc, int batch, int64_t tile, int64_t tile_end,
                           int64_t token, int64_t n)
{
    const __m256 scale = _mm256_set1_ps(job->w->scale);
    int64_t row_end = min_i64(tile_end * TILE_ROWS, job->w->rows);
    for (int64_t row = tile * TILE_ROWS; row < row_end; row += 8, acc += 8 * batch)
        for (int64_t t = 0; t < n; t += 8) {
            __m256 v[8];
            for (int i = 0; i < 8; i++)
                v[i] = _mm256_mul_ps(_mm256_loadu_ps(acc + i * batch + t), scale);
            transpose_floats(v);
            for (int64_t i = 0; i < min_i64(8, n - t); i++) {
                float rows[8];
                _mm256_storeu_ps(rows, v[i]);
                memcpy(job->out + (token + t + i) * job->out_stride + row, rows,
                       (size_t)min_i64(8, row_end - row) * sizeof(float));
            }
        }
}

SPECIALISE void russians_block(const struct multiply *job, enum matrix_kind kind, int batch, int64_t tile,
                               int64_t tile_end, int64_t token, int64_t n, uint8_t *scratch)
{
    const struct matrix *w = job->w;
    const struct activations *x = job->x;
    struct russians_step step = {.memory = russians_place(scratch, tile_end - tile),
                                 .codes = w->data + tile * w->tile_bytes,
                                 .tile_bytes = w->tile_bytes,
                                 .n_tiles = tile_end - tile,
                                 .group_bytes = tile_code_bytes(w)};
    memset(step.memory.acc, 0, (size_t)(step.n_tiles * TILE_ROWS * batch) * sizeof(float));
    for (int64_t g = 0; g < w->n_groups; g++) {
        int64_t column = g * w->group;
        russians_columns(x->q + token * x->columns + column, x->columns, n, w->group, batch, step.memory.columns);
        for (int64_t t = 0; t < n; t++)
            step.x_scale[t] = x->scale[(token + t) * x->n_scales + column / 128];
        russians_group(&step, kind, batch);
        step.codes += step.group_bytes + TILE_ROWS * 2;
    }
    russians_store(job, step.memory.acc, batch, tile, tile_end, token, n);
}

static void russians_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t n,
                              uint8_t *scratch)
{
    for (; tile < tile_end; tile += BLOCK_TILES) {
        int64_t end = min_i64(tile + BLOCK_TILES, tile_end);
        if (job->w->kind == MATRIX_TRITS && n <= BATCH_SMALL)
            russians_block(job, MATRIX_TRITS, BATCH_SMALL, tile, end, token, n, scratch);
        else if (job->w->kind == MATRIX_TRITS)
            russians_block(job, MATRIX_TRITS, BATCH_LARGE, tile, end, token, n, scratch);
        else if (n <= BATCH_SMALL)
            russians_block(job, MATRIX_BITS, BATCH_SMALL, tile, end, token, n, scratch);
        else
            russians_block(job, MATRIX_BITS, BATCH_LARGE, tile, end, token, n, scratch);
    }
}

// ---- Floats
// -----------------------------------------------------------------------------------------------------------

// Weights -1 .. +2 of eight rows' codes in bits 0 and 1 of each lane; for bits only bit 0 counts.
SPECIALISE __m256 code_weights(__m256i codes, enum matrix_kind kind)
{
    const __m256 trits = _mm256_setr_ps(-1, 0, 1, 2, -1, 0, 1, 2), bits = _mm256_setr_ps(-1, 1, -1, 1, -1, 1, -1, 1);
    return _mm256_permutevar_ps(kind == MATRIX_TRITS ? trits : bits, codes);
}

// `vectors` times eight rows, from row `row` of the tile on, and `n` tokens: at most 8 products at a time.
SPECIALISE void float_rows(const struct multiply *job, enum matrix_kind kind, const uint8_t *codes, int64_t row,
                           int64_t token, int vectors, int n, __m256 acc[4][4])
{
    const int per_byte = kind == MATRIX_TRITS ? 4 : 8, bits = 8 / per_byte;
    const int64_t stride = job->x->columns, group_bytes = tile_code_bytes(job->w);
    const float *x = job->x->f32 + token * stride;
    foreach (t, n)
        foreach (v, vectors)
            acc[t][v] = _mm256_setzero_ps();
    for (int64_t g = 0; g < job->w->n_groups; g++, codes += group_bytes + TILE_ROWS * 2) {
        __m256 sum[4][4];
        foreach (t, n)
            foreach (v, vectors)
                sum[t][v] = _mm256_setzero_ps();
        for (int64_t i = 0; i < group_bytes; i += TILE_ROWS, x += per_byte) {
            __m256i rows[4];
            foreach (v, vectors)
                rows[v] = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(codes + i + row + 8 * v)));
            foreach (k, per_byte)
                foreach (v, vectors) {
                    __m256 weights = code_weights(rows[v], kind);
                    rows[v] = _mm256_srli_epi32(rows[v], bits);
                    foreach (t, n)
                        sum[t][v] = _mm256_fmadd_ps(weights, _mm256_set1_ps(x[t * stride + k]), sum[t][v]);
                }
        }
        foreach (t, n)
            foreach (v, vectors)
                acc[t][v] = _mm256_fmadd_ps(sum[t][v], load_halves(codes + group_bytes + 2 * row + 16 * v), acc[t][v]);
    }
}

SPECIALISE void float_tile(const struct multiply *job, enum matrix_kind kind, int64_t tile, int64_t token,
                           int64_t token_end)
{
    const uint8_t *codes = job->w->data + tile * job->w->tile_bytes;
    for (; token + 4 <= token_end; token += 4) {
        __m256 half[2][4][4], all[4];
        for (int h = 0; h < 2; h++)
            float_rows(job, kind, codes, 16 * h, token, 2, 4, half[h]);
        for (int t = 0; t < 4; t++) {
            for (int i = 0; i < 4; i++)
                all[i] = half[i / 2][t][i % 2];
            tile_store(job, tile, token + t, all);
        }
    }
    for (; token < token_end; token++) {
        __m256 acc[4][4];
        float_rows(job, kind, codes, 0, token, 4, 1, acc);
        tile_store(job, tile, token, acc[0]);
    }
}

static void float_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end)
{
    for (; tile < tile_end; tile++) {
        if (job->w->kind == MATRIX_TRITS)
            float_tile(job, MATRIX_TRITS, tile, token, token_end);
        else
            float_tile(job, MATRIX_BITS, tile, token, token_end);
    }
}

// ---- All ways
// ---------------------------------------------------------------------------------------------------------

static int64_t tiles_scratch_bytes(const struct matrix *w, int64_t n_tiles, int64_t n_tokens)
{
    if (w->form == ACTIVATION_F32) return 0;
    int64_t lookup = lookup_bytes(w) * min_i64(n_tokens, LOOKUP_TOKENS);
    int64_t russians = n_tokens > LOOKUP_TOKENS ? russians_bytes(n_tiles) : 0;
    return lookup > russians ? lookup : russians;
}

static void tiles_multiply(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                           uint8_t *scratch)
{
    if (job->w->form == ACTIVATION_F32) {
        float_multiply(job, tile, tile_end, token, token_end);
        return;
    }
    while (token_end - token > LOOKUP_TOKENS) {
        // A small batch, and lookup for the rest, is faster than a large one that is mostly empty.
        bool large = token_end - token > BATCH_SMALL + LOOKUP_TOKENS;
        int64_t n = min_i64(token_end - token, large ? BATCH_LARGE : BATCH_SMALL);
        russians_multiply(job, tile, tile_end, token, n, scratch);
        token += n;
    }
    if (token < token_end) lookup_multiply(job, tile, tile_end, token, token_end, scratch);
}

#endif
