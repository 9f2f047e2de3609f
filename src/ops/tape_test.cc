#include "ops/tape.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "ops/linear.h"
#include "ops/operator_case.h"

namespace reckon {
namespace {

TEST(Tape, RunsItsClosuresLastToFirstAndForgetsThem) {
  Tape tape;
  std::vector<int> order;
  const auto held = std::make_shared<int>(0);
  for (int i = 0; i < 3; ++i) tape.Record([&order, i, held] { order.push_back(i); });
  EXPECT_EQ(tape.size(), 3u);
  EXPECT_EQ(held.use_count(), 4);
  tape.Backward();
  EXPECT_EQ(order, (std::vector<int>{2, 1, 0}));
  EXPECT_EQ(tape.size(), 0u);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Variable, GradientIsOverwrittenAtFirstAndAddedToAfterwards) {
  const Variable x(2, 3);
  EXPECT_FALSE(x.has_grad());
  EXPECT_FALSE(x.grad_target().accumulate);
  EXPECT_TRUE(x.grad_target().accumulate);
  x.drop_grad();
  EXPECT_FALSE(x.has_grad());
  for (float g : AsFloats(x.grad())) EXPECT_EQ(g, 0);
}

TEST(Variable, WithoutAValueIsRefused) {
  EXPECT_FALSE(Variable().defined());
  EXPECT_THROW(Variable().value(), Error);
}

// y = x W^T for a weight of one element.
float Multiply(const Runtime& rt, Parameter& weight) {
  return Linear(rt, nullptr, AsVariable(1, {1}), weight).value().row(0)[0];
}

TEST(Parameter, IsPackedAnewAfterAChangeAndForAnotherPrecision) {
  ThreadPool pool(1);
  const Runtime f32{&pool, KernelTables().back(), Precision::kF32};
  const Runtime bf16{&pool, KernelTables().back(), Precision::kBF16};
  Parameter weight("w", Tensor::FromFloats({1, 1}, std::vector<float>{1 + 0x1p-9f}), true);
  EXPECT_EQ(Multiply(f32, weight), 1 + 0x1p-9f);
  EXPECT_EQ(Multiply(bf16, weight), 1);
  EXPECT_EQ(Multiply(f32, weight), 1 + 0x1p-9f);
  weight.value().f32()[0] = 3;
  weight.Changed();
  EXPECT_EQ(Multiply(f32, weight), 3);
}

TEST(Parameter, GradientBeginsAtZeroAndReturnsToIt) {
  Parameter weight("w", Tensor::FromFloats({2}, std::vector<float>{1, 2}), false);
  EXPECT_FALSE(weight.has_grad());
  EXPECT_EQ(weight.grad().f32()[1], 0);
  weight.grad().f32()[1] = 5;
  weight.ZeroGrad();
  EXPECT_TRUE(weight.has_grad());
  EXPECT_EQ(weight.grad().f32()[1], 0);
}

TEST(Parameter, OfOneDimensionIsNotPacked) {
  ThreadPool pool(1);
  const Runtime rt{&pool, KernelTables().back(), Precision::kF32};
  Parameter norm("norm", Tensor::Zeros(DType::kF32, {4}), false);
  EXPECT_THROW(norm.packed_forward(rt), Error);
  EXPECT_THROW(Parameter("ids", Tensor::Zeros(DType::kI64, {4}), false), Error);
}

TEST(Runtime, NamesTheInstructionSetsWhereTheForcedOneIsUnknown) {
  const char* before = std::getenv("RECKON_ISA");
  const std::string saved = before == nullptr ? "" : before;
  setenv("RECKON_ISA", "mmx", 1);
  try {
    RuntimeOwner runtime(1);
    ADD_FAILURE() << "mmx was accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("mmx"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("scalar"), std::string::npos);
  }
  setenv("RECKON_ISA", "scalar", 1);
  EXPECT_STREQ(RuntimeOwner(1).get().kernels->isa, "scalar");
  if (before == nullptr) {
    unsetenv("RECKON_ISA");
  } else {
    setenv("RECKON_ISA", saved.c_str(), 1);
  }
}

}  // namespace
}  // namespace reckon
