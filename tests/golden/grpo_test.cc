// Advantages, loss and gradient of GRPO, against the reference of fixtures/grpo.

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "formats/json.h"
#include "formats/safetensors.h"
#include "rl/advantages.h"
#include "rl/policy_loss.h"
#include "tests/golden/shared.h"

namespace reckon {
namespace {

// Tolerances of the fixture: its inputs are f32 (relative 6e-8), sums here are in double.
constexpr double kLossTolerance = 1e-6, kAdvantageTolerance = 1e-5, kRatioTolerance = 1e-6,
                 kGradientTolerance = 1e-7;

class GrpoGolden : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = SharedPath("fixtures/grpo");
    if (!FileExists(folder_ + "/cases.json"))
      GTEST_SKIP() << folder_ << " is absent; set RECKON_SHARED";
    expected_ = std::make_unique<SafetensorsFile>(folder_ + "/expected.safetensors");
    cases_ = ReadJsonFile(folder_ + "/cases.json");
    max_len_ = cases_.at("max_len").get<int64_t>();
  }
  Tensor Load(const std::string& name) const { return expected_->LoadF32(name); }

  std::string folder_;
  std::unique_ptr<SafetensorsFile> expected_;
  Json cases_;
  int64_t max_len_ = 0;
};

TEST_F(GrpoGolden, AdvantagesOfEveryKindAreTheReferences) {
  const struct {
    const char* name;
    AdvantageScale scale;
    double epsilon;
  } kinds[] = {{"sample_std.eps1e-6", AdvantageScale::kSampleStd, 1e-6},
               {"sample_std.eps1e-4", AdvantageScale::kSampleStd, 1e-4},
               {"population_std.eps1e-6", AdvantageScale::kPopulationStd, 1e-6},
               {"no_std", AdvantageScale::kNone, 0}};
  const Tensor rewards = Load("rewards");
  for (const auto& kind : kinds) {
    SCOPED_TRACE(kind.name);
    const Tensor want = Load(std::string("advantages.") + kind.name);
    const std::vector<float> got = GroupAdvantages(
        rewards.floats(), cases_.at("group_size").get<int64_t>(), kind.scale, kind.epsilon);
    ASSERT_EQ(got.size(), want.floats().size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_TRUE(std::abs(double{got[i]} - double{want.floats()[i]}) <= kAdvantageTolerance) << i;
    }
  }
}

TEST_F(GrpoGolden, RatioAndK3AreTheReferences) {
  const Tensor new_lp = Load("new_logprobs"), old_lp = Load("old_logprobs"),
               ref_lp = Load("ref_logprobs"), ratio = Load("ratio"), k3 = Load("k3");
  for (size_t i = 0; i < new_lp.floats().size(); ++i) {
    const TokenPolicyLoss token = PolicyLossOfToken(new_lp.floats()[i], old_lp.floats()[i],
                                                    ref_lp.floats()[i], 1, {0.2, 0.2, 0.04});
    const double want_ratio = ratio.floats()[i], want_k3 = k3.floats()[i];
    EXPECT_TRUE(std::abs(token.ratio - want_ratio) <= kRatioTolerance * (1 + want_ratio)) << i;
    EXPECT_TRUE(std::abs(token.k3 - want_k3) <= kRatioTolerance * (1 + want_k3)) << i;
  }
}

LossAggregation AggregationOf(const std::string& name) {
  return name == "sequence_mean" ? LossAggregation::kSequenceMean
         : name == "token_mean"  ? LossAggregation::kTokenMean
                                 : LossAggregation::kConstant;
}

TEST_F(GrpoGolden, LossGradientAndClipShareOfEveryCaseAreTheReferences) {
  const Tensor old_lp = Load("old_logprobs"), ref_lp = Load("ref_logprobs"), mask = Load("mask");
  const Tensor current_lp = Load("new_logprobs");
  const size_t max_len = static_cast<size_t>(max_len_), rows = mask.floats().size() / max_len;
  std::vector<int64_t> lengths(rows, 0);
  int64_t tokens = 0;
  for (size_t i = 0; i < mask.floats().size(); ++i) {
    lengths[i / max_len] += mask.floats()[i] != 0 ? 1 : 0;
    tokens += mask.floats()[i] != 0 ? 1 : 0;
  }
  int compared = 0;
  for (const Json& c : cases_.at("cases")) {
    const std::string name = c.at("name").get<std::string>();
    SCOPED_TRACE(name);
    const bool on_policy = name.find("on_policy") != std::string::npos;
    const Tensor& new_lp = on_policy ? old_lp : current_lp;
    const Tensor advantages = Load(c.at("advantages").get<std::string>());
    const Tensor want_grad = Load(c.at("grad").get<std::string>());
    const PolicyLossConfig config{c.at("eps_low").get<double>(), c.at("eps_high").get<double>(),
                                  c.at("beta").get<double>()};
    const std::vector<double> weights = AggregationWeights(
        lengths, AggregationOf(c.at("aggregation").get<std::string>()), max_len_);
    double loss = 0;
    int64_t clipped = 0;
    for (size_t i = 0; i < mask.floats().size(); ++i) {
      double gradient = 0;
      if (mask.floats()[i] != 0) {
        const TokenPolicyLoss token =
            PolicyLossOfToken(new_lp.floats()[i], old_lp.floats()[i], ref_lp.floats()[i],
                              advantages.floats()[i / max_len], config);
        loss += weights[i / max_len] * token.loss;
        gradient = weights[i / max_len] * token.d_logprob;
        clipped += token.clipped ? 1 : 0;
      }
      EXPECT_TRUE(std::abs(gradient - double{want_grad.floats()[i]}) <= kGradientTolerance) << i;
    }
    EXPECT_TRUE(std::abs(loss - c.at("loss").get<double>()) <= kLossTolerance) << loss;
    const double share = static_cast<double>(clipped) / static_cast<double>(tokens);
    EXPECT_NEAR(share, c.at("clip_fraction").get<double>(), 1e-9);
    ++compared;
  }
  EXPECT_EQ(compared, 37);
}

}  // namespace
}  // namespace reckon
