// What a model would weigh in each type: bytes of its tensors, and memory to run it.
#ifndef EVAL_SIZES_H
#define EVAL_SIZES_H

#include "format/tensor.h"
#include "model/config.h"

struct size_estimate {
    uint64_t matrix_weights, matrix_bytes; // of matrices in this type
    uint64_t odd_matrices;                 // whose rows are not whole blocks of it: counted as F16, not among the above
    uint64_t tensor_bytes;                 // of all tensors; vectors stay in F32
    uint64_t run_bytes;                    // of memory for all weights when the model runs
    uint64_t mapped_bytes;                 // of these, used where they lie in the file: read again if there is no room
};

// A file in which every matrix (a tensor of two or more dimensions), embedding and head included, has this type.
// Ternary and binary matrices run as tiles: 2.125 and 1.125 bits a weight whatever the file has, ternary ones with
// groups of 64 2.25 (2.125 too if their scales come in equal pairs, which only the weights can say), the others 1.75 in
// dense tiles, if rows are whole groups of 128.
struct size_estimate sizes_of_type(const struct tensor *tensors, uint64_t n_tensors, enum dtype type, bool dense_tiles);

// A file as it is.
struct size_estimate sizes_as_is(const struct tensor *tensors, uint64_t n_tensors, bool dense_tiles);

double sizes_bits_per_weight(const struct size_estimate *estimate); // of its matrices; 0 if there are none

// The least that a ternary weight takes with one 16-bit scale for each 128: log2 3 + 16/128 bits.
extern const double sizes_ternary_bound;

// All that a context of `context` tokens needs, keys and values of this type.
uint64_t sizes_memory(const struct size_estimate *estimate, const struct config *config, tern_kv_type kv_type,
                      int32_t context);

#endif
