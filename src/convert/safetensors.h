// Safetensors files, read through a memory map: a JSON header that names tensors, and their bytes behind it.
// Source: the format's description in huggingface/safetensors. Everything is checked before it is used: after
// safetensors_open() has returned TERN_OK, every tensor's bytes are inside the mapping.
#ifndef CONVERT_SAFETENSORS_H
#define CONVERT_SAFETENSORS_H

#include "base/mapped_file.h"

enum { SAFETENSORS_MAX_HEADER = 16 << 20 }; // bytes of JSON; the largest models have about a tenth of it

enum safetensors_type {
    SAFETENSORS_F32,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_U8,
    SAFETENSORS_OTHER, // a type of the format that nothing here reads
};

struct safetensors_tensor {
    char *name;
    enum safetensors_type type;
    uint32_t n_dims;     // 0..4
    uint64_t dims[4];    // as in the file: the last runs fastest; unused ones are 1
    uint64_t bytes;      // of the data
    const uint8_t *data; // in the mapped file
};

struct safetensors {
    struct mapped_file image;
    bool in_memory; // the image is the caller's
    uint64_t n_tensors;
    struct safetensors_tensor *tensors; // [n_tensors], sorted by name
};

// Errors: IO, BAD_FILE, NO_MEMORY, with the file's path and the tensor's name. Close with safetensors_close().
tern_status safetensors_open(const char *path, struct safetensors *out);
void safetensors_close(struct safetensors *file); // fine on an all-zero one

// An image in memory ([size], stays the caller's): for tests and fuzzing. Messages begin with `name`.
tern_status safetensors_open_memory(const uint8_t *data, size_t size, const char *name, struct safetensors *out);

const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name); // NULL if absent

#endif
