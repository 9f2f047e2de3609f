#include "base/math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace reckon {
namespace {

constexpr double kLn2High =
    6.93147180369123816490e-01;  // 33 bits: products with small integers are exact
constexpr double kLn2Low = 1.90821492927058770002e-10;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double PowerOfTwo(int64_t exponent) {  // -1022 <= exponent <= 1023
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

// A value and the part that rounding cut from it.
struct Pair {
  double high, low;
};

Pair TwoSum(double a, double b) {
  const double sum = a + b;
  const double part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

// Dekker's product: a * b = high + low exactly, with 26-bit halves (no fma needed).
Pair TwoProduct(double a, double b) {
  constexpr double kSplit = 134217729.0;  // 2^27 + 1
  const double product = a * b;
  const double ta = kSplit * a, ah = ta - (ta - a), al = a - ah;
  const double tb = kSplit * b, bh = tb - (tb - b), bl = b - bh;
  return {product, ((ah * bh - product) + ah * bl + al * bh) + al * bl};
}

// e^(r + low) for |r| <= ln(2) / 2: the Taylor series, whose last term is below 2^-60.
double ExpReduced(double r, double low) {
  double sum = 0;
  for (int n = 14; n >= 2; --n) sum = (sum + 1) * (r / n);
  const double rest = sum * r;
  return 1 + (r + (rest + low * (1 + r + rest)));
}

double ExpOfPair(double x, double low) {
  if (!(x <= 709.7)) return x > 0 ? kInfinity : x;
  if (x < -708) return 0;
  const double n = std::nearbyint(x * 1.44269504088896338700);
  const double r_high = x - n * kLn2High;
  const double r = r_high - n * kLn2Low;
  const double r_low = (r_high - r) - n * kLn2Low + low;
  const int64_t half = static_cast<int64_t>(n) / 2;
  return ExpReduced(r, r_low) * PowerOfTwo(half) * PowerOfTwo(static_cast<int64_t>(n) - half);
}

// log(x) in double-double, good to about 2^-66: m in [sqrt(1/2), sqrt(2)), x = m 2^e,
// log m = 2 atanh(s), s = (m - 1) / (m + 1), the first terms of the series kept as pairs.
Pair LogPair(double x) {
  int64_t exponent = 0;
  if (x < std::numeric_limits<double>::min()) {
    x *= 0x1p54;
    exponent = -54;
  }
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  exponent += static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.41421356237309504880) {
    m *= 0.5;
    ++exponent;
  }
  const double numerator = m - 1, denominator = m + 1;  // m - 1 is exact
  const double denominator_low = m - (denominator - 1);
  const double s = numerator / denominator;
  const Pair back = TwoProduct(s, denominator);
  const double s_low = ((numerator - back.high) - back.low - s * denominator_low) / denominator;
  // 2 s + 2 s^3 / 3 + ... ; the tail from s^3 on needs only double-double where it matters.
  const Pair square = TwoProduct(s, s);
  double tail = 0;
  for (int n = 25; n >= 5; n -= 2) tail = (tail + 1.0 / n) * square.high;
  const Pair cube = TwoProduct(square.high, s);
  const double cube_low = cube.low + square.low * s + 3 * square.high * s_low;
  constexpr double kThird = 1.0 / 3, kThirdLow = 1.850371707708594e-17;
  const Pair third = TwoProduct(cube.high, kThird);
  const double third_low = third.low + cube_low * kThird + cube.high * kThirdLow;
  const Pair odd = TwoSum(s, third.high);
  const double odd_low = odd.low + s_low + third_low + cube.high * tail;
  const double e = static_cast<double>(exponent);
  const Pair sum = TwoSum(e * kLn2High, 2 * odd.high);
  const Pair with_low = TwoSum(sum.high, e * kLn2Low);
  const double low = sum.low + with_low.low + 2 * odd_low;
  const Pair result = TwoSum(with_low.high, low);
  return result;
}

double SinPolynomial(double r) {  // |r| <= pi / 4
  const double z = r * r;
  double sum = 0;
  for (int n = 17; n >= 3; n -= 2) sum = (1 + sum) * (-z / (n * (n - 1)));
  return r + r * sum;
}

double CosPolynomial(double r) {
  const double z = r * r;
  double sum = 0;
  for (int n = 18; n >= 4; n -= 2) sum = (1 + sum) * (-z / (n * (n - 1)));
  const double half = 0.5 * z;
  const double first = 1 - half;
  return first + ((1 - first - half) - half * sum);
}

}  // namespace

double Exp(double x) { return ExpOfPair(x, 0); }

double Log(double x) {
  if (!(x > 0)) return x == 0 ? -kInfinity : std::numeric_limits<double>::quiet_NaN();
  if (x == kInfinity) return x;
  return LogPair(x).high;
}

double Pow(double base, double exponent) {
  const Pair log = LogPair(base);
  const Pair product = TwoProduct(log.high, exponent);
  return ExpOfPair(product.high, product.low + log.low * exponent);
}

void SinCos(double x, double* sin, double* cos) {
  // pi / 2 in three parts of 33 bits and a rest: n times a part is exact for |n| < 2^20.
  constexpr double kPart1 = 1.57079632673412561417e+00, kPart2 = 6.07710050630396597660e-11;
  constexpr double kPart3 = 2.02226624871116645580e-21, kRest = 8.47842766036889956997e-32;
  const double n = std::nearbyint(x * 6.36619772367581382433e-01);
  const double r1 = x - n * kPart1;
  const double w = n * kPart2;
  const double r2 = r1 - w;
  const double lost = (r1 - r2) - w;
  const double r = r2 + (lost - n * kPart3 - n * kRest);
  const double s = SinPolynomial(r), c = CosPolynomial(r);
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      *sin = s;
      *cos = c;
      break;
    case 1:
      *sin = c;
      *cos = -s;
      break;
    case 2:
      *sin = -s;
      *cos = -c;
      break;
    default:
      *sin = -c;
      *cos = s;
      break;
  }
}

}  // namespace reckon
