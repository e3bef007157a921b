// Weights of tokens, e^((logit - most) / temperature), and their sum over a vocabulary: in single precision, by
// operations that give the same bits on every machine and that compilers make vectors of.
#ifndef ENGINE_SOFTMAX_H
#define ENGINE_SOFTMAX_H

#include <stdint.h>

// 0..1 for logit <= most; relative error below 3e-7; 0 where it would be below e^-87, and for a logit that is no
// number.
float softmax_weight(float logit, float most, float temperature);

// Sum of the weights of logits[n], relative error below 1e-6.
double softmax_total(const float *logits, int32_t n, float most, float temperature);

#endif
