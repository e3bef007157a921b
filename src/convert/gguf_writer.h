// What stands before the tensor data of a GGUF file that is written: version 3, little-endian, alignment 32.
#ifndef CONVERT_GGUF_WRITER_H
#define CONVERT_GGUF_WRITER_H

#include "base/buffer.h"
#include "format/gguf.h"

enum { GGUF_WRITER_ALIGNMENT = 32 }; // of the tensor data and of each tensor: the format's default

// Key-value pairs, encoded as they will stand in the file. All zero is empty; give it to metadata_free().
struct metadata {
    struct buffer bytes;
    uint64_t count;
};

void metadata_free(struct metadata *metadata);

tern_status metadata_add_u32(struct metadata *metadata, const char *key, uint32_t value);
tern_status metadata_add_f32(struct metadata *metadata, const char *key, float value);
tern_status metadata_add_bool(struct metadata *metadata, const char *key, bool value);
tern_status metadata_add_string(struct metadata *metadata, const char *key, const char *value, size_t length);

// A pair read from another file, with the same type and bits.
tern_status metadata_add_value(struct metadata *metadata, const char *key, const struct gguf_value *value);

// Opens an array; exactly `count` elements must follow.
tern_status metadata_begin_array(struct metadata *metadata, const char *key, enum gguf_type type, uint64_t count);
tern_status metadata_element_string(struct metadata *metadata, const char *value, size_t length);
tern_status metadata_element_u32(struct metadata *metadata, uint32_t value); // for I32 and F32 too, as bits

struct gguf_writer_tensor {
    const char *name;
    enum dtype type;
    uint32_t n_dims;
    uint64_t dims[4];
    uint64_t bytes; // its data is followed by zeros up to the alignment
};

// Bytes to add behind `bytes` up to the alignment.
uint64_t gguf_writer_padding(uint64_t bytes);

// Appends the header, padded to where the first tensor's data starts; tensors lie in the order given.
tern_status gguf_writer_header(const struct metadata *metadata, const struct gguf_writer_tensor *tensors,
                               uint64_t n_tensors, struct buffer *out);

#endif
