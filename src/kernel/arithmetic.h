// What every table shares: unaligned loads, the fixed trees that end a sum over lanes, the exponential's constants.
#ifndef KERNEL_ARITHMETIC_H
#define KERNEL_ARITHMETIC_H

#include "base/half.h"
#include "kernel/kernel.h"

// Constants of kernel_expf(), for its twins in intrinsics. ln 2 = EXP_LN2_HI + EXP_LN2_LO; the polynomial
// 1 + r + C2 r^2 + ... + C6 r^6 is the minimax fit of exp on |r| <= ln 2 / 2, relative error 4e-9.
#define EXP_LOWEST  (-87.0f)
#define EXP_HIGHEST 88.0f
#define EXP_LOG2E   0x1.715476p+0f
#define EXP_LN2_HI  0x1.62e43p-1f
#define EXP_LN2_LO  (-0x1.05c61p-29f)
#define EXP_C2      0x1.fffffcp-2f
#define EXP_C3      0x1.555492p-3f
#define EXP_C4      0x1.5558f2p-5f
#define EXP_C5      0x1.1239d4p-7f
#define EXP_C6      0x1.6a244cp-10f

// Below this absmax a group of activations counts as zeros: its scale would have to be a subnormal.
#define QUANTISE_LEAST 1e-30f

static inline uint16_t load_u16(const uint8_t *p)
{
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline float load_half(const uint8_t *p)
{
    return half_to_float(load_u16(p));
}

static inline float tree8(const float *l)
{
    float a = l[0] + l[4], b = l[1] + l[5], c = l[2] + l[6], d = l[3] + l[7];
    return (a + c) + (b + d);
}

static inline float tree16(const float *l)
{
    float half[8];
    for (int i = 0; i < 8; i++)
        half[i] = l[i] + l[i + 8];
    return tree8(half);
}

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Types whose blocks are of 256 elements: eight blocks of 32 with a step each (Q6_K: two).
static inline bool is_super(enum dtype type)
{
    return type == DTYPE_Q4_K || type == DTYPE_Q5_K || type == DTYPE_Q6_K;
}

static inline int super_bytes(enum dtype type)
{
    return type == DTYPE_Q4_K ? 144 : type == DTYPE_Q5_K ? 176 : 210;
}

// Columns of a loose tile that one chunk of 32 bytes holds; of a dense one, that its loose form does.
static inline int64_t tile_chunk_columns(enum matrix_kind kind)
{
    return kind == MATRIX_BITS ? 8 : 4;
}

// Where a tile begins.
static inline int64_t tile_offset(const struct matrix *w, int64_t tile)
{
    const int64_t neighbour = w->pitch == TILE_PIECE ? 0 : tile % 2;
    return (tile - neighbour) * w->tile_bytes + neighbour * TILE_PIECE;
}

// From the codes of one group, which are pieces, to its 32 halves, two pieces more.
static inline int64_t tile_code_bytes(const struct matrix *w)
{
    if (w->kind == MATRIX_PACKED_TRITS) return PACKED_ROW_BYTES * TILE_ROWS;
    return w->group / tile_chunk_columns(w->kind) * w->pitch;
}

// From one group to the next.
static inline int64_t tile_group_bytes(const struct matrix *w)
{
    return tile_code_bytes(w) + 2 * w->pitch;
}

// From a group to the half of its row r.
static inline int64_t tile_scale_offset(const struct matrix *w, int64_t r)
{
    return tile_code_bytes(w) + r / 16 * w->pitch + r % 16 * 2;
}

// `n` elements of a dense row from `column` on, as codec_unpack_dense gives them. column and n are multiples of the
// type's block_elements.
void dense_unpack(const struct matrix *w, int64_t row, int64_t column, int64_t n, float *out);

#endif
