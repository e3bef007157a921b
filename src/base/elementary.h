// Elementary functions in double precision from IEEE + - * / alone, so that they give the same bits with every C
// library and compiler (built with -ffp-contract=off). Relative error below 1e-15 over the ranges stated.
#ifndef BASE_ELEMENTARY_H
#define BASE_ELEMENTARY_H

double elementary_exp(double x); // 0 below -745, infinity above 709.78, NaN for NaN
double elementary_log(double x); // -infinity at 0, NaN below
// sin and cos of x radians, absolute error below 1e-15 for |x| up to 2^20; NaN beyond 2^30, where nobody needs them.
void elementary_sincos(double x, double *sine, double *cosine);

#endif
