// The tensor types that files hold: names, GGUF ids, block geometry (formats.md; ids as in ggml and PrismML's fork).
#ifndef FORMAT_DTYPE_H
#define FORMAT_DTYPE_H

#include "base/status.h"

enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q8_0,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_TQ1_0,
    DTYPE_TQ2_0,
    DTYPE_I2_S,
    DTYPE_Q1_0,
    DTYPE_Q2_0_G64,  // id 42, 64 weights a block: mainline's
    DTYPE_Q2_0_G128, // id 42, 128 weights a block: the first Bonsai files'; the same bytes as PQ2_0
    DTYPE_PQ2_0,
    DTYPE_PTQ1_0,
    DTYPE_COUNT
};

enum dtype_kind {
    DTYPE_DENSE,   // anything that runs as it lies in the file
    DTYPE_TERNARY, // becomes trit tiles
    DTYPE_BINARY,  // becomes bit tiles
};

struct dtype_info {
    const char *name;        // "PTQ1_0"
    uint32_t gguf_id;        // 143
    uint32_t block_elements; // a row is a whole number of blocks
    uint32_t block_bytes;
    uint32_t tail_bytes; // after the last row: 32 for I2_S (f32 scale and padding), else 0
    enum dtype_kind kind;
};

// Never NULL for type < DTYPE_COUNT.
const struct dtype_info *dtype_info(enum dtype type);

// Finds a type by its GGUF id. Id 42 gives DTYPE_Q2_0_G64; gguf.c decides between the two layouts. False: unknown id.
bool dtype_from_gguf_id(uint32_t id, enum dtype *out);

// Bytes of a row of `columns` elements; 0 if it is not a whole number of blocks or overflows.
uint64_t dtype_row_bytes(enum dtype type, uint64_t columns);

#endif
