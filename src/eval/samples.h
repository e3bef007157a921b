// Repeated measurements of one thing, on machines that are noisy: medians, and how far they can be trusted.
#ifndef EVAL_SAMPLES_H
#define EVAL_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

enum { SAMPLES_MAX = 100 };

struct samples {
    int32_t count;
    double values[SAMPLES_MAX]; // in the order in which they were measured
};

// Beyond SAMPLES_MAX, values are dropped.
void samples_add(struct samples *samples, double value);

double samples_median(const struct samples *samples); // 0 of none

// An interval that holds what is sought with this confidence (0..1), assuming nothing of how measurements are
// distributed but that they are independent.
struct interval {
    double middle, low, high;
    double confidence; // 0: one measurement says nothing of its error
};

// The median, from order statistics (Conover, Practical Nonparametric Statistics, section 3.2): the narrowest interval
// between two samples at the same distance from the ends whose confidence is at least 95 %, or all from the least to
// the greatest if that is less (fewer than 6 samples; 5 have 93.75 %).
struct interval samples_interval(const struct samples *samples);

// Median of `b` over median of `a`: the percentile bootstrap (Efron and Tibshirani 1993, chapter 13) at 95 %, both
// resampled with a generator that is always seeded alike: the same samples give the same interval. Values are above 0.
struct interval samples_ratio(const struct samples *a, const struct samples *b);

// Nothing says that the ratio is not 1: it is within the interval, or there is none.
bool interval_is_noise(const struct interval *ratio);

#endif
