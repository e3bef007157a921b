// Random matrices of every type, in the form that runs.
#ifndef TESTS_KERNEL_MATRIX_H
#define TESTS_KERNEL_MATRIX_H

#include "check.h"

struct test_matrix {
    struct tensor tensor;
    struct matrix matrix;
    struct guard file, tiles; // tiles has no bytes for dense types
};

// Codes are random, or all the largest one if `extreme`; scales are halves of the kind `scales`. `equal_pairs`: blocks
// of 64 weights share their scale in pairs. The tensor has no code 3 where its type forbids it. Tiles lie
// in pairs if check->pairs.
struct test_matrix matrix_open(struct check *check, enum dtype type, int64_t rows, int64_t columns, enum fill scales,
                               bool extreme, bool equal_pairs, bool f32);
void matrix_close(struct test_matrix *m);

#endif
