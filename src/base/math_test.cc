#include "base/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"

namespace reckon {
namespace {

// Distance of a double from an exact value, in units in the last place of the exact one.
double UlpError(double value, long double exact) {
  const double nearest = std::fabs(static_cast<double>(exact));
  const double ulp = std::nextafter(nearest, std::numeric_limits<double>::infinity()) - nearest;
  return static_cast<double>(std::fabs(static_cast<long double>(value) - exact) / ulp);
}

TEST(Math, StaysWithinTwoUlpOfLongDouble) {
  Rng rng(7, {StreamName("math-test")});
  double worst_exp = 0, worst_log = 0, worst_pow = 0, worst_sin = 0, worst_cos = 0;
  for (int i = 0; i < 100000; ++i) {
    const double x = (rng.Uniform() - 0.5) * 1400;
    worst_exp = std::max(worst_exp, UlpError(Exp(x), std::exp(static_cast<long double>(x))));
    const double y = i % 2 == 0 ? std::exp(x) : 0.5 + rng.Uniform();
    worst_log = std::max(worst_log, UlpError(Log(y), std::log(static_cast<long double>(y))));
    const double base = rng.Uniform() * 20000 + 0.1, exponent = (rng.Uniform() - 0.5) * 4;
    worst_pow = std::max(worst_pow, UlpError(Pow(base, exponent),
                                             std::pow(static_cast<long double>(base), exponent)));
    const double angle = (rng.Uniform() - 0.5) * (i % 3 == 0 ? 10 : i % 3 == 1 ? 1e4 : 2e6);
    double sine = 0, cosine = 0;
    SinCos(angle, &sine, &cosine);
    worst_sin = std::max(worst_sin, UlpError(sine, std::sin(static_cast<long double>(angle))));
    worst_cos = std::max(worst_cos, UlpError(cosine, std::cos(static_cast<long double>(angle))));
  }
  EXPECT_LE(worst_exp, 2);
  EXPECT_LE(worst_log, 2);
  EXPECT_LE(worst_pow, 2);
  EXPECT_LE(worst_sin, 2);
  EXPECT_LE(worst_cos, 2);
}

TEST(Math, KnowsTheEndsOfItsRange) {
  EXPECT_EQ(Exp(0), 1);
  EXPECT_EQ(Exp(-1000), 0);
  EXPECT_EQ(Exp(1000), std::numeric_limits<double>::infinity());
  EXPECT_EQ(Log(1), 0);
  EXPECT_EQ(Log(0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(Pow(2, 10), 1024);
}

}  // namespace
}  // namespace reckon
