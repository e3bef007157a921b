// What logits say of the next token, and how far two models' predictions are apart. All in nats.
#ifndef EVAL_PREDICTION_H
#define EVAL_PREDICTION_H

#include "base/status.h"

struct prediction {
    tern_token top;         // the likeliest, the lowest of equals
    double log_sum;         // ln sum exp(logits): a token's log probability is its logit less this
    double log_probability; // of the token that came
};

// logits: [n], at least one; next: in 0..n-1. log_sum is NaN or infinite if a logit is NaN or +infinity.
struct prediction prediction_of(const float *logits, int32_t n, tern_token next);

// Kullback-Leibler divergence sum p_a ln(p_a / p_b) of two distributions given as logits [n] with their log_sum, never
// below 0. Tokens that A gives no chance count nothing.
double prediction_divergence(const float *a, double log_sum_a, const float *b, double log_sum_b, int32_t n);

#endif
