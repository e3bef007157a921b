// Figures of an evaluation.
#ifndef EVAL_SUMMARY_H
#define EVAL_SUMMARY_H

#include "eval/evaluate.h"

// A mean with its standard error: the root of (variance / (n - 1)), as llama.cpp's perplexity tool has it.
struct estimate {
    double mean, error; // error: 0 of fewer than two values
};

struct estimate estimate_mean(const double *values, int64_t n); // n >= 1

// exp(mean loss); its error to first order: perplexity * the mean's error.
struct estimate estimate_perplexity(const double *losses, int64_t n);

enum { SUMMARY_QUANTILES = 9 };

// Shares of positions: 1 %, 5 %, 10 %, 25 %, 50 %, 75 %, 90 %, 95 %, 99 %.
extern const double summary_shares[SUMMARY_QUANTILES];

struct summary {
    int64_t n;
    struct estimate perplexity_a, perplexity_b;
    struct estimate log_ratio;  // ln(perplexity of B / perplexity of A), its error from paired differences
    struct estimate divergence; // KL(A || B)
    double largest_divergence;
    double quantiles[SUMMARY_QUANTILES]; // of the divergence, interpolated linearly between its values
    struct estimate same_top;            // a share in 0..1
};

// Of an evaluation of two models with at least one position. Errors: NO_MEMORY.
tern_status summarise(const struct evaluation *evaluation, struct summary *out);

#endif
