// The bytes of dense tiles, one by one: what tile.h says of them.
#ifndef KERNEL_PACKED_BYTE_H
#define KERNEL_PACKED_BYTE_H

#include "kernel/arithmetic.h"

enum {
    PACKED_FIFTHS = 4 * PACKED_QUADS, // bytes of a row that have a fifth code
    PACKED_QUAD_BYTES = 4 * TILE_ROWS,
    PACKED_CODE_BYTES = PACKED_ROW_BYTES * TILE_ROWS, // of one group
    PACKED_GROUP_BYTES = PACKED_CODE_BYTES + 2 * TILE_ROWS,
    LOOSE_CODE_BYTES = 32 * TILE_ROWS, // of the same group in a loose tile
    LOOSE_GROUP_BYTES = LOOSE_CODE_BYTES + 2 * TILE_ROWS,
};

static inline uint8_t packed_step(uint8_t n, uint8_t least, uint8_t amount)
{
    return n >= least ? amount : 0;
}

// The fifth code of a packed byte.
static inline uint8_t packed_fifth(uint8_t byte)
{
    const uint8_t index = byte & 127;
    return (uint8_t)(packed_step(index, 41, 1) + packed_step(index, 82, 1));
}

// The other four, as a chunk of a loose tile holds them.
static inline uint8_t packed_four(uint8_t byte)
{
    const uint8_t index = byte & 127;
    const uint8_t magnitude = (uint8_t)(index - packed_step(index, 41, 41) - packed_step(index, 82, 41));
    uint8_t n = (uint8_t)(byte >= 128 ? 40 - magnitude : 40 + magnitude), codes;
    codes = (uint8_t)(packed_step(n, 27, 64) + packed_step(n, 54, 64));
    n = (uint8_t)(n - packed_step(n, 27, 27) - packed_step(n, 54, 27));
    codes = (uint8_t)(codes + packed_step(n, 9, 16) + packed_step(n, 18, 16));
    n = (uint8_t)(n - packed_step(n, 9, 9) - packed_step(n, 18, 9));
    codes = (uint8_t)(codes + packed_step(n, 3, 4) + packed_step(n, 6, 4));
    n = (uint8_t)(n - packed_step(n, 3, 3) - packed_step(n, 6, 3));
    return (uint8_t)(codes + n);
}

// Where a group keeps packed byte `i` of row `r`.
static inline int64_t packed_place(int64_t i, int64_t r)
{
    if (i < PACKED_FIFTHS) return i / 4 * PACKED_QUAD_BYTES + 4 * r + i % 4;
    return PACKED_QUADS * PACKED_QUAD_BYTES + 4 * (r % 16) + 2 * (r / 16) + (i - PACKED_FIFTHS);
}

// Code of column `c` of a group, row `r`.
static inline int packed_code(const uint8_t *group, int64_t c, int64_t r)
{
    if (c >= PACKED_FIFTH) return packed_fifth(group[packed_place(c - PACKED_FIFTH, r)]);
    return packed_four(group[packed_place(c / 4, r)]) >> 2 * (c % 4) & 3;
}

#endif
