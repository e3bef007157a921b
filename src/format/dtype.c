#include "format/dtype.h"

static const struct dtype_info types[DTYPE_COUNT] = {
    // name, GGUF id, elements and bytes of a block, tail bytes, kind
    [DTYPE_F32] = {"F32", 0, 1, 4, 0, DTYPE_DENSE},
    [DTYPE_F16] = {"F16", 1, 1, 2, 0, DTYPE_DENSE},
    [DTYPE_BF16] = {"BF16", 30, 1, 2, 0, DTYPE_DENSE},
    [DTYPE_Q4_0] = {"Q4_0", 2, 32, 18, 0, DTYPE_DENSE},
    [DTYPE_Q4_1] = {"Q4_1", 3, 32, 20, 0, DTYPE_DENSE},
    [DTYPE_Q8_0] = {"Q8_0", 8, 32, 34, 0, DTYPE_DENSE},
    [DTYPE_Q4_K] = {"Q4_K", 12, 256, 144, 0, DTYPE_DENSE},
    [DTYPE_Q5_K] = {"Q5_K", 13, 256, 176, 0, DTYPE_DENSE},
    [DTYPE_Q6_K] = {"Q6_K", 14, 256, 210, 0, DTYPE_DENSE},
    [DTYPE_TQ1_0] = {"TQ1_0", 34, 256, 54, 0, DTYPE_TERNARY},
    [DTYPE_TQ2_0] = {"TQ2_0", 35, 256, 66, 0, DTYPE_TERNARY},
    [DTYPE_I2_S] = {"I2_S", 36, 128, 32, 32, DTYPE_TERNARY},
    [DTYPE_Q1_0] = {"Q1_0", 41, 128, 18, 0, DTYPE_BINARY},
    [DTYPE_Q2_0_G64] = {"Q2_0_G64", 42, 64, 18, 0, DTYPE_TERNARY},
    [DTYPE_Q2_0_G128] = {"Q2_0", 42, 128, 34, 0, DTYPE_TERNARY},
    [DTYPE_PQ2_0] = {"PQ2_0", 142, 128, 34, 0, DTYPE_TERNARY},
    [DTYPE_PTQ1_0] = {"PTQ1_0", 143, 128, 28, 0, DTYPE_TERNARY},
};

const struct dtype_info *dtype_info(enum dtype type)
{
    return &types[type];
}

bool dtype_from_gguf_id(uint32_t id, enum dtype *out)
{
    // Ascending, so that the first of the two types with id 42 is the one of 64 weights.
    for (enum dtype type = 0; type < DTYPE_COUNT; type++) {
        if (types[type].gguf_id != id) continue;
        *out = type;
        return true;
    }
    return false;
}

uint64_t dtype_row_bytes(enum dtype type, uint64_t columns)
{
    const struct dtype_info *info = &types[type];
    uint64_t bytes;
    if (columns % info->block_elements != 0) return 0;
    if (__builtin_mul_overflow(columns / info->block_elements, (uint64_t)info->block_bytes, &bytes)) return 0;
    return bytes;
}
