#include "base/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace reckon {
namespace {

// Philox4x32-10 as the paper's section 3.3 states it, to hold the class against.
using Counter = std::array<uint32_t, 4>;
using Key = std::array<uint32_t, 2>;
Counter ReferencePhilox(Counter c, Key k) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) k = {k[0] + 0x9E3779B9u, k[1] + 0xBB67AE85u};
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0], p1 = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
  }
  return c;
}

// The inverse of SplitMix64's finaliser, with which the class scatters seed and coordinates:
// a seed of Unscatter(k) makes k the key.
uint64_t UndoShift(uint64_t y, int shift) {
  uint64_t x = y;
  for (int i = 0; i < 64 / shift; ++i) x = y ^ (x >> shift);
  return x;
}
uint64_t Unscatter(uint64_t x) {
  x = UndoShift(x, 31) * 0x319642b2d24d8ec3ull;  // the inverses modulo 2^64 of the two factors
  x = UndoShift(x, 27) * 0x96de1b173f119089ull;
  return UndoShift(x, 30) - 0x9e3779b97f4a7c15ull;
}

// The lines "philox4x32 10" of Random123's kat_vectors.
TEST(Philox, ReferenceOfThisTestHasThePublishedVectors) {
  EXPECT_EQ(ReferencePhilox({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(ReferencePhilox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      ReferencePhilox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, WithKeyAndCounterZeroGivesThePublishedVector) {
  Rng rng(Unscatter(0), {});
  EXPECT_EQ(rng.Next(), 0xe169c58d6627e8d5ull);
}

TEST(Rng, IsPhiloxOfSeedStreamAndIndex) {
  for (uint64_t key : {uint64_t{0}, uint64_t{0x299f31d0a4093822}, ~uint64_t{0}}) {
    for (uint64_t stream : {uint64_t{0}, uint64_t{0x0370734413198a2e}, ~uint64_t{0}}) {
      // The stream of one coordinate c is Scatter(1 ^ Scatter(c)).
      Rng rng(Unscatter(key), {Unscatter(Unscatter(stream) ^ 1)});
      for (uint32_t index = 0; index < 5; ++index) {
        const Counter want = ReferencePhilox(
            {index, 0, static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
            {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
        EXPECT_EQ(rng.Next(), uint64_t{want[1]} << 32 | want[0]) << key << " " << stream;
      }
    }
  }
}

TEST(Rng, DoesNotDependOnWhatOthersDraw) {
  Rng alone(5, {1, 2}), crowded(5, {1, 2}), other(5, {2, 1});
  for (int i = 0; i < 100; ++i) {
    for (int j = 0; j < i % 3; ++j) other.Normal();
    EXPECT_EQ(alone.Next(), crowded.Next()) << i;
  }
}

TEST(Rng, CoordinatesNameDifferentStreams) {
  const uint64_t first = Rng(5, {1, 2}).Next();
  EXPECT_EQ(Rng(5, {1, 2}).Next(), first);
  EXPECT_NE(Rng(6, {1, 2}).Next(), first);
  EXPECT_NE(Rng(5, {2, 1}).Next(), first);
  EXPECT_NE(Rng(5, {1}).Next(), first);
  EXPECT_NE(Rng(5, {1, 2, 0}).Next(), first);
  EXPECT_NE(StreamName("a"), StreamName("b"));
}

constexpr int kDraws = 200000;
// A mean of n draws with standard deviation s strays from its expectation by 5 s / sqrt(n) once in
// two million seeds; the seed here is fixed.
double FiveSigma(double standard_deviation) {
  return 5 * standard_deviation / std::sqrt(static_cast<double>(kDraws));
}

TEST(Rng, UniformHasTheMomentsOfItsDistribution) {
  Rng rng(7, {StreamName("uniform")});
  double sum = 0, squares = 0, least = 1, most = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.Uniform();
    sum += x;
    squares += x * x;
    least = std::min(least, x);
    most = std::max(most, x);
  }
  EXPECT_NEAR(sum / kDraws, 0.5, FiveSigma(std::sqrt(1.0 / 12)));
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, FiveSigma(std::sqrt(1.0 / 5 - 1.0 / 9)));
  EXPECT_GE(least, 0);
  EXPECT_LT(most, 1);
}

TEST(Rng, NormalHasTheMomentsOfItsDistribution) {
  Rng rng(7, {StreamName("normal")});
  double sum = 0, squares = 0, fourths = 0;
  int tail = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.Normal();
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
    tail += std::fabs(x) > 2 ? 1 : 0;
  }
  EXPECT_NEAR(sum / kDraws, 0, FiveSigma(1));
  EXPECT_NEAR(squares / kDraws, 1, FiveSigma(std::sqrt(2.0)));   // E x^4 - 1 = 2
  EXPECT_NEAR(fourths / kDraws, 3, FiveSigma(std::sqrt(96.0)));  // E x^8 - 9 = 105 - 9
  const double p = 0.0455003;                                    // of two standard deviations
  EXPECT_NEAR(static_cast<double>(tail) / kDraws, p, FiveSigma(std::sqrt(p * (1 - p))));
}

TEST(Rng, BelowIsUniformOverItsBound) {
  Rng rng(7, {StreamName("below")});
  std::vector<int> counts(7, 0);
  for (int i = 0; i < kDraws; ++i) ++counts.at(static_cast<size_t>(rng.Below(7)));
  for (int count : counts) {
    EXPECT_NEAR(static_cast<double>(count) / kDraws, 1.0 / 7, FiveSigma(std::sqrt(6.0) / 7));
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.Below(1), 0);
  // Two thirds of 2^63 - 1: a modulo of 64 bits alone would favour the lower half.
  const int64_t bound = 6148914691236517204;
  int low = 0;
  for (int i = 0; i < kDraws; ++i) low += rng.Below(bound) < bound / 2 ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(low) / kDraws, 0.5, FiveSigma(0.5));
  EXPECT_THROW(rng.Below(0), Error);
}

TEST(Rng, BernoulliKnowsItsEnds) {
  Rng rng(7, {StreamName("bernoulli")});
  int count = 0;
  for (int i = 0; i < kDraws; ++i) {
    EXPECT_FALSE(rng.Bernoulli(0));
    EXPECT_TRUE(rng.Bernoulli(1));
    count += rng.Bernoulli(0.25) ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(count) / kDraws, 0.25, FiveSigma(std::sqrt(3.0) / 4));
}

}  // namespace
}  // namespace reckon
