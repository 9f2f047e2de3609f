#include "rl/advantages.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace reckon {
namespace {

TEST(AdvantagesTest, EachScaleIsWhatItsNameSays) {
  const std::vector<float> rewards = {1, 0, 0, 1};  // mean 1/2; deviations 1/sqrt(3), 1/2
  const auto first = [&](AdvantageScale scale) { return GroupAdvantages(rewards, 4, scale, 0)[0]; };
  EXPECT_FLOAT_EQ(first(AdvantageScale::kSampleStd), std::sqrt(3.0f) / 2);
  EXPECT_FLOAT_EQ(first(AdvantageScale::kPopulationStd), 1.0f);
  EXPECT_FLOAT_EQ(first(AdvantageScale::kNone), 0.5f);
}

TEST(AdvantagesTest, AGroupOfEqualRewardsIsExactlyZeroBesideOthers) {
  // The mean of three times 0.1f is not 0.1f in every order of summation.
  const std::vector<float> rewards = {0.1f, 0.1f, 0.1f, 0.0f, 1.0f, 2.0f};
  const std::vector<float> got = GroupAdvantages(rewards, 3, AdvantageScale::kSampleStd, 0);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(got[i], 0.0f);
  EXPECT_FLOAT_EQ(got[3], -1.0f);
  EXPECT_FLOAT_EQ(got[5], 1.0f);
  EXPECT_FALSE(HasSignal(std::span(rewards).first(3)));
  EXPECT_TRUE(HasSignal(std::span(rewards).last(3)));
}

TEST(AdvantagesTest, RewardsThatAreNotWholeGroupsAreOurMistake) {
  const std::vector<float> rewards = {1, 0, 1};
  EXPECT_THROW(GroupAdvantages(rewards, 2, AdvantageScale::kNone, 0), Error);
}

}  // namespace
}  // namespace reckon
