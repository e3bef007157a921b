// Weights as they run: trit tiles, loose or dense, bit tiles, and everything else where it lies in the file.
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
// A dense tile holds groups of 128 columns without code 3 in 26 bytes a row, 1.75 bits a weight with the scale:
//
//     packed  six quads of 128 bytes, then 64 bytes, then 32 halves. Bytes 4r .. 4r+3 of quad m are row r's packed
//             bytes 4m .. 4m+3. Bytes 4r, 4r+1 of the last 64 are its bytes 24 and 25 for r < 16; for the others they
//             are at 4(r-16)+2, +3. Packed byte i stands for columns 4i .. 4i+3 and, if i < 24, for column 104 + i.
//
// A packed byte of four codes c0 .. c3 and a fifth: n = c0 + 3 c1 + 9 c2 + 27 c3 - 40 is the four trits' value to the
// base 3, -40 .. 40. Bit 7 is set if n < 0; bits 0 .. 6 are |n| + 41 * fifth (0 where there is none), at most 122. So
// tables of 128 bytes tell the fifth code and, for n >= 0, the other four; for n < 0 these are 2 minus what is there.
// Rows beyond the matrix hold code 1 and scale 0 here too.
//
// Tiles lie one after the other, or, unless they are dense, for vectors of 64 bytes, in pairs: 32 bytes of one and 32
// of its neighbour in turn, so that a kernel which multiplies both reads one stream. A last tile without a neighbour
// gets one of no rows.
#ifndef KERNEL_TILE_H
#define KERNEL_TILE_H

#include "format/tensor.h"

enum {
    TILE_ROWS = 32,
    TILE_PIECE = 32, // bytes of a tile that lie together
    TILE_ALIGNMENT = 64
};

enum matrix_kind { MATRIX_TRITS, MATRIX_BITS, MATRIX_PACKED_TRITS, MATRIX_DENSE };

enum {
    PACKED_QUADS = 6,
    PACKED_ROW_BYTES = 26, // of one group
    PACKED_FIFTH = 104,    // column of a group at which fifth codes begin
};

// What a matrix is multiplied by.
enum activation_form {
    ACTIVATION_F32,      // floats as they are
    ACTIVATION_GROUP128, // int8 with one scale for every 128 columns
    ACTIVATION_GROUP32,  // int8 with one scale for every 32 columns: dense blocks of integers
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
    int64_t tile_bytes;  // tiles: n_groups * (group / 4 or / 8 * 32 + 64); packed: n_groups * 896
    int64_t pitch;       // tiles: from one piece of a tile to its next; TILE_PIECE, or twice that in pairs
    int64_t row_bytes;   // dense: bytes from one row to the next
    float scale;         // multiplies every output, last: a tensor-wide scale that no half can hold, or 1
    const uint8_t *data; // tiles: tile_matrix_bytes() of them, 64-byte aligned; dense: [rows][row_bytes], unaligned
};

// Says how a 2-D tensor will run: everything of *out but `data`. For tiles this looks at the scales: 64-weight blocks
// whose scales are equal in pairs become groups of 128; an I2_S scale that a half holds exactly becomes the groups'
// scale, any other becomes out->scale; so equal weights give equal bits whatever type they came in.
// A ternary matrix becomes dense tiles if the options want them, its groups have 128 columns and no code is 3 (what
// two-bit types hold is looked through for that); otherwise loose ones. Products have the same bits either way.
// Errors: UNSUPPORTED if the columns are no whole number of 64-groups; BAD_FILE if I2_S holds code 3 or a bad scale.
struct tile_options {
    bool token_scales; // ACTIVATION_TOKEN for tiles (BitNet)
    bool f32;          // ACTIVATION_F32 throughout
    bool dense;        // dense tiles for ternary matrices
    bool unread;       // a plan to measure by, without looking at weights: 64-weight scales count as equal in pairs, no
                       // code as 3
};
tern_status tile_plan(const struct tensor *tensor, struct tile_options options, struct matrix *out);

// Has the planned tiles lie in pairs, unless they are dense.
void tile_pair(struct matrix *matrix);

// Bytes of tiles that the plan needs; 0 for dense.
uint64_t tile_matrix_bytes(const struct matrix *matrix);

// Writes tile `tile` of the planned matrix to its place in tiles[tile_matrix_bytes()]. Pure: tiles may be filled in any
// order and thread.
void tile_fill(const struct tensor *tensor, const struct matrix *matrix, int64_t tile, uint8_t *tiles);

// Row `row` of a matrix (tiles with data, or dense) as floats, matrix->scale included: out[columns].
void tile_unpack_row(const struct matrix *matrix, int64_t row, float *out);

#endif
