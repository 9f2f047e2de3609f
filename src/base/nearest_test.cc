#include "base/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace reckon {
namespace {

const std::vector<std::string> kWords = {"k", "seed", "steps", "num_experts_per_tok"};

TEST(Nearest, IsTheWordWithTheFewestMistakes) {
  EXPECT_EQ(Nearest("sede", kWords), "seed");
  EXPECT_EQ(Nearest("step", kWords), "steps");
  EXPECT_EQ(Nearest("steps", kWords), "steps");
  EXPECT_EQ(Nearest("num_expert_per_token", kWords), "num_experts_per_tok");
}

TEST(Nearest, IsNothingWhereAllAreFar) {
  EXPECT_EQ(Nearest("learning_rate", kWords), "");
  EXPECT_EQ(Nearest("x", kWords), "") << "nothing of \"k\" is left";
  EXPECT_EQ(Nearest("seed", {}), "");
}

}  // namespace
}  // namespace reckon
