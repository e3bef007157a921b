#include "eval/prediction.h"

#include <math.h>

struct prediction prediction_of(const float *logits, int32_t n, tern_token next)
{
    struct prediction p = {0};
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[p.top]) p.top = i;
    double highest = (double)logits[p.top], sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - highest);
    p.log_sum = highest + log(sum);
    p.log_probability = (double)logits[next] - p.log_sum;
    return p;
}

double prediction_divergence(const float *a, double log_sum_a, const float *b, double log_sum_b, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        double log_a = (double)a[i] - log_sum_a, probability = exp(log_a);
        if (probability > 0) sum += probability * (log_a - ((double)b[i] - log_sum_b));
    }
    return sum < 0 ? 0 : sum; // of equal distributions rounding may leave less than 0
}
