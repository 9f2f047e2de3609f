#include "infer/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/rng.h"

namespace reckon {
namespace {

class SamplingTest : public testing::Test {
 protected:
  TokenDraw Draw(std::span<const float> logits, const SamplingParams& params, double uniform) {
    TokenDraw draw;
    runtime_.get().pool->ParallelFor(1, [&](int64_t) {
      draw =
          DrawToken(*runtime_.get().kernels, logits, params, prompt_, output_, uniform, scratch_);
    });
    return draw;
  }
  std::vector<float> Logits(int64_t vocab_size, uint64_t seed) {
    Rng rng(seed, {1});
    std::vector<float> logits;
    for (int64_t i = 0; i < vocab_size; ++i) logits.push_back(static_cast<float>(2 * rng.Normal()));
    return logits;
  }

  RuntimeOwner runtime_{1};
  std::vector<int32_t> prompt_, output_;
  std::vector<float> scratch_;
};

// Pearson's statistic over `draws` draws has mean k - 1 and variance 2 (k - 1); 6 standard
// deviations above the mean is passed by chance less than once in 10^6 runs, and the draws are
// seeded.
double ChiSquareLimit(int64_t categories) {
  const auto freedom = static_cast<double>(categories - 1);
  return freedom + 6 * std::sqrt(2 * freedom);
}

TEST_F(SamplingTest, DrawsFollowTheDistributionWithAndWithoutFilters) {
  const std::vector<float> logits = Logits(12, 3);
  SamplingParams plain, cool, filtered;
  cool.temperature = 0.7f;
  filtered.top_k = 8;
  filtered.top_p = 0.9f;
  for (const SamplingParams& params : {plain, cool, filtered}) {
    const std::vector<float> p = SamplingDistribution(logits, params, prompt_, output_);
    std::vector<int64_t> counts(p.size(), 0);
    constexpr int64_t kDraws = 20000;
    for (int64_t i = 0; i < kDraws; ++i) {
      Rng rng(5, {9, static_cast<uint64_t>(i)});
      ++counts[static_cast<size_t>(Draw(logits, params, rng.Uniform()).token)];
    }
    double statistic = 0;
    int64_t categories = 0;
    for (size_t t = 0; t < p.size(); ++t) {
      if (p[t] == 0) {
        EXPECT_EQ(counts[t], 0) << "a token that the filters removed was drawn";
        continue;
      }
      const double expected = static_cast<double>(p[t]) * kDraws;
      statistic += (counts[t] - expected) * (counts[t] - expected) / expected;
      ++categories;
    }
    EXPECT_TRUE(statistic <= ChiSquareLimit(categories)) << statistic;
  }
}

TEST_F(SamplingTest, EveryUniformNumberGivesAPossibleToken) {
  const float minus_infinity = -std::numeric_limits<float>::infinity();
  const std::vector<float> logits = {minus_infinity, 0.5f, -0.25f, minus_infinity};
  EXPECT_EQ(Draw(logits, {}, 0.0).token, 1);
  EXPECT_EQ(Draw(logits, {}, std::nextafter(1.0, 0.0)).token, 2);
}

TEST_F(SamplingTest, GreedyTakesTheBestLogitAndTheLowestIndexOfEqualOnes) {
  SamplingParams greedy;
  greedy.temperature = 0;
  EXPECT_EQ(Draw(std::vector<float>{0.0f, 3.0f, 3.0f, 1.0f}, greedy, 0.9).token, 1);
  output_ = {1};
  greedy.presence_penalty = 1;
  EXPECT_EQ(Draw(std::vector<float>{0.0f, 3.0f, 3.0f, 1.0f}, greedy, 0.9).token, 2);
}

TEST_F(SamplingTest, LogProbabilityAndEntropyAreThoseOfTheUnfilteredDistribution) {
  const std::vector<float> logits = Logits(9, 4);
  SamplingParams params;
  params.temperature = 0.8f;
  params.top_k = 2;
  const TokenDraw draw = Draw(logits, params, 0.4);
  double total = 0, mean = 0;
  for (float logit : logits) total += std::exp(logit / 0.8);
  for (float logit : logits) mean += std::exp(logit / 0.8) / total * logit / 0.8;
  const double logprob = logits[static_cast<size_t>(draw.token)] / 0.8 - std::log(total);
  // f32 sums of 9 terms of size about 5: a few units of 5 * 2^-24 = 3e-7.
  EXPECT_NEAR(draw.logprob, logprob, 2e-6);
  EXPECT_NEAR(draw.entropy, std::log(total) - mean, 2e-6);
}

TEST_F(SamplingTest, LogitsThatAreNotNumbersAreAnError) {
  const std::vector<float> logits = {0.0f, std::nanf(""), 1.0f};
  EXPECT_THROW(Draw(logits, {}, 0.5), Error);
}

TEST(SamplingParamsTest, ValuesOutOfRangeAreRefusedByName) {
  const auto message = [](const SamplingParams& params) -> std::string {
    try {
      CheckSamplingParams(params);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  SamplingParams params;
  EXPECT_EQ(message(params), "");
  params.temperature = -1;
  EXPECT_THAT(message(params), testing::HasSubstr("temperature is -1"));
  params = {};
  params.top_p = 0;
  EXPECT_THAT(message(params), testing::HasSubstr("top_p is 0"));
  params = {};
  params.min_p = std::nanf("");
  EXPECT_THAT(message(params), testing::HasSubstr("min_p is nan"));
  params = {};
  params.top_k = -3;
  EXPECT_THAT(message(params), testing::HasSubstr("top_k is -3"));
}

}  // namespace
}  // namespace reckon
