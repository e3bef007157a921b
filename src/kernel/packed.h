// Dense tiles for tables that have no products of their own with them: a few tiles at a time are unpacked to loose
// ones, which the table's own products then take. Included by each table's file, so that the loops, which have no
// branches, become vectors of that file's instructions.
#ifndef KERNEL_PACKED_H
#define KERNEL_PACKED_H

#include "kernel/packed_byte.h"

// Bytes of loose tiles that one call of a table's products gets, about: what the first levels of cache hold, or, with
// many tokens, so many tiles that the work which they share, and which comes before them, is little.
enum { LOOSENED_FOR_FEW = 1 << 16, LOOSENED_FOR_MANY = 1 << 20, PACKED_FEW_TOKENS = 8 };

// ---- Tiles

// One quad: its four chunks, `pitch` apart, and the one that its fifth codes make. A row's four bytes are a word, byte
// 0 lowest.
static void packed_unpack_quad(const uint8_t *quad, uint8_t *chunks, int64_t pitch, uint8_t *fifth_chunk)
{
    uint8_t bytes[2][PACKED_QUAD_BYTES];
    uint32_t four[TILE_ROWS], fifth[TILE_ROWS];
    for (int i = 0; i < PACKED_QUAD_BYTES; i++)
        bytes[0][i] = packed_four(quad[i]);
    for (int i = 0; i < PACKED_QUAD_BYTES; i++)
        bytes[1][i] = packed_fifth(quad[i]);
    memcpy(four, bytes[0], sizeof four);
    memcpy(fifth, bytes[1], sizeof fifth);
    for (int i = 0; i < 4; i++)
        for (int r = 0; r < TILE_ROWS; r++)
            chunks[i * pitch + r] = (uint8_t)(four[r] >> 8 * i);
    for (int r = 0; r < TILE_ROWS; r++)
        fifth_chunk[r] = (uint8_t)(fifth[r] | fifth[r] >> 6 | fifth[r] >> 12 | fifth[r] >> 18);
}

// One group of a dense tile as the same group of a loose one, whose pieces are `pitch` apart, scales included.
static void packed_unpack_group(const uint8_t *packed, uint8_t *loose, int64_t pitch)
{
    for (int m = 0; m < PACKED_QUADS; m++, packed += PACKED_QUAD_BYTES)
        packed_unpack_quad(packed, loose + 4 * m * pitch, pitch, loose + (PACKED_ROW_BYTES + m) * pitch);
    uint8_t bytes[2 * TILE_ROWS], *first = loose + PACKED_FIFTHS * pitch, *second = first + pitch;
    for (int i = 0; i < 2 * TILE_ROWS; i++)
        bytes[i] = packed_four(packed[i]);
    for (int r = 0; r < TILE_ROWS / 2; r++) {
        first[r] = bytes[4 * r], second[r] = bytes[4 * r + 1];
        first[TILE_ROWS / 2 + r] = bytes[4 * r + 2], second[TILE_ROWS / 2 + r] = bytes[4 * r + 3];
    }
    for (int i = 0; i < 2; i++)
        memcpy(loose + (LOOSE_CODE_BYTES / TILE_ROWS + i) * pitch, packed + 2 * TILE_ROWS + i * TILE_PIECE, TILE_PIECE);
}

// The same matrix in `n_tiles` loose tiles, without data.
static struct matrix packed_loosened(const struct matrix *w, int64_t n_tiles, bool pairs)
{
    struct matrix loose = *w;
    loose.kind = MATRIX_TRITS;
    loose.n_tiles = n_tiles;
    loose.tile_bytes = w->n_groups * LOOSE_GROUP_BYTES;
    loose.data = NULL;
    if (pairs) tile_pair(&loose);
    return loose;
}

static void packed_unpack_tile(const struct matrix *w, int64_t tile, const struct matrix *loose, int64_t loose_tile,
                               uint8_t *unpacked)
{
    const uint8_t *packed = w->data + tile_offset(w, tile);
    unpacked += tile_offset(loose, loose_tile);
    for (int64_t g = 0; g < w->n_groups; g++)
        packed_unpack_group(packed + g * PACKED_GROUP_BYTES, unpacked + g * tile_group_bytes(loose), loose->pitch);
}

// ---- Products

// Tiles that are unpacked at a time.
static int64_t packed_span(const struct matrix *w, int64_t n_tokens)
{
    const int64_t bytes = n_tokens <= PACKED_FEW_TOKENS ? LOOSENED_FOR_FEW : LOOSENED_FOR_MANY;
    const int64_t span = bytes / (w->n_groups * LOOSE_GROUP_BYTES);
    return span < 2 ? 2 : span - span % 2;
}

// The table that unpacks.
struct packed_table {
    bool pairs_tiles;
    int64_t (*scratch_bytes)(const struct matrix *w, int64_t n_tiles, int64_t n_tokens);
    void (*multiply)(const struct multiply *job, int64_t tile, int64_t tile_end, int64_t token, int64_t token_end,
                     void *scratch);
};

// Scratch for packed_multiply(): loose tiles, then what the table's products want.
static int64_t packed_scratch_bytes(const struct packed_table *table, const struct matrix *w, int64_t n_tiles,
                                    int64_t n_tokens)
{
    const int64_t span = min_i64(packed_span(w, n_tokens), n_tiles);
    const struct matrix loose = packed_loosened(w, span, table->pairs_tiles);
    return (int64_t)tile_matrix_bytes(&loose) + table->scratch_bytes(&loose, span, n_tokens);
}

// kernel.h's multiply of dense tiles, by the table's own multiply of loose ones.
static void packed_multiply(const struct packed_table *table, const struct multiply *job, int64_t tile,
                            int64_t tile_end, int64_t token, int64_t token_end, void *scratch)
{
    const struct matrix *w = job->w;
    const int64_t span = min_i64(packed_span(w, token_end - token), tile_end - tile);
    struct matrix loose = packed_loosened(w, span, table->pairs_tiles);
    uint8_t *unpacked = scratch, *rest = unpacked + tile_matrix_bytes(&loose);
    loose.data = unpacked;
    for (; tile < tile_end; tile += span) {
        loose.n_tiles = min_i64(span, tile_end - tile);
        loose.rows = min_i64(loose.n_tiles * TILE_ROWS, w->rows - tile * TILE_ROWS);
        for (int64_t i = 0; i < loose.n_tiles; i++)
            packed_unpack_tile(w, tile + i, &loose, i, unpacked);
        const struct multiply part = {&loose, job->x, job->out + tile * TILE_ROWS, job->out_stride};
        table->multiply(&part, 0, loose.n_tiles, token, token_end, rest);
    }
}

#endif
