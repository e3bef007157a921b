// Reads everything that an opened GGUF file offers, so that a sanitizer sees a pointer that leads out of it.
#ifndef SUPPORT_GGUF_TOUCH_H
#define SUPPORT_GGUF_TOUCH_H

#include "format/codec.h"
#include "format/gguf.h"

#include <stdlib.h>
#include <string.h>

static inline unsigned touch_bytes(const void *data, size_t length)
{
    const unsigned char *bytes = data;
    unsigned sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return sum;
}

static inline unsigned touch_array(const struct gguf_array *array)
{
    unsigned sum = 0;
    if (array->type != GGUF_STRING) return array->count > 0 ? *array->data : 0;
    for (uint64_t i = 0; i < array->count; i++)
        sum += touch_bytes(array->strings[i].data, array->strings[i].length);
    return sum;
}

static inline unsigned touch_pair(const struct gguf_file *file, const struct gguf_pair *pair)
{
    const struct gguf_value *value = gguf_find(file, pair->key);
    if (value != &pair->value) abort(); // the index knows every pair
    if (value->type == GGUF_STRING) return touch_bytes(value->string.data, value->string.length);
    if (value->type == GGUF_ARRAY) return touch_array(&value->array);
    uint32_t number = 0;
    float real = 0;
    bool flag = false;
    return (unsigned)(gguf_get_u32(file, pair->key, &number) + gguf_get_f32(file, pair->key, &real) +
                      gguf_get_bool(file, pair->key, &flag));
}

// All bytes of the tensor, and its first and last row as floats.
static inline unsigned touch_tensor(const struct gguf_file *file, const struct tensor *tensor)
{
    if (gguf_find_tensor(file, tensor->name) != tensor) abort();
    unsigned sum = touch_bytes(tensor->data, tensor->bytes);
    float *row = malloc(tensor->dims[0] * sizeof *row);
    if (!row) return sum;
    codec_unpack_row(tensor, 0, row);
    codec_unpack_row(tensor, tensor->rows - 1, row);
    sum += touch_bytes(row, tensor->dims[0] * sizeof *row);
    free(row);
    return sum;
}

static inline unsigned touch_file(const struct gguf_file *file)
{
    unsigned sum = 0;
    for (uint64_t i = 0; i < file->n_pairs; i++)
        sum += touch_pair(file, &file->pairs[i]);
    for (uint64_t i = 0; i < file->n_tensors; i++)
        sum += touch_tensor(file, &file->tensors[i]);
    return sum;
}

#endif
