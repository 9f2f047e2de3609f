#include "ops/log_prob.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/operator_case.h"

namespace reckon {
namespace {

int32_t TargetOf(int64_t row, int64_t vocab_size) {
  return static_cast<int32_t>((row * 5 + 2) % vocab_size);
}

std::vector<int32_t> TargetsOf(RowSpan rows, int64_t vocab_size) {
  std::vector<int32_t> targets;
  for (int64_t r = 0; r < rows.count; ++r) targets.push_back(TargetOf(rows.begin + r, vocab_size));
  return targets;
}

// Logarithms of softmax(logits / temperature).
Doubles ReferenceLogSoftmax(const double* logits, int64_t n, double temperature) {
  const double largest = *std::max_element(logits, logits + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp((logits[i] - largest) / temperature);
  Doubles out;
  for (int64_t i = 0; i < n; ++i)
    out.push_back((logits[i] - largest) / temperature - std::log(sum));
  return out;
}

OperatorCase LogProbCase(int64_t rows, int64_t vocab_size, float temperature) {
  OperatorCase c{"TokenLogProbs" + std::to_string(rows), {RowsInput("logits", rows, vocab_size)}};
  c.parts = CutRows(rows, {1, 4});
  c.run = [=](const Runtime& rt, Tape* tape, Operands& in) {
    return TokenLogProbs(rt, tape, in.variables[0], TargetsOf(in.rows, vocab_size), temperature)
        .values;
  };
  c.reference = [=](const std::vector<Doubles>& in) {
    Doubles out;
    for (int64_t r = 0; r < rows; ++r) {
      const Doubles row = ReferenceLogSoftmax(in[0].data() + r * vocab_size, vocab_size,
                                              static_cast<double>(temperature));
      out.push_back(row[static_cast<size_t>(TargetOf(r, vocab_size))]);
    }
    return out;
  };
  c.one_reader = true;
  c.roundings = 24;  // 41 / 16 + 4 sums of exponentials, a logarithm, the scale, two differences
  return c;
}

INSTANTIATE_TEST_SUITE_P(LogProb, OperatorAnswer, testing::Values(LogProbCase(7, 41, 0.75f)),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(LogProb, OperatorBits,
                         testing::Values(LogProbCase(7, 41, 0.75f), LogProbCase(200, 300, 1.0f)),
                         CaseName);

class LogProbTest : public testing::Test {
 protected:
  ThreadPool pool_{1};
  const Runtime rt_{&pool_, KernelTables().back(), Precision::kF32};
};

TEST_F(LogProbTest, ReportsTheEntropyInNats) {
  constexpr int64_t kRows = 5, kVocab = 41;
  const std::vector<float> logits = RandomFloats("logits", kRows * kVocab, 2);
  const LogProbs result =
      TokenLogProbs(rt_, nullptr, AsVariable(kRows, logits), TargetsOf({0, kRows}, kVocab), 0.5f);
  for (int64_t r = 0; r < kRows; ++r) {
    const Doubles row(logits.begin() + r * kVocab, logits.begin() + (r + 1) * kVocab);
    double entropy = 0;
    for (double x : ReferenceLogSoftmax(row.data(), kVocab, 0.5)) entropy -= std::exp(x) * x;
    // log_sum_exp, of order 10, minus a mean of logits: some 16 roundings of 2^-24 each.
    EXPECT_NEAR(result.entropy[static_cast<size_t>(r)], entropy, 16 * 10 * 0x1p-24);
  }
}

TEST_F(LogProbTest, OfEqualLogitsIsMinusTheLogarithmOfTheirNumber) {
  const std::vector<int32_t> targets = {3};
  const LogProbs result =
      TokenLogProbs(rt_, nullptr, AsVariable(1, std::vector<float>(8, 5)), targets);
  // 5 - (5 + log 8): three roundings of a number of order 8.
  EXPECT_NEAR(result.values.value().row(0)[0], -std::log(8.0), 3 * 8 * 0x1p-24);
  EXPECT_NEAR(result.entropy[0], std::log(8.0), 3 * 8 * 0x1p-24);
}

TEST_F(LogProbTest, SurvivesLogitsOfAnySize) {
  const std::vector<int32_t> targets = {1, 0};
  const LogProbs result =
      TokenLogProbs(rt_, nullptr, AsVariable(2, {-1e30f, 1e30f, 3e4f, -3e4f}), targets);
  EXPECT_EQ(result.values.value().row(0)[0], 0);
  EXPECT_EQ(result.values.value().row(1)[0], 0);
  EXPECT_EQ(result.entropy[0], 0);
}

TEST_F(LogProbTest, RefusesWrongTargetsAndTemperatures) {
  const Variable logits = AsVariable(2, RandomFloats("logits", 6));
  const auto run = [&](const std::vector<int32_t>& targets, float temperature) {
    TokenLogProbs(rt_, nullptr, logits, targets, temperature);
  };
  EXPECT_THROW(run({0}, 1), Error);
  EXPECT_THROW(run({0, 3}, 1), Error);
  EXPECT_THROW(run({-1, 0}, 1), Error);
  EXPECT_THROW(run({0, 0}, 0), Error);
  EXPECT_THROW(run({0, 0}, std::nanf("")), Error);
  EXPECT_NO_THROW(run({0, 2}, 1));
}

}  // namespace
}  // namespace reckon
