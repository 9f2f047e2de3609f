#include "rl/policy_loss.h"

#include <gtest/gtest.h>

#include <cmath>

namespace reckon {
namespace {

TEST(PolicyLossTest, GradientIsTheSlopeOfTheLoss) {
  const PolicyLossConfig config{0.2, 0.28, 0.04};
  for (double advantage : {-1.3, 0.0, 0.7}) {
    for (double difference : {-0.5, -0.1, 0.0, 0.15, 0.6}) {  // away from the two corners
      const double old_lp = -1.2, new_lp = old_lp + difference, ref_lp = -1.0, step = 1e-5;
      const double up = PolicyLossOfToken(new_lp + step, old_lp, ref_lp, advantage, config).loss;
      const double down = PolicyLossOfToken(new_lp - step, old_lp, ref_lp, advantage, config).loss;
      const double slope = (up - down) / (2 * step);
      // Central difference: error step^2 / 6 * third derivative (about 3) plus 1e-16 / step.
      EXPECT_NEAR(PolicyLossOfToken(new_lp, old_lp, ref_lp, advantage, config).d_logprob, slope,
                  1e-9);
    }
  }
}

TEST(PolicyLossTest, OnPolicyTheGradientIsMinusTheAdvantage) {
  const TokenPolicyLoss token = PolicyLossOfToken(-2.5, -2.5, 0, 0.75, {0.2, 0.2, 0});
  EXPECT_EQ(token.ratio, 1);
  EXPECT_EQ(token.loss, -0.75);
  EXPECT_EQ(token.d_logprob, -0.75);
  EXPECT_FALSE(token.clipped);
}

TEST(PolicyLossTest, TheUpperBoundIsItsOwn) {
  const double ratio_125 = std::log(1.25);
  EXPECT_TRUE(PolicyLossOfToken(ratio_125, 0, 0, 1, {0.2, 0.2, 0}).clipped);
  EXPECT_FALSE(PolicyLossOfToken(ratio_125, 0, 0, 1, {0.2, 0.28, 0}).clipped);
  EXPECT_FALSE(PolicyLossOfToken(ratio_125, 0, 0, -1, {0.2, 0.2, 0}).clipped);
  EXPECT_TRUE(PolicyLossOfToken(std::log(0.7), 0, 0, -1, {0.2, 0.28, 0}).clipped);
}

TEST(PolicyLossTest, WeightsOfATokenAddUpToWhatEachAggregationSays) {
  const std::vector<int64_t> lengths = {1, 4, 5};
  const auto total = [&](LossAggregation aggregation) {
    const std::vector<double> weights = AggregationWeights(lengths, aggregation, 8);
    double sum = 0;
    for (size_t i = 0; i < lengths.size(); ++i) sum += weights[i] * static_cast<double>(lengths[i]);
    return sum;
  };
  // A few additions of numbers of size 1 in double.
  EXPECT_NEAR(total(LossAggregation::kSequenceMean), 1, 1e-15);
  EXPECT_NEAR(total(LossAggregation::kTokenMean), 1, 1e-15);
  EXPECT_NEAR(total(LossAggregation::kConstant), 10.0 / 24, 1e-15);
  EXPECT_EQ(AggregationWeights(lengths, LossAggregation::kSequenceMean, 8)[1], 1.0 / 12);
}

}  // namespace
}  // namespace reckon
