#include "format/i2_s.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 32, ARM_BLOCK_BYTES = 16, CODES = 4 };

// The code of one element, 0 .. 127.
static int find_code(enum i2_s_order order, const uint8_t *block, int element)
{
    if (order == I2_S_SEQUENTIAL) return block[element / CODES] >> (2 * (element % CODES)) & 3;
    int run = order == I2_S_ARM ? ARM_BLOCK_BYTES : BLOCK_BYTES, within = element % (CODES * run);
    return block[element / (CODES * run) * run + within % run] >> (6 - 2 * (within / run)) & 3;
}

void i2_s_reorder_block(enum i2_s_order order, const uint8_t *block, uint8_t *x86)
{
    for (int p = 0; p < BLOCK_BYTES; p++) {
        int byte = 0;
        for (int run = 0; run < CODES; run++)
            byte |= find_code(order, block, run * BLOCK_BYTES + p) << (6 - 2 * run);
        x86[p] = (uint8_t)byte;
    }
}

static tern_status reorder_tensor(struct gguf_file *file, struct tensor *tensor, enum i2_s_order order)
{
    uint8_t *data = malloc((size_t)tensor->bytes);
    if (data == NULL)
        return status_fail(TERN_NO_MEMORY, "%s: no memory to reorder tensor %s", file->path, tensor->name);
    uint64_t codes = tensor->rows * tensor->row_bytes; // a multiple of a block's bytes: rows are whole blocks
    for (uint64_t i = 0; i < codes; i += BLOCK_BYTES)
        i2_s_reorder_block(order, tensor->data + i, data + i);
    memcpy(data + codes, tensor->data + codes, (size_t)(tensor->bytes - codes));
    file->moved[file->n_moved++] = data;
    tensor->data = data;
    return TERN_OK;
}

tern_status i2_s_reorder(struct gguf_file *file, enum i2_s_order order)
{
    if (order == I2_S_X86 || file->moved != NULL) return TERN_OK;
    file->moved = calloc((size_t)file->n_tensors + 1, sizeof *file->moved);
    if (file->moved == NULL) return status_fail(TERN_NO_MEMORY, "%s: no memory to reorder tensors", file->path);
    for (uint64_t i = 0; i < file->n_tensors; i++)
        if (file->tensors[i].type == DTYPE_I2_S) TRY(reorder_tensor(file, &file->tensors[i], order));
    return TERN_OK;
}
