#include "convert/gguf_writer.h"

#include "base/half.h"

#include <string.h>

// ---- Numbers and strings ----------------------------------------------------------------------------------------

static tern_status append_number(struct buffer *out, uint64_t value, size_t bytes)
{
    uint8_t little[8];
    for (size_t i = 0; i < bytes; i++)
        little[i] = (uint8_t)(value >> 8 * i);
    return buffer_append(out, little, bytes);
}

static tern_status append_string(struct buffer *out, const char *data, size_t length)
{
    TRY(append_number(out, length, 8));
    return buffer_append(out, data, length);
}

// Bytes of a number of this type.
static size_t number_bytes(enum gguf_type type)
{
    switch (type) {
    case GGUF_U8:
    case GGUF_I8:
    case GGUF_BOOL:
        return 1;
    case GGUF_U16:
    case GGUF_I16:
        return 2;
    case GGUF_U64:
    case GGUF_I64:
    case GGUF_F64:
        return 8;
    default:
        return 4;
    }
}

// ---- Pairs ------------------------------------------------------------------------------------------------------

void metadata_free(struct metadata *metadata)
{
    buffer_free(&metadata->bytes);
    *metadata = (struct metadata){0};
}

static tern_status begin_pair(struct metadata *metadata, const char *key, enum gguf_type type)
{
    metadata->count++;
    TRY(append_string(&metadata->bytes, key, strlen(key)));
    return append_number(&metadata->bytes, type, 4);
}

tern_status metadata_add_u32(struct metadata *metadata, const char *key, uint32_t value)
{
    TRY(begin_pair(metadata, key, GGUF_U32));
    return append_number(&metadata->bytes, value, 4);
}

tern_status metadata_add_f32(struct metadata *metadata, const char *key, float value)
{
    TRY(begin_pair(metadata, key, GGUF_F32));
    return append_number(&metadata->bytes, half_to_bits32(value), 4);
}

tern_status metadata_add_bool(struct metadata *metadata, const char *key, bool value)
{
    TRY(begin_pair(metadata, key, GGUF_BOOL));
    return append_number(&metadata->bytes, value, 1);
}

tern_status metadata_add_string(struct metadata *metadata, const char *key, const char *value, size_t length)
{
    TRY(begin_pair(metadata, key, GGUF_STRING));
    return append_string(&metadata->bytes, value, length);
}

tern_status metadata_begin_array(struct metadata *metadata, const char *key, enum gguf_type type, uint64_t count)
{
    TRY(begin_pair(metadata, key, GGUF_ARRAY));
    TRY(append_number(&metadata->bytes, type, 4));
    return append_number(&metadata->bytes, count, 8);
}

tern_status metadata_element_string(struct metadata *metadata, const char *value, size_t length)
{
    return append_string(&metadata->bytes, value, length);
}

tern_status metadata_element_u32(struct metadata *metadata, uint32_t value)
{
    return append_number(&metadata->bytes, value, 4);
}

static tern_status add_array(struct metadata *metadata, const char *key, const struct gguf_array *array)
{
    TRY(metadata_begin_array(metadata, key, array->type, array->count));
    if (array->type != GGUF_STRING)
        return buffer_append(&metadata->bytes, array->data, (size_t)array->count * number_bytes(array->type));
    for (uint64_t i = 0; i < array->count; i++)
        TRY(metadata_element_string(metadata, array->strings[i].data, array->strings[i].length));
    return TERN_OK;
}

static uint64_t number_bits(const struct gguf_value *value)
{
    uint64_t bits = value->u;
    if (value->type == GGUF_F32) return half_to_bits32((float)value->f);
    if (value->type == GGUF_F64) memcpy(&bits, &value->f, sizeof bits);
    return bits;
}

tern_status metadata_add_value(struct metadata *metadata, const char *key, const struct gguf_value *value)
{
    if (value->type == GGUF_ARRAY) return add_array(metadata, key, &value->array);
    if (value->type == GGUF_STRING) return metadata_add_string(metadata, key, value->string.data, value->string.length);
    TRY(begin_pair(metadata, key, value->type));
    return append_number(&metadata->bytes, number_bits(value), number_bytes(value->type));
}

// ---- Header -----------------------------------------------------------------------------------------------------

uint64_t gguf_writer_padding(uint64_t bytes)
{
    return (GGUF_WRITER_ALIGNMENT - bytes % GGUF_WRITER_ALIGNMENT) % GGUF_WRITER_ALIGNMENT;
}

static tern_status append_tensor(const struct gguf_writer_tensor *tensor, uint64_t offset, struct buffer *out)
{
    TRY(append_string(out, tensor->name, strlen(tensor->name)));
    TRY(append_number(out, tensor->n_dims, 4));
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        TRY(append_number(out, tensor->dims[i], 8));
    TRY(append_number(out, dtype_info(tensor->type)->gguf_id, 4));
    return append_number(out, offset, 8);
}

tern_status gguf_writer_header(const struct metadata *metadata, const struct gguf_writer_tensor *tensors,
                               uint64_t n_tensors, struct buffer *out)
{
    static const char zeros[GGUF_WRITER_ALIGNMENT];
    size_t start = out->length;
    TRY(buffer_append(out, "GGUF", 4));
    TRY(append_number(out, 3, 4));
    TRY(append_number(out, n_tensors, 8));
    TRY(append_number(out, metadata->count, 8));
    TRY(buffer_append(out, metadata->bytes.data, metadata->bytes.length));
    uint64_t offset = 0;
    for (uint64_t i = 0; i < n_tensors; i++) {
        TRY(append_tensor(&tensors[i], offset, out));
        offset += tensors[i].bytes + gguf_writer_padding(tensors[i].bytes);
    }
    return buffer_append(out, zeros, (size_t)gguf_writer_padding(out->length - start));
}
