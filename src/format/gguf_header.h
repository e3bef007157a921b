// What stands before the tensor data of one GGUF file: key-value pairs and tensor descriptions. gguf.c's own.
#ifndef FORMAT_GGUF_HEADER_H
#define FORMAT_GGUF_HEADER_H

#include "format/gguf.h"

struct gguf_header {
    uint32_t version;
    uint64_t n_pairs;
    struct gguf_pair *pairs;               // [n_pairs]; keys and string tables are owned
    const struct gguf_pair **pairs_by_key; // [n_pairs], sorted
    uint64_t n_tensors;
    struct tensor *tensors; // [n_tensors] names (owned), types and dims only; type 42 is DTYPE_Q2_0_G64 for now
    uint64_t *offsets;      // [n_tensors] where their data starts, counted from data_start
    uint64_t alignment;     // of the offsets and of data_start; a power of two
    uint64_t data_start;    // from the start of the file; may lie behind its end if there are no tensors
};

// Reads the header of the file image data[size]. Strings and arrays point into the image. Messages start with the
// place, not with the file's name. On failure too, give `out` to gguf_header_free().
tern_status gguf_header_read(const uint8_t *data, size_t size, struct gguf_header *out);
void gguf_header_free(struct gguf_header *header);

// The value of `key`; NULL if absent.
const struct gguf_value *gguf_header_find(const struct gguf_pair *const *pairs_by_key, uint64_t n_pairs,
                                          const char *key);

// Reads an integer of any width and sign if it is in 0..maximum; false otherwise.
bool gguf_value_to_unsigned(const struct gguf_value *value, uint64_t maximum, uint64_t *out);

// "U32", "STRING", ...
const char *gguf_type_name(enum gguf_type type);

#endif
