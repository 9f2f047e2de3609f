// Double-precision elementary functions with the same bits on every machine: plain multiplications
// and additions, no libm. Error at most 2 units in the last place of a double on the stated ranges.
#pragma once

namespace reckon {

double Exp(double x);                      // |x| <= 708; 0 or infinity outside
double Log(double x);                      // x > 0
double Pow(double base, double exponent);  // base > 0; Exp(exponent * Log(base)) in extra precision
void SinCos(double x, double* sin, double* cos);  // |x| <= 2^20 pi / 2

}  // namespace reckon
