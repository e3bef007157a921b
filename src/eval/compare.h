// Whether two files denote the same weights, value for value, whatever types, layouts and splits they use.
#ifndef EVAL_COMPARE_H
#define EVAL_COMPARE_H

#include "format/gguf.h"

enum compare_state {
    COMPARE_EQUAL,
    COMPARE_DIFFERENT, // the same shape, other values
    COMPARE_MISSHAPEN, // other dimensions
    COMPARE_ONLY_A,
    COMPARE_ONLY_B,
};

struct compared_tensor {
    enum compare_state state;
    const struct tensor *a, *b; // borrowed from the files; NULL where a file has no tensor of this name
    uint64_t weights;           // compared, of them
    uint64_t different;
    double largest;         // |a - b|; infinity or NaN if one of the two is
    uint64_t row, column;   // of the first that differs, rows counted through all further dimensions
    float value_a, value_b; // there
};

struct comparison {
    struct compared_tensor *tensors; // [n_tensors] in A's order, then those that only B has; owned
    uint64_t n_tensors;
    uint64_t counts[COMPARE_ONLY_B + 1]; // tensors by state
    uint64_t weights, different;
    uint64_t bytes; // of both files' tensors that were compared
};

// Equal means equal as numbers: -0 is 0, NaN is NaN. `threads` >= 1. progress(context, fraction) is called by the
// calling thread between pieces of work, may be NULL; false gives CANCELLED. Pages are given back as they are done
// with. Errors: NO_MEMORY, CANCELLED. The files must outlive the result; free it with comparison_free().
tern_status compare_weights(const struct gguf_file *a, const struct gguf_file *b, int threads,
                            bool (*progress)(void *context, float fraction), void *context, struct comparison *out);
void comparison_free(struct comparison *comparison);

// The first tensor that is not equal, in the result's order; NULL if all are.
const struct compared_tensor *comparison_first(const struct comparison *comparison);

bool comparison_is_equal(const struct comparison *comparison);

// Of the tensor that is there.
const char *compared_name(const struct compared_tensor *tensor);

#endif
