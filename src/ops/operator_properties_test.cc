// What every operator promises, for each of the cases that the tests of this layer instantiate.
#include <cmath>

#include "base/error.h"
#include "ops/operator_case.h"

namespace reckon {
namespace {

struct Outcome {
  std::vector<float> value;
  std::vector<std::vector<float>> gradients;  // by input
};

using Parameters = std::vector<std::shared_ptr<Parameter>>;

Parameters MakeParameters(const OperatorCase& c) {
  Parameters parameters;
  for (const OperatorInput& input : c.inputs) {
    parameters.push_back(input.parameter
                             ? std::make_shared<Parameter>(
                                   input.name, Tensor::FromFloats(input.shape, input.values), true)
                             : nullptr);
  }
  return parameters;
}

Operands MakeOperands(const OperatorCase& c, RowSpan rows, const Parameters& parameters) {
  Operands operands{rows, {}, parameters};
  for (const OperatorInput& input : c.inputs) {
    operands.variables.emplace_back();
    if (input.parameter) continue;
    const auto begin = input.values.begin() + rows.begin * input.shape[1];
    operands.variables.back() =
        AsVariable(rows.count, {begin, begin + rows.count * input.shape[1]});
  }
  return operands;
}

// The weights of the outputs in the loss that gradients are taken of: loss = sum(seed * output). A
// function of the row, so that a part has those of the whole.
std::vector<float> Seed(RowSpan rows, const Variable& out) {
  std::vector<float> seed;
  for (int64_t r = 0; r < out.rows(); ++r) {
    const std::vector<float> row =
        RandomFloats("seed of row " + std::to_string(rows.begin + r), out.cols());
    seed.insert(seed.end(), row.begin(), row.end());
  }
  return seed;
}

Outcome RunRows(const Runtime& rt, const OperatorCase& c, RowSpan rows,
                const Parameters& parameters, bool with_tape = true) {
  Operands operands = MakeOperands(c, rows, parameters);
  Tape tape;
  const Variable out = c.run(rt, with_tape ? &tape : nullptr, operands);
  Outcome outcome{AsFloats(out.value()), {}};
  if (!with_tape) return outcome;
  const std::vector<float> seed = Seed(rows, out);
  std::memcpy(out.grad().data, seed.data(), seed.size() * sizeof(float));
  tape.Backward();
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    if (c.inputs[i].parameter) {
      const std::span<const float> grad = parameters[i]->grad().floats();
      outcome.gradients.emplace_back(grad.begin(), grad.end());
    } else {
      outcome.gradients.push_back(AsFloats(operands.variables[i].grad()));
    }
  }
  return outcome;
}

Outcome RunAll(const Runtime& rt, const OperatorCase& c, bool with_tape = true) {
  return RunRows(rt, c, {0, c.rows()}, MakeParameters(c), with_tape);
}

void ExpectSameBits(const OperatorCase& c, const Outcome& a, const Outcome& b,
                    const std::string& where) {
  EXPECT_TRUE(SameBits(a.value, b.value)) << where << ": value";
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    EXPECT_TRUE(SameBits(a.gradients[i], b.gradients[i])) << where << ": " << c.inputs[i].name;
  }
}

double Largest(const Doubles& values) {
  double largest = 1;
  for (double value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

// Each of the roundings of a path errs by at most 2^-24 of the number it rounds. The inputs of the
// cases are of order 1, so those numbers are no larger than a few of the largest result; that they
// err in both directions makes up for it.
void ExpectNear(const std::vector<float>& values, const Doubles& want, double roundings,
                const std::string& what) {
  ASSERT_EQ(values.size(), want.size()) << what;
  const double tolerance = roundings * 0x1p-24 * Largest(want);
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(values[i], want[i], tolerance) << what << " element " << i;
  }
}

std::vector<Doubles> DoubleInputs(const OperatorCase& c) {
  std::vector<Doubles> inputs;
  for (const OperatorInput& input : c.inputs) {
    inputs.emplace_back(input.values.begin(), input.values.end());
  }
  return inputs;
}

// d loss / d input by central differences of the double reference. Their error, h^2 / 6 times a
// third derivative plus 2^-53 / h, is below 2^-30 of a derivative of order 1.
Doubles Differences(const OperatorCase& c, size_t input, const std::vector<float>& seed) {
  constexpr double kStep = 0x1p-17;
  std::vector<Doubles> inputs = DoubleInputs(c);
  const auto loss = [&] {
    const Doubles out = c.reference(inputs);
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += static_cast<double>(seed[i]) * out[i];
    return sum;
  };
  Doubles gradient;
  for (double& x : inputs[input]) {
    const double saved = x;
    x = saved + kStep;
    const double above = loss();
    x = saved - kStep;
    gradient.push_back((above - loss()) / (2 * kStep));
    x = saved;
  }
  return gradient;
}

TEST_P(OperatorAnswer, IsThatOfTheDoubleReference) {
  const OperatorCase& c = GetParam();
  ThreadPool pool(1);
  const Outcome outcome = RunAll({&pool, FindKernelTable(Isa::kScalar), Precision::kF32}, c);
  ExpectNear(outcome.value, c.reference(DoubleInputs(c)), c.roundings, "value");
}

TEST_P(OperatorAnswer, HasTheGradientThatFiniteDifferencesGive) {
  const OperatorCase& c = GetParam();
  ThreadPool pool(1);
  const Runtime rt{&pool, FindKernelTable(Isa::kScalar), Precision::kF32};
  const RowSpan rows{0, c.rows()};
  Operands operands = MakeOperands(c, rows, MakeParameters(c));
  const std::vector<float> seed = Seed(rows, c.run(rt, nullptr, operands));
  const Outcome outcome = RunAll(rt, c);
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    ExpectNear(outcome.gradients[i], Differences(c, i, seed), c.roundings,
               "gradient of " + c.inputs[i].name);
  }
}

// As if another reader of each variable had given it a gradient of ones.
TEST_P(OperatorAnswer, HasItsGradientAddedToThatOfOtherReaders) {
  const OperatorCase& c = GetParam();
  ThreadPool pool(1);
  const Runtime rt{&pool, FindKernelTable(Isa::kScalar), Precision::kF32};
  const RowSpan rows{0, c.rows()};
  Operands operands = MakeOperands(c, rows, MakeParameters(c));
  Tape tape;
  const Variable out = c.run(rt, &tape, operands);
  const std::vector<float> seed = Seed(rows, out);
  std::memcpy(out.grad().data, seed.data(), seed.size() * sizeof(float));
  for (const Variable& input : operands.variables) {
    if (!input.defined()) continue;
    const Matrix grad = input.grad();
    std::fill_n(grad.data, grad.rows * grad.cols, 1.0f);
  }
  if (c.one_reader) {
    EXPECT_THROW(tape.Backward(), Error);
    return;
  }
  tape.Backward();
  const Outcome alone = RunAll(rt, c);
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    if (c.inputs[i].parameter) continue;
    Doubles want;
    for (float gradient : alone.gradients[i]) want.push_back(1.0 + gradient);
    ExpectNear(AsFloats(operands.variables[i].grad()), want, c.roundings + 1,
               "gradient of " + c.inputs[i].name);
  }
}

TEST_P(OperatorBits, AreTheSameOnOneAndTwoThreads) {
  const OperatorCase& c = GetParam();
  ThreadPool one(1), two(2);
  for (const KernelTable* table : KernelTables()) {
    for (Precision precision : {Precision::kF32, Precision::kBF16}) {
      ExpectSameBits(c, RunAll({&one, table, precision}, c), RunAll({&two, table, precision}, c),
                     table->isa);
    }
  }
}

TEST_P(OperatorBits, AreTheSameOnEveryInstructionSet) {
  const OperatorCase& c = GetParam();
  ThreadPool pool(1);
  const std::vector<const KernelTable*> tables = KernelTables();
  const Outcome scalar = RunAll({&pool, tables[0], Precision::kF32}, c);
  for (const KernelTable* table : tables) {
    ExpectSameBits(c, scalar, RunAll({&pool, table, Precision::kF32}, c), table->isa);
  }
}

TEST_P(OperatorBits, AreTheSameWithAndWithoutATape) {
  const OperatorCase& c = GetParam();
  ThreadPool pool(2);
  for (const KernelTable* table : KernelTables()) {
    const Runtime rt{&pool, table, Precision::kF32};
    EXPECT_TRUE(SameBits(RunAll(rt, c).value, RunAll(rt, c, false).value)) << table->isa;
  }
}

// Also of the gradients of its inputs.
TEST_P(OperatorBits, OfAPartAreTheSameAloneAndInABatch) {
  const OperatorCase& c = GetParam();
  ThreadPool pool(1);
  for (const KernelTable* table : KernelTables()) {
    for (Precision precision : {Precision::kF32, Precision::kBF16}) {
      const Runtime rt{&pool, table, precision};
      const Outcome whole = RunAll(rt, c);
      const size_t cols = whole.value.size() / static_cast<size_t>(c.rows());
      for (const RowSpan& part : c.parts) {
        const Outcome alone = RunRows(rt, c, part, MakeParameters(c));
        const auto same = [&](const std::vector<float>& all, const std::vector<float>& rows,
                              size_t width) {
          const float* from = all.data() + static_cast<size_t>(part.begin) * width;
          return SameBits({from, from + rows.size()}, rows);
        };
        ASSERT_TRUE(same(whole.value, alone.value, cols)) << table->isa << " row " << part.begin;
        for (size_t i = 0; i < c.inputs.size(); ++i) {
          if (c.inputs[i].parameter) continue;
          ASSERT_TRUE(same(whole.gradients[i], alone.gradients[i],
                           static_cast<size_t>(c.inputs[i].shape[1])))
              << table->isa << " row " << part.begin << ": gradient of " << c.inputs[i].name;
        }
      }
    }
  }
}

TEST_P(OperatorBits, OfAWeightGradientDoNotDependOnMicroBatches) {
  const OperatorCase& c = GetParam();
  ThreadPool pool(1);
  for (const KernelTable* table : KernelTables()) {
    const Runtime rt{&pool, table, Precision::kF32};
    const Outcome whole = RunAll(rt, c);
    const Parameters parameters = MakeParameters(c);
    Outcome last;
    for (const RowSpan& part : c.parts) last = RunRows(rt, c, part, parameters);
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      if (!c.inputs[i].parameter) continue;
      EXPECT_TRUE(SameBits(whole.gradients[i], last.gradients[i]))
          << table->isa << ": " << c.inputs[i].name;
    }
  }
}

}  // namespace
}  // namespace reckon
