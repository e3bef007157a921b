#include "base/elementary.h"

#include <math.h>
#include <stdint.h>

// ldexp, frexp, floor and isnan are exact in every C library; nothing else of libm is used.

// ln 2 in two parts: n * LN2_HIGH is exact for |n| < 2^20, as its last 21 bits are zero.
static const double LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 0x1.a39ef35793c76p-33;

double elementary_exp(double x)
{
    if (isnan(x)) return x;
    if (x > 709.782712893384) return INFINITY;
    if (x < -745.2) return 0;
    // x = n ln 2 + r, |r| <= ln 2 / 2; exp r by its Taylor series, whose 14th term is below 2^-60.
    double n = floor(x * 1.4426950408889634 + 0.5);
    double r = (x - n * LN2_HIGH) - n * LN2_LOW;
    double sum = 1;
    for (int k = 14; k >= 1; k--)
        sum = 1 + r * sum / k;
    return ldexp(sum, (int)n);
}

double elementary_log(double x)
{
    if (isnan(x) || x < 0) return NAN;
    if (x == 0) return -INFINITY;
    if (isinf(x)) return x;
    // x = m 2^e, m in [sqrt 1/2, sqrt 2); log m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172: s^22 <
    // 2^-55.
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) {
        m *= 2;
        e--;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int k = 23; k >= 3; k -= 2)
        sum = s2 * (sum + 1.0 / k);
    return e * LN2_HIGH + (2 * s * sum + (e * LN2_LOW + 2 * s));
}

// sin and cos of |r| <= pi / 4 by their Taylor series; the first term left out is below 2^-60.
static double sine_series(double r)
{
    double r2 = r * r, sum = 0;
    for (int k = 17; k >= 3; k -= 2)
        sum = -r2 / ((double)k * (k - 1)) * (1 + sum);
    return r + r * sum;
}

static double cosine_series(double r)
{
    double r2 = r * r, sum = 0;
    for (int k = 18; k >= 2; k -= 2)
        sum = -r2 / ((double)k * (k - 1)) * (1 + sum);
    return 1 + sum;
}

void elementary_sincos(double x, double *sine, double *cosine)
{
    if (!(x >= -0x1p30 && x <= 0x1p30)) {
        *sine = *cosine = NAN;
        return;
    }
    // pi / 2 in three parts (33 + 33 + 53 bits; Cody and Waite): n times either of the first two is exact for
    // n < 2^20, and for larger n the error grows as the header says.
    const double HALF_PI_1 = 0x1.921fb544p+0, HALF_PI_2 = 0x1.0b4611a6p-34, HALF_PI_3 = 0x1.3198a2e037073p-69;
    double n = floor(x * 0.63661977236758134 + 0.5);
    double r = ((x - n * HALF_PI_1) - n * HALF_PI_2) - n * HALF_PI_3;
    double s = sine_series(r), c = cosine_series(r);
    switch ((int64_t)n & 3) {
    case 0:
        *sine = s, *cosine = c;
        break;
    case 1:
        *sine = c, *cosine = -s;
        break;
    case 2:
        *sine = -s, *cosine = -c;
        break;
    default:
        *sine = -c, *cosine = s;
        break;
    }
}
