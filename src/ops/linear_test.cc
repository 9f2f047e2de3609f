#include "ops/linear.h"

#include <cmath>

#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/operator_case.h"

namespace reckon {
namespace {

// out[r] += W x[r], W [out, in] at `weight`.
void ReferenceProduct(const double* x, const double* weight, int64_t out, int64_t in, double* y) {
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t i = 0; i < in; ++i) y[o] += weight[o * in + i] * x[i];
  }
}

OperatorCase LinearCase(int64_t rows, int64_t in_dim, int64_t out_dim) {
  OperatorCase c{"Linear" + std::to_string(rows),
                 {RowsInput("x", rows, in_dim), WeightInput("weight", {out_dim, in_dim}),
                  WeightInput("bias", {out_dim})}};
  c.parts = CutRows(rows, {1, 2, 3, 64});
  c.run = [](const Runtime& rt, Tape* tape, Operands& in) {
    return Linear(rt, tape, in.variables[0], *in.parameters[1], in.parameters[2].get());
  };
  c.reference = [=](const std::vector<Doubles>& in) {
    Doubles out;
    for (int64_t r = 0; r < rows; ++r) {
      out.insert(out.end(), in[2].begin(), in[2].end());
      ReferenceProduct(in[0].data() + r * in_dim, in[1].data(), out_dim, in_dim,
                       out.data() + r * out_dim);
    }
    return out;
  };
  c.roundings = 2 * static_cast<double>(std::max(in_dim, out_dim));  // a chain of that length
  return c;
}

// x has two readers, so the second adds to the gradient that the first has written.
OperatorCase TwoReadersCase(int64_t rows, int64_t in_dim, int64_t out_dim) {
  OperatorCase c = LinearCase(rows, in_dim, out_dim);
  c.name = "LinearOfOneInputTwice" + std::to_string(rows);
  c.inputs[2] = WeightInput("other weight", {out_dim, in_dim});
  c.run = [](const Runtime& rt, Tape* tape, Operands& in) {
    return Add(rt, tape, Linear(rt, tape, in.variables[0], *in.parameters[1]),
               Linear(rt, tape, in.variables[0], *in.parameters[2]));
  };
  c.reference = [=](const std::vector<Doubles>& in) {
    Doubles out(static_cast<size_t>(rows * out_dim), 0);
    for (int64_t r = 0; r < rows; ++r) {
      for (size_t w : {1, 2}) {
        ReferenceProduct(in[0].data() + r * in_dim, in[w].data(), out_dim, in_dim,
                         out.data() + r * out_dim);
      }
    }
    return out;
  };
  return c;
}

// Rows [offsets[e], offsets[e + 1]) of the batch go through expert e; some experts have none.
OperatorCase GroupedCase(int64_t rows, int64_t in_dim, int64_t out_dim) {
  const std::vector<int64_t> offsets = {0, rows / 3, rows / 3, rows / 2, rows, rows};
  const int64_t experts = static_cast<int64_t>(offsets.size()) - 1;
  OperatorCase c{"GroupedLinear" + std::to_string(rows),
                 {RowsInput("x", rows, in_dim), WeightInput("weight", {experts, out_dim, in_dim})}};
  c.parts = CutRows(rows, {1, 2, 3, 64});
  c.run = [offsets](const Runtime& rt, Tape* tape, Operands& in) {
    std::vector<int64_t> cut;
    for (int64_t offset : offsets) {
      cut.push_back(std::clamp<int64_t>(offset - in.rows.begin, 0, in.rows.count));
    }
    return GroupedLinear(rt, tape, in.variables[0], *in.parameters[1], cut);
  };
  c.reference = [=](const std::vector<Doubles>& in) {
    Doubles out(static_cast<size_t>(rows * out_dim), 0);
    for (int64_t e = 0; e < experts; ++e) {
      for (int64_t r = offsets[static_cast<size_t>(e)]; r < offsets[static_cast<size_t>(e + 1)];
           ++r) {
        ReferenceProduct(in[0].data() + r * in_dim, in[1].data() + e * out_dim * in_dim, out_dim,
                         in_dim, out.data() + r * out_dim);
      }
    }
    return out;
  };
  c.roundings = 2 * static_cast<double>(std::max(in_dim, out_dim));
  return c;
}

INSTANTIATE_TEST_SUITE_P(Linear, OperatorAnswer,
                         testing::Values(LinearCase(9, 37, 21), TwoReadersCase(5, 12, 33),
                                         GroupedCase(10, 13, 9)),
                         CaseName);
// 400 rows make three tiles of rows; a single row of a wide product is cut by columns.
INSTANTIATE_TEST_SUITE_P(Linear, OperatorBits,
                         testing::Values(LinearCase(400, 70, 100), LinearCase(1, 300, 500),
                                         LinearCase(9, 37, 21), TwoReadersCase(60, 40, 70),
                                         GroupedCase(400, 70, 100), GroupedCase(10, 13, 9)),
                         CaseName);

class LinearTest : public testing::Test {
 protected:
  ThreadPool pool_{1};
  const Runtime f32_{&pool_, KernelTables().back(), Precision::kF32};
  const Runtime bf16_{&pool_, KernelTables().back(), Precision::kBF16};
  Parameter weight_{"weight", Tensor::FromFloats({3, 4}, RandomFloats("w", 12)), true};
};

TEST_F(LinearTest, InBf16MultipliesRoundedOperands) {
  // 1 + 2^-9 lies between the bf16 numbers 1 and 1 + 2^-7 and rounds to 1; 1 + 3 * 2^-9 is nearer
  // to 1 + 2^-7. The products and their sum are exact in f32.
  Parameter weight("weight", Tensor::FromFloats({1, 2}, std::vector<float>{1 + 0x1p-9f, 2}), true);
  const Variable x = AsVariable(1, {4, 1 + 3 * 0x1p-9f});
  EXPECT_EQ(Linear(bf16_, nullptr, x, weight).value().row(0)[0], 4 + 2 * (1 + 0x1p-7f));
  EXPECT_EQ(Linear(f32_, nullptr, x, weight).value().row(0)[0],
            4 * (1 + 0x1p-9f) + 2 * (1 + 3 * 0x1p-9f));
}

TEST_F(LinearTest, KeepsF32WhereItIsAskedForInABf16Run) {
  const Variable x = AsVariable(2, RandomFloats("x", 8));
  const std::vector<float> f32 = AsFloats(Linear(f32_, nullptr, x, weight_).value());
  EXPECT_FALSE(SameBits(AsFloats(Linear(bf16_, nullptr, x, weight_).value()), f32));
  EXPECT_TRUE(SameBits(AsFloats(LinearF32(bf16_, nullptr, x, weight_).value()), f32));
}

TEST_F(LinearTest, LeavesTheGradientOfAFrozenWeightAlone) {
  weight_.set_trainable(false);
  const Variable x = AsVariable(2, RandomFloats("x", 8));
  Tape tape;
  const Variable y = Linear(f32_, &tape, x, weight_);
  y.grad().row(1)[2] = 1;
  tape.Backward();
  EXPECT_FALSE(weight_.has_grad());
  EXPECT_EQ(x.grad().row(1)[3], weight_.value().f32()[2 * 4 + 3]);
}

TEST_F(LinearTest, NamesTheWeightThatDoesNotFit) {
  try {
    Linear(f32_, nullptr, Variable(2, 5), weight_);
    FAIL() << "an input of 5 columns was multiplied by a weight of 4";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("weight [3, 4]"), std::string::npos) << error.what();
  }
}

TEST_F(LinearTest, RefusesShapesThatDoNotFit) {
  Parameter experts("experts", Tensor::Zeros(DType::kF32, {2, 3, 4}), true);
  const Variable x(6, 4);
  Parameter bias("bias", Tensor::Zeros(DType::kF32, {2}), false);
  EXPECT_THROW(Linear(f32_, nullptr, x, experts), Error);
  EXPECT_THROW(Linear(f32_, nullptr, x, weight_, &bias), Error);
  EXPECT_THROW(GroupedLinear(f32_, nullptr, x, weight_, {0, 6}), Error);
  EXPECT_THROW(GroupedLinear(f32_, nullptr, x, experts, {0, 6}), Error);
  EXPECT_THROW(GroupedLinear(f32_, nullptr, x, experts, {0, 3, 5}), Error);
  EXPECT_THROW(GroupedLinear(f32_, nullptr, x, experts, {1, 3, 6}), Error);
  EXPECT_THROW(GroupedLinear(f32_, nullptr, x, experts, {0, 7, 6}), Error);
}

}  // namespace
}  // namespace reckon
