// Weights as they run: trit tiles, bit tiles, and everything else where it lies in the file.
//
// A tile is 32 rows of a matrix, interleaved, so that the lanes of a vector are rows and one table lookup serves all
// of them. It is a sequence of groups of `group` (128 or 64) columns, ascending:
//
//     trits   group/4 chunks of 32 bytes, then 32 halves. Byte r of chunk c holds row r's columns 4c .. 4c+3 of the
//             group, two bits each from the low end up; code 0, 1, 2, 3 is -1, 0, +1, +2.
//     bits    group/8 chunks of 32 bytes, then 32 halves. Byte r of chunk c holds row r's columns 8c .. 8c+7, from
//             the low bit up; 1 is +1, 0 is -1.
//
// The 32 halves are the rows' scales for that group. That is 2.125 and 1.125 bits a weight for groups of 128. Rows
// beyond the matrix in its last tile hold code 1 (bit 0) and scale 0.
//
// Tiles lie one after the other, or, for vectors of 64 bytes, in pairs: 32 bytes of one and 32 of its neighbour in
// turn, so that a kernel which multiplies both reads one stream. A last tile without a neighbour gets one of no rows.
#ifndef KERNEL_TILE_H
#define KERNEL_TILE_H

#include "format/tensor.h"

enum {
    TILE_ROWS = 32,
    TILE_PIECE = 32, // bytes of a tile that lie together
    TILE_ALIGNMENT = 64
};

enum matrix_kind { MATRIX_TRITS, MATRIX_BITS, MATRIX_DENSE };

// What a matrix is multiplied by.
enum activation_form {
    ACTIVATION_F32,      // floats as they are
    ACTIVATION_GROUP128, // int8 with one scale for every 128 columns
    ACTIVATION_GROUP32,  // int8 with one scale for every 32 columns: dense 32-element blocks
    ACTIVATION_TOKEN,    // int8 with one scale a row (BitNet), repeated for every 128 columns
    ACTIVATION_FORMS
};

struct matrix {
    enum matrix_kind kind;
    enum activation_form form;
    enum dtype type; // dense: how data is coded; tiles: what the file had
    int64_t rows, columns;
    int64_t group;       // tiles: columns that share a scale, 128 or 64
    int64_t n_groups;    // tiles: columns / group
    int64_t n_tiles;     // (rows + 31) / 32, for dense matrices too (there a tile is just 32 rows)
    int64_t tile_bytes;  // tiles: n_groups * (group / 4 or / 8 * 32 + 64)
    int64_t pitch;       // tiles: from one piece of a tile to its next; TILE_PIECE, or twice that in pairs
    int64_t row_bytes;   // dense: bytes from one row to the next
    float scale;         // multiplies every output, last: a tensor-wide scale that no half can hold, or 1
    const uint8_t *data; // tiles: tile_matrix_bytes() of them, 64-byte aligned; dense: [rows][row_bytes], unaligned
};

// Says how a 2-D tensor will run: everything of *out but `data`. For tiles this looks at the scales: 64-weight blocks
// whose scales are equal in pairs become groups of 128; an I2_S scale that a half holds exactly becomes the groups'
// scale, any other becomes out->scale; so equal weights give equal bits whatever type they came in.
// `token_scales`: use ACTIVATION_TOKEN for tiles (BitNet). `f32`: ACTIVATION_F32 throughout.
// Errors: UNSUPPORTED if the columns are no whole number of 64-groups; BAD_FILE if I2_S holds code 3 or a bad scale.
tern_status tile_plan(const struct tensor *tensor, bool token_scales, bool f32, struct matrix *out);

// Has the planned tiles lie in pairs.
void tile_pair(struct matrix *matrix);

// Bytes of tiles that the plan needs; 0 for dense.
uint64_t tile_matrix_bytes(const struct matrix *matrix);

// Writes tile `tile` of the planned matrix to its place in tiles[tile_matrix_bytes()]. Pure: tiles may be filled in any
// order and thread.
void tile_fill(const struct tensor *tensor, const struct matrix *matrix, int64_t tile, uint8_t *tiles);

// Row `row` of a matrix (tiles with data, or dense) as floats, matrix->scale included: out[columns].
void tile_unpack_row(const struct matrix *matrix, int64_t row, float *out);

#endif
