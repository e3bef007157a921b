// One named array in a file, whatever the file's format.
#ifndef FORMAT_TENSOR_H
#define FORMAT_TENSOR_H

#include "format/dtype.h"

struct tensor {
    const char *name; // NUL-terminated, owned by the file
    enum dtype type;
    uint32_t n_dims;     // 1..4
    uint64_t dims[4];    // dims[0] runs fastest: a matrix is [dims[1] rows][dims[0] columns]; unused ones are 1
    uint64_t rows;       // dims[1] * dims[2] * dims[3]
    uint64_t row_bytes;  // row r starts at data + r * row_bytes
    uint64_t bytes;      // rows * row_bytes + tail; wholly inside the mapped file
    const uint8_t *data; // in the mapped file; no alignment may be assumed
};

#endif
