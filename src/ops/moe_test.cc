#include "ops/moe.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "ops/linear.h"
#include "ops/operator_case.h"

namespace reckon {
namespace {

using testing::ElementsAre;

RouterShape Shape8() {
  RouterShape shape;
  shape.n_routed_experts = 8;
  shape.num_experts_per_tok = 3;
  shape.n_group = 4;
  shape.topk_group = 2;
  shape.routed_scaling_factor = 2.5f;
  return shape;
}

Doubles ReferenceScores(const RouterShape& shape, const double* logits) {
  Doubles scores;
  double sum = 0;
  for (int64_t e = 0; e < shape.n_routed_experts; ++e) {
    scores.push_back(shape.scoring_func == ScoringFunc::kSigmoid ? 1 / (1 + std::exp(-logits[e]))
                                                                 : std::exp(logits[e]));
    sum += scores.back();
  }
  if (shape.scoring_func == ScoringFunc::kSoftmax) {
    for (double& score : scores) score /= sum;
  }
  return scores;
}

// The k best of `values`, ascending; a stable sort keeps the lowest index among equals.
std::vector<size_t> Best(const Doubles& values, int64_t k) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  order.resize(static_cast<size_t>(k));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<size_t> ReferenceChoice(const RouterShape& shape, Doubles scores,
                                    const std::vector<float>& bias) {
  for (size_t e = 0; e < bias.size(); ++e) scores[e] += static_cast<double>(bias[e]);
  if (shape.topk_method != TopkMethod::kGreedy) {
    const size_t groups = static_cast<size_t>(shape.n_group), size = scores.size() / groups;
    Doubles of_group;
    for (size_t g = 0; g < groups; ++g) {
      Doubles members(scores.begin() + static_cast<std::ptrdiff_t>(g * size),
                      scores.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
      std::sort(members.rbegin(), members.rend());
      of_group.push_back(shape.topk_method == TopkMethod::kNoauxTc ? members[0] + members[1]
                                                                   : members[0]);
    }
    const std::vector<size_t> open = Best(of_group, shape.topk_group);
    for (size_t e = 0; e < scores.size(); ++e) {
      if (std::count(open.begin(), open.end(), e / size) == 0) scores[e] = -INFINITY;
    }
  }
  return Best(scores, shape.num_experts_per_tok);
}

Doubles ReferenceWeights(const RouterShape& shape, const Doubles& scores,
                         const std::vector<size_t>& chosen) {
  double sum = 1;
  if (shape.norm_topk_prob) {
    sum = 0;
    for (size_t e : chosen) sum += scores[e];
  }
  Doubles weights;
  for (size_t e : chosen) {
    weights.push_back(scores[e] / sum * static_cast<double>(shape.routed_scaling_factor));
  }
  return weights;
}

// The choice of every row for the values a case begins with: it is not differentiated.
std::vector<std::vector<size_t>> FrozenChoices(const RouterShape& shape,
                                               const std::vector<float>& logits,
                                               const std::vector<float>& bias) {
  const Doubles wide(logits.begin(), logits.end());
  std::vector<std::vector<size_t>> choices;
  for (size_t r = 0; r * 8 < wide.size(); ++r) {
    choices.push_back(ReferenceChoice(shape, ReferenceScores(shape, wide.data() + r * 8), bias));
  }
  return choices;
}

std::vector<float> Bias() { return {0.1f, -0.2f, 0, 0.05f, 0.3f, -0.1f, 0, 0.15f}; }

OperatorCase RouteCase(const std::string& name, int64_t rows, const RouterShape& shape) {
  OperatorCase c{name + std::to_string(rows), {RowsInput("logits", rows, 8)}};
  c.parts = CutRows(rows, {1, 5});
  c.run = [shape](const Runtime& rt, Tape* tape, Operands& in) {
    return Route(rt, tape, in.variables[0], Bias(), shape).weights;
  };
  c.reference = [shape, choices = FrozenChoices(shape, c.inputs[0].values, Bias())](
                    const std::vector<Doubles>& in) {
    Doubles out;
    for (size_t r = 0; r < choices.size(); ++r) {
      const Doubles weights =
          ReferenceWeights(shape, ReferenceScores(shape, in[0].data() + r * 8), choices[r]);
      out.insert(out.end(), weights.begin(), weights.end());
    }
    return out;
  };
  c.roundings = 32;  // an exponential, divisions, and sums over 8 experts
  return c;
}

std::vector<OperatorCase> RouteCases(int64_t rows) {
  RouterShape plain = Shape8(), greedy = Shape8(), softmax = Shape8();
  plain.norm_topk_prob = false;
  plain.topk_method = TopkMethod::kGroupLimitedGreedy;
  greedy.topk_method = TopkMethod::kGreedy;
  softmax.scoring_func = ScoringFunc::kSoftmax;
  return {RouteCase("RouteNoauxTc", rows, Shape8()), RouteCase("RouteGroupLimited", rows, plain),
          RouteCase("RouteGreedy", rows, greedy), RouteCase("RouteSoftmax", rows, softmax)};
}

// The routed experts of a layer: one matrix an expert between dispatch and combination.
OperatorCase ExpertsCase(int64_t rows, int64_t hidden, int64_t out_dim) {
  OperatorCase c{"Experts" + std::to_string(rows),
                 {RowsInput("logits", rows, 8), RowsInput("x", rows, hidden),
                  WeightInput("experts", {8, out_dim, hidden})}};
  c.parts = CutRows(rows, {1, 5, 64});
  c.run = [](const Runtime& rt, Tape* tape, Operands& in) {
    const Routing routing = Route(rt, tape, in.variables[0], Bias(), Shape8());
    const Variable sorted = Dispatch(rt, tape, in.variables[1], routing);
    const Variable out = GroupedLinear(rt, tape, sorted, *in.parameters[2], *routing.offsets);
    return Combine(rt, tape, out, routing);
  };
  c.reference = [=, choices = FrozenChoices(Shape8(), c.inputs[0].values, Bias())](
                    const std::vector<Doubles>& in) {
    Doubles y(static_cast<size_t>(rows * out_dim), 0);
    for (size_t r = 0; r < choices.size(); ++r) {
      const Doubles weights =
          ReferenceWeights(Shape8(), ReferenceScores(Shape8(), in[0].data() + r * 8), choices[r]);
      for (size_t j = 0; j < weights.size(); ++j) {
        for (size_t i = 0; i < static_cast<size_t>(out_dim * hidden); ++i) {
          const size_t o = i / static_cast<size_t>(hidden), d = i % static_cast<size_t>(hidden);
          y[r * static_cast<size_t>(out_dim) + o] +=
              weights[j] * in[2][choices[r][j] * static_cast<size_t>(out_dim * hidden) + i] *
              in[1][r * static_cast<size_t>(hidden) + d];
        }
      }
    }
    return y;
  };
  c.roundings = 2 * 13 + 2 * 9 + 32;  // chains of 13 and 9, and the router's
  return c;
}

std::vector<OperatorCase> Cases(int64_t rows, int64_t hidden, int64_t out_dim) {
  std::vector<OperatorCase> cases = RouteCases(rows);
  cases.push_back(ExpertsCase(rows, hidden, out_dim));
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Moe, OperatorAnswer, testing::ValuesIn(Cases(11, 13, 9)), CaseName);
INSTANTIATE_TEST_SUITE_P(Moe, OperatorBits, testing::ValuesIn(Cases(400, 70, 40)), CaseName);
INSTANTIATE_TEST_SUITE_P(SmallMoe, OperatorBits, testing::ValuesIn(Cases(11, 13, 9)), CaseName);

class RouteTest : public testing::Test {
 protected:
  ThreadPool pool_{1};
  const Runtime rt_{&pool_, KernelTables().back(), Precision::kF32};
  std::vector<int32_t> Experts(const std::vector<float>& logits, const std::vector<float>& bias,
                               const RouterShape& shape) const {
    return *Route(rt_, nullptr, AsVariable(1, logits), bias, shape).experts;
  }
};

TEST_F(RouteTest, ChoosesTheExpertsOfTheReference) {
  constexpr int64_t kRows = 500;
  for (TopkMethod method :
       {TopkMethod::kNoauxTc, TopkMethod::kGreedy, TopkMethod::kGroupLimitedGreedy}) {
    RouterShape shape = Shape8();
    shape.topk_method = method;
    const std::vector<float> logits = RandomFloats("routed", kRows * 8);
    std::vector<int32_t> want;
    for (const auto& choice : FrozenChoices(shape, logits, Bias())) {
      want.insert(want.end(), choice.begin(), choice.end());
    }
    const Routing routing = Route(rt_, nullptr, AsVariable(kRows, logits), Bias(), shape);
    EXPECT_EQ(*routing.experts, want);
  }
}

TEST_F(RouteTest, KeepsToTheOpenGroupsWhereAllBiasedScoresAreNegative) {
  // Biased scores are all below zero; groups {4, 5} and {6, 7} have the best sums. Masking with
  // zero instead of minus infinity would prefer the closed groups.
  const std::vector<float> bias(8, -5);
  const std::vector<float> logits = {0, 0, 0, 0, 1, 2, 3, 1};
  EXPECT_THAT(Experts(logits, bias, Shape8()), ElementsAre(4, 5, 6));
}

TEST_F(RouteTest, RanksGroupsByTheirTwoBestOrTheirBest) {
  // Group 0 has the best expert, groups 1 and 2 the best pairs.
  const std::vector<float> logits = {3, -9, 1, 1, 1, 1, -9, -9};
  RouterShape shape = Shape8();
  shape.num_experts_per_tok = 2;
  shape.topk_group = 1;
  EXPECT_THAT(Experts(logits, {}, shape), ElementsAre(2, 3));
  shape.topk_method = TopkMethod::kGroupLimitedGreedy;
  EXPECT_THAT(Experts(logits, {}, shape), ElementsAre(0, 1));
  shape.topk_method = TopkMethod::kGreedy;
  EXPECT_THAT(Experts(logits, {}, shape), ElementsAre(0, 2));
}

TEST_F(RouteTest, GivesTiesToTheLowestIndex) {
  EXPECT_THAT(Experts(std::vector<float>(8, 0.5f), {}, Shape8()), ElementsAre(0, 1, 2));
  const std::vector<float> logits = {0, 1, 0, 1, 0, 1, 0, 1};
  RouterShape greedy = Shape8();
  greedy.topk_method = TopkMethod::kGreedy;
  EXPECT_THAT(Experts(logits, {}, greedy), ElementsAre(1, 3, 5));
}

TEST_F(RouteTest, LetsTheBiasChooseButNotWeigh) {
  const std::vector<float> logits = {0, 0, 0, 0, 0, 0, 0, 0};
  std::vector<float> bias(8, 0);
  bias[6] = bias[7] = 1;
  RouterShape shape = Shape8();
  shape.num_experts_per_tok = 2;
  shape.topk_group = 1;
  const Routing routing = Route(rt_, nullptr, AsVariable(1, logits), bias, shape);
  EXPECT_THAT(*routing.experts, ElementsAre(6, 7));
  EXPECT_EQ(routing.weights.value().row(0)[0], 1.25f);  // 2.5 times a half, all exact
  EXPECT_EQ(routing.scores.value().row(0)[6], 0.5f);
}

TEST_F(RouteTest, SortsTheChoicesByExpertWithRowsAscending) {
  constexpr int64_t kRows = 50;
  const Routing routing =
      Route(rt_, nullptr, AsVariable(kRows, RandomFloats("sorted", kRows * 8)), Bias(), Shape8());
  const std::vector<int64_t>& offsets = *routing.offsets;
  ASSERT_EQ(offsets.size(), 9u);
  EXPECT_EQ(offsets.front(), 0);
  EXPECT_EQ(offsets.back(), kRows * 3);
  for (size_t e = 0; e < 8; ++e) {
    for (int64_t s = offsets[e]; s < offsets[e + 1]; ++s) {
      const int64_t choice = (*routing.source)[static_cast<size_t>(s)];
      EXPECT_EQ((*routing.experts)[static_cast<size_t>(choice)], static_cast<int32_t>(e));
      EXPECT_EQ((*routing.slots)[static_cast<size_t>(choice)], s);
      const bool first = s == offsets[e];
      EXPECT_TRUE(first || (*routing.source)[static_cast<size_t>(s - 1)] < choice);
    }
  }
}

TEST_F(RouteTest, RefusesShapesThatDoNotFit) {
  const Variable logits(2, 8), narrow(2, 7);
  const std::vector<float> bias(7, 0);
  EXPECT_THROW(Route(rt_, nullptr, narrow, {}, Shape8()), Error);
  EXPECT_THROW(Route(rt_, nullptr, logits, bias, Shape8()), Error);
  const Routing routing = Route(rt_, nullptr, AsVariable(2, RandomFloats("two", 16)), {}, Shape8());
  EXPECT_THROW(Combine(rt_, nullptr, Variable(5, 4), routing), Error);
  EXPECT_THROW(Dispatch(rt_, nullptr, Variable(3, 4), routing), Error);
}

// alpha * sum_i f_i P_i (arXiv:2412.19437, eq. 17 to 20) over all spans, with f_i of the choices by
// unbiased score.
double ReferenceBalance(const RouterShape& shape, const Doubles& logits,
                        const std::vector<std::vector<size_t>>& choices,
                        const std::vector<RowSpan>& spans, double alpha) {
  double loss = 0;
  for (const RowSpan& span : spans) {
    Doubles f(8, 0), p(8, 0);
    for (int64_t r = span.begin; r < span.begin + span.count; ++r) {
      const Doubles scores = ReferenceScores(shape, logits.data() + r * 8);
      const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
      for (size_t e : choices[static_cast<size_t>(r)]) f[e] += 1;
      for (size_t e = 0; e < 8; ++e) p[e] += scores[e] / sum;
    }
    const double rows = static_cast<double>(span.count);
    const double k = static_cast<double>(shape.num_experts_per_tok);
    for (size_t e = 0; e < 8; ++e) {
      loss += alpha * (8 / (k * rows) * f[e]) * (p[e] / rows);
    }
  }
  return loss;
}

TEST_F(RouteTest, BalanceLossAndItsGradientAreThoseOfTheEquations) {
  constexpr double kAlpha = 0.25, kStep = 0x1p-17;
  const std::vector<RowSpan> spans = {{0, 5}, {5, 1}, {6, 6}};
  for (ScoringFunc scoring : {ScoringFunc::kSigmoid, ScoringFunc::kSoftmax}) {
    RouterShape shape = Shape8(), unlimited = Shape8();
    shape.scoring_func = unlimited.scoring_func = scoring;
    unlimited.topk_method = TopkMethod::kGreedy;
    const std::vector<float> logits = RandomFloats("balance", 12 * 8);
    const auto choices = FrozenChoices(unlimited, logits, {});
    Doubles wide(logits.begin(), logits.end());
    Tape tape;
    const Variable x = AsVariable(12, logits);
    const Routing routing = Route(rt_, &tape, x, Bias(), shape, static_cast<float>(kAlpha), spans);
    // Frequencies, normalised scores and their products: a dozen roundings of numbers up to 1.
    EXPECT_NEAR(routing.balance_loss, ReferenceBalance(shape, wide, choices, spans, kAlpha),
                12 * 0x1p-24);
    tape.Backward();  // the loss is a source of gradient by itself
    for (size_t i = 0; i < wide.size(); ++i) {
      const double saved = wide[i];
      wide[i] = saved + kStep;
      const double above = ReferenceBalance(shape, wide, choices, spans, kAlpha);
      wide[i] = saved - kStep;
      const double below = ReferenceBalance(shape, wide, choices, spans, kAlpha);
      wide[i] = saved;
      ASSERT_NEAR(x.grad().data[i], (above - below) / (2 * kStep), 24 * 0x1p-24) << i;
    }
  }
}

TEST_F(RouteTest, BalanceLossIsLeastWhereChoicesAreEven) {
  // Eight rows, each preferring another expert: f_i = 1 and sum_i P_i = 1, so the loss is alpha.
  RouterShape shape = Shape8();
  shape.num_experts_per_tok = 1;
  std::vector<float> even(64, 0), uneven(64, 0);
  for (size_t r = 0; r < 8; ++r) even[r * 8 + r] = uneven[r * 8] = 2;
  const auto loss = [&](const std::vector<float>& logits) {
    return Route(rt_, nullptr, AsVariable(8, logits), {}, shape, 1, {{0, 8}}).balance_loss;
  };
  EXPECT_NEAR(loss(even), 1, 12 * 0x1p-24);
  EXPECT_GT(loss(uneven), 1.2);
}

}  // namespace
}  // namespace reckon
