#include "convert/source.h"

#include "base/half.h"
#include "format/codec.h"

#include <stdlib.h>

void source_close(struct source *source)
{
    metadata_free(&source->metadata);
    free(source->tensors);
    free(source->path);
    if (source->close_owner != NULL) source->close_owner(source->owner);
    *source = (struct source){0};
}

bool source_is_ternary(const struct source_tensor *tensor)
{
    return dtype_info(tensor->tensor.type)->kind == DTYPE_TERNARY;
}

uint64_t source_group(const struct source_tensor *tensor)
{
    const struct tensor *t = &tensor->tensor;
    return t->type == DTYPE_I2_S ? t->dims[0] : dtype_info(t->type)->block_elements;
}

// Where the input has the output's row.
static uint64_t input_row(const struct source_tensor *tensor, uint64_t row)
{
    uint64_t half = tensor->rotated_half;
    if (half == 0) return row;
    uint64_t head = row / (2 * half), within = row % (2 * half);
    return head * 2 * half + within % 2 * half + within / 2;
}

// As they lie in the input; not for packed_bitnet.
static const uint8_t *row_bytes(const struct source_tensor *tensor, uint64_t row)
{
    return tensor->tensor.data + input_row(tensor, row) * tensor->tensor.row_bytes;
}

static void read_packed_bitnet(const struct source_tensor *tensor, uint64_t row, uint8_t *codes)
{
    const struct tensor *t = &tensor->tensor;
    uint64_t quarter = t->rows / 4;
    row = input_row(tensor, row);
    const uint8_t *bytes = t->data + row % quarter * t->dims[0];
    for (uint64_t i = 0; i < t->dims[0]; i++)
        codes[i] = bytes[i] >> 2 * (row / quarter) & 3;
}

void source_read_trits(const struct source_tensor *tensor, uint64_t row, uint8_t *codes, float *scales)
{
    const struct tensor *t = &tensor->tensor;
    if (tensor->packed_bitnet) {
        read_packed_bitnet(tensor, row, codes);
        *scales = tensor->packed_scale;
        return;
    }
    const struct dtype_info *info = dtype_info(t->type);
    const uint8_t *block = row_bytes(tensor, row);
    for (uint64_t i = 0; i < t->dims[0]; i += info->block_elements, block += info->block_bytes) {
        uint16_t half;
        codec_unpack_trits(t->type, block, codes + i, &half);
        if (t->type != DTYPE_I2_S) scales[i / info->block_elements] = half_to_float(half);
    }
    if (t->type == DTYPE_I2_S) *scales = codec_tensor_scale(t);
}

void source_read_row(const struct source_tensor *tensor, uint64_t row, float *out)
{
    const struct tensor *t = &tensor->tensor;
    if (!tensor->packed_bitnet) {
        codec_unpack_row(t, input_row(tensor, row), out);
        return;
    }
    uint64_t quarter = t->rows / 4;
    row = input_row(tensor, row);
    const uint8_t *bytes = t->data + row % quarter * t->dims[0];
    for (uint64_t i = 0; i < t->dims[0]; i++)
        out[i] = tensor->packed_scale * (float)((bytes[i] >> 2 * (row / quarter) & 3) - 1);
}

void source_release_rows(const struct source *source, const struct source_tensor *tensor, uint64_t first,
                         uint64_t count)
{
    const struct tensor *t = &tensor->tensor;
    if (tensor->packed_bitnet) { // a byte holds four rows: all of it when the last ones have been read
        if (first + count < t->rows) return;
        first = 0;
        count = t->rows / 4;
    }
    uint64_t row_bytes = tensor->packed_bitnet ? t->dims[0] : t->row_bytes;
    const uint8_t *data = t->data + first * row_bytes;
    for (uint32_t i = 0; i < source->n_files; i++) {
        uintptr_t offset = (uintptr_t)data - (uintptr_t)source->files[i].data; // wraps around for data before it
        if (offset >= source->files[i].size) continue;
        mapped_file_release(&source->files[i], offset, (size_t)(count * row_bytes));
        return;
    }
}
