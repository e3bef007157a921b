// Finding the trits or bits and the scale for a group of weights.
//
// Every ternary method comes to a threshold and a scale: a weight whose magnitude is above the threshold becomes its
// sign times the scale, any other becomes 0. Weights that already are {-s, 0, +s} need no method: ternarise_exact().
#ifndef CONVERT_TERNARISE_H
#define CONVERT_TERNARISE_H

#include "base/status.h"

enum ternarise_method {
    TERNARISE_LEAST_SQUARES, // the trits and the scale with the smallest sum of squared errors
    TERNARISE_ABSMEAN,       // scale: mean magnitude; trits: rounding to it (BitNet b1.58: Ma et al. 2024, eq. 1-3)
    TERNARISE_THRESHOLD,     // threshold: 0.7 of the mean magnitude (ternary weight networks: Li, Liu 2016)
    TERNARISE_BLOCK64,       // least squares over tiles of 64 rows x 64 columns
};

struct ternary_fit {
    float threshold; // >= 0
    float scale;     // >= 0, a half's value
};

// The largest value of a half: a scale may not be above it.
#define TERNARISE_MAX_SCALE 65504.0f

// True if w[n] holds nothing but {-s, 0, +s} for one s that is a half's value; *magnitude is then s (0 if all are 0).
// False otherwise: *magnitude is the first magnitude in w that is neither 0 nor that of the first weight that is not 0,
// or that first magnitude itself where a half cannot hold it.
bool ternarise_exact(const float *w, size_t n, float *magnitude);

// The same for binary {-s, +s}; n zeros are exact with s = 0.
bool binarise_exact(const float *w, size_t n, float *magnitude);

// A fit for w[n], finite. keys[2 * n] is scratch. The scale is rounded to a half, to infinity if it is too large.
// importance[n] >= 0, or NULL for all alike: least squares weighs the squared errors by it. (With the second moments of
// a matrix's inputs, that is the expected squared error of its output if the inputs are not correlated, as in
// llama.cpp's importance matrices.)
struct ternary_fit ternarise_fit(enum ternarise_method method, const float *w, const float *importance, size_t n,
                                 uint64_t *keys);

// The scale of bits that are the signs of w[n]: the mean magnitude, which is the best in least squares for these bits
// (XNOR-Net: Rastegari et al. 2016, section 3.1). Rounded to a half.
float binarise_scale(const float *w, size_t n);

// The scale with the smallest (weighted) sum of squared errors for codes that are given (0..2 for -1, 0, +1), as a
// half.
float ternarise_scale_codes(const float *w, const float *importance, const uint8_t *codes, size_t n);

// codes[n]: 0..2 for -1, 0, +1.
void ternarise_codes(const float *w, size_t n, float threshold, uint8_t *codes);

// bits[n]: 1 for weights >= 0 (+0 and -0 alike).
void binarise_bits(const float *w, size_t n, uint8_t *bits);

#endif
