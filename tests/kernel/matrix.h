// Random matrices of every type, in the form that runs.
#ifndef TESTS_KERNEL_MATRIX_H
#define TESTS_KERNEL_MATRIX_H

#include "check.h"

struct test_matrix {
    struct tensor tensor;
    struct matrix matrix;
    struct guard file, tiles; // tiles has no bytes for dense types
};

struct matrix_wish {
    enum dtype type;
    int64_t rows, columns;
    enum fill scales; // halves
    bool extreme;     // codes are all the largest one in place of random ones
    bool equal_pairs; // blocks of 64 weights share their scale in pairs
    bool f32;         // as tile_options have it
    bool dense;       // as tile_options have it; the tensor then has no code 3
};

// The tensor has no code 3 where its type forbids it, either. Tiles lie in pairs if check->pairs.
struct test_matrix matrix_open(struct check *check, const struct matrix_wish *wish);

// The same tensor once more, in tiles as `options` have it; its file belongs to *m.
struct test_matrix matrix_again(const struct check *check, const struct test_matrix *m, struct tile_options options);
void matrix_close_again(struct test_matrix *m);

// "PQ2_0, dense tiles"
const char *matrix_name(const struct matrix *w);
void matrix_close(struct test_matrix *m);

#endif
