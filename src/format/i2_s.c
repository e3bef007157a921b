#include "format/i2_s.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 32, ARM_BLOCK_BYTES = 16, CODES = 4 };

// The code of one element, 0 .. 127, in two blocks of ARM.
static uint8_t arm_code(const uint8_t *arm, int element)
{
    int block = element / 64, run = element % 64 / ARM_BLOCK_BYTES, p = element % ARM_BLOCK_BYTES;
    return arm[block * ARM_BLOCK_BYTES + p] >> (6 - 2 * run) & 3;
}

void i2_s_block_from_arm(const uint8_t *arm, uint8_t *x86)
{
    for (int p = 0; p < BLOCK_BYTES; p++) {
        int byte = 0;
        for (int run = 0; run < CODES; run++)
            byte |= arm_code(arm, run * BLOCK_BYTES + p) << (6 - 2 * run);
        x86[p] = (uint8_t)byte;
    }
}

static tern_status reorder_tensor(struct gguf_file *file, struct tensor *tensor)
{
    uint8_t *data = malloc((size_t)tensor->bytes);
    if (data == NULL)
        return status_fail(TERN_NO_MEMORY, "%s: no memory to reorder tensor %s", file->path, tensor->name);
    uint64_t codes = tensor->rows * tensor->row_bytes; // a multiple of a block's bytes: rows are whole blocks
    for (uint64_t i = 0; i < codes; i += BLOCK_BYTES)
        i2_s_block_from_arm(tensor->data + i, data + i);
    memcpy(data + codes, tensor->data + codes, (size_t)(tensor->bytes - codes));
    file->moved[file->n_moved++] = data;
    tensor->data = data;
    return TERN_OK;
}

tern_status i2_s_from_arm(struct gguf_file *file)
{
    if (file->moved != NULL) return TERN_OK; // done before
    file->moved = calloc((size_t)file->n_tensors + 1, sizeof *file->moved);
    if (file->moved == NULL) return status_fail(TERN_NO_MEMORY, "%s: no memory to reorder tensors", file->path);
    for (uint64_t i = 0; i < file->n_tensors; i++)
        if (file->tensors[i].type == DTYPE_I2_S) TRY(reorder_tensor(file, &file->tensors[i]));
    return TERN_OK;
}
