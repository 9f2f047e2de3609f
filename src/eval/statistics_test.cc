#include "eval/statistics.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(PassAtK, KnowsTheClosedForms) {
  EXPECT_NEAR(PassAtK(10, 3, 1), 0.3, 1e-12);
  EXPECT_NEAR(PassAtK(5, 2, 2), 1 - 3.0 / 10, 1e-12);  // C(3,2) / C(5,2)
  EXPECT_EQ(PassAtK(5, 0, 3), 0);
  EXPECT_EQ(PassAtK(5, 3, 3), 1);
  EXPECT_EQ(PassAtK(5, 5, 5), 1);
}

TEST(MajorityVote, TakesTheMostFrequentAndTheEarliestAmongEquals) {
  EXPECT_EQ(MajorityVote({"a", "b", "b"}, 3), 1);
  EXPECT_EQ(MajorityVote({"a", "b", "b"}, 2), 0);
  EXPECT_EQ(MajorityVote({"", "", "c"}, 3), 2);
  EXPECT_EQ(MajorityVote({"", ""}, 2), -1);
}

TEST(WilsonInterval, KnownAnswer) {
  // Wilson's interval of 8 of 10 at 95%: 0.4902 to 0.9433.
  const Interval i = WilsonInterval(8, 10);
  EXPECT_NEAR(i.low, 0.4902, 1e-4);
  EXPECT_NEAR(i.high, 0.9433, 1e-4);
  EXPECT_EQ(WilsonInterval(0, 10).low, 0);
  EXPECT_EQ(WilsonInterval(10, 10).high, 1);
}

TEST(BootstrapInterval, CoversTheMeanAndIsSeeded) {
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) values.push_back(i % 4 == 0 ? 1 : 0);
  const Interval a = BootstrapInterval(values, 1), b = BootstrapInterval(values, 1);
  EXPECT_EQ(a.low, b.low);
  EXPECT_LT(a.low, 0.25);
  EXPECT_GT(a.high, 0.25);
  // Normal approximation: 0.25 +- 1.96 * 0.0306; a bootstrap of 1000 is within a fifth of it.
  EXPECT_NEAR(a.high - a.low, 2 * 1.96 * 0.0306, 0.2 * 0.12);
}

}  // namespace
}  // namespace reckon
