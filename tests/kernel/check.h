// Runs every kernel table against the reference, bit by bit, after the idea of dav1d's checkasm.
#ifndef TESTS_KERNEL_CHECK_H
#define TESTS_KERNEL_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kernel.h"

struct check {
    const struct kernels *table, *reference;
    bool quick;      // fewer sizes: for emulators
    bool pairs;      // tiles lie in pairs
    uint64_t random; // state of check_random()
    int n_checks, n_failures;
    int n_reported; // of the function at work: only the first few are printed
    const char *what;
};

uint64_t check_random(struct check *check);
int64_t check_range(struct check *check, int64_t least, int64_t most); // both included

// Floats to fill inputs with.
enum fill {
    FILL_NORMAL,   // -4 .. 4
    FILL_ZERO,     // +0 and -0
    FILL_HUGE,     // near the largest float
    FILL_TINY,     // subnormals, and normals next to them
    FILL_BITS,     // any finite bits
    FILL_OUTLIER,  // mostly small, some a thousand times larger
    FILL_INFINITE, // with infinities and NaN among them: only for quantise
    FILL_COUNT
};
extern const char *const check_fill_names[FILL_COUNT];
void check_fill(struct check *check, enum fill fill, float *x, int64_t n);
void check_bytes(struct check *check, void *p, int64_t n);
uint16_t check_half(struct check *check, enum fill fill); // finite

// Memory that ends right before a page without access and begins after known bytes: writing or reading past the end
// stops the program, writing before the start is found by guard_ok(). Exits on a lack of memory.
struct guard {
    uint8_t *map;
    size_t map_bytes, bytes;
    void *data; // aligned to 64 if `bytes` is a multiple of 64
};
struct guard guard_open(int64_t bytes);
bool guard_ok(const struct guard *guard);
void guard_close(struct guard *guard);

// Starts the function `what`: failures are counted under its name.
void check_begin(struct check *check, const char *what);
// Compares n floats bit by bit (two NaN are equal whatever their payload) and prints where they differ first, with the
// printf-style description of the case.
bool check_floats(struct check *check, const float *got, const float *wanted, int64_t n, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool check_same(struct check *check, const void *got, const void *wanted, int64_t bytes, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool check_true(struct check *check, bool good, const char *format, ...) __attribute__((format(printf, 3, 4)));

// The parts. `only`: name of the one function to run, or NULL.
void check_vectors(struct check *check, const char *only);
void check_exp(struct check *check, const char *only);
void check_tiles(struct check *check, const char *only);
void check_multiply(struct check *check, const char *only);
void check_attention(struct check *check, const char *only);
void check_bench(const struct kernels *table, const char *only, int threads, double seconds);

static inline bool check_wanted(const char *only, const char *name)
{
    for (const char *a = only, *b = name; only != NULL; a++, b++) {
        if (*a != *b) return false;
        if (*a == 0) break;
    }
    return true;
}

#endif
