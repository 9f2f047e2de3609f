// Cases of operators for the tests of this layer. A case is instantiated into the suites of
// operator_properties_test.cc, which hold what every operator promises (docs/numerics.md).
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "ops/moe.h"
#include "ops/parameter.h"
#include "ops/runtime.h"
#include "ops/tape.h"

namespace reckon {

using Doubles = std::vector<double>;

// Floats from N(0, 1), a function of the name.
inline std::vector<float> RandomFloats(const std::string& name, int64_t count, double scale = 1) {
  Rng rng(1, {StreamName(name)});
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.Normal() * scale);
  return values;
}

inline Variable AsVariable(int64_t rows, const std::vector<float>& values) {
  return Variable::FromTensor(
      Tensor::FromFloats({rows, static_cast<int64_t>(values.size()) / rows}, values));
}

inline std::vector<float> AsFloats(const Matrix& m) { return {m.data, m.data + m.rows * m.cols}; }

inline bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline std::vector<const KernelTable*> KernelTables() {
  std::vector<const KernelTable*> tables;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    if (const KernelTable* table = FindKernelTable(isa)) tables.push_back(table);
  }
  return tables;
}

struct OperatorInput {
  std::string name;
  Shape shape;
  bool parameter = false;  // else a variable [rows, ...], cut to the rows that are run
  std::vector<float> values;
};

inline OperatorInput RowsInput(const std::string& name, int64_t rows, int64_t cols) {
  return {name, {rows, cols}, false, RandomFloats(name, rows * cols)};
}
inline OperatorInput WeightInput(const std::string& name, const Shape& shape) {
  return {name, shape, true, RandomFloats(name, NumElements(shape))};
}

// What a case runs on. Indexed like the inputs; an input is in one of the two.
struct Operands {
  RowSpan rows;
  std::vector<Variable> variables;
  std::vector<std::shared_ptr<Parameter>> parameters;
};

struct OperatorCase {
  std::string name;
  std::vector<OperatorInput> inputs;
  // Runs of rows that must not notice each other; they cover the rows in order.
  std::vector<RowSpan> parts;
  std::function<Variable(const Runtime&, Tape*, Operands&)> run;
  // The output for all rows, row-major, from the inputs in double.
  std::function<Doubles(const std::vector<Doubles>&)> reference;
  // Roundings to f32 on the longest path to an element of the output or of a gradient.
  double roundings = 0;
  bool one_reader = false;  // the operator refuses an input that has a gradient already

  int64_t rows() const { return parts.back().begin + parts.back().count; }
};

inline void PrintTo(const OperatorCase& c, std::ostream* out) { *out << c.name; }
inline std::string CaseName(const testing::TestParamInfo<OperatorCase>& info) {
  return info.param.name;
}

// [0, rows) in runs of the given lengths, taken again and again.
inline std::vector<RowSpan> CutRows(int64_t rows, const std::vector<int64_t>& lengths) {
  std::vector<RowSpan> parts;
  for (int64_t begin = 0; begin < rows;) {
    const int64_t count = std::min(rows - begin, lengths[parts.size() % lengths.size()]);
    parts.push_back({begin, count});
    begin += count;
  }
  return parts;
}

// Against the double reference: small cases.
class OperatorAnswer : public testing::TestWithParam<OperatorCase> {};
// Bit for bit against itself: also cases large enough to be split into several tasks.
class OperatorBits : public testing::TestWithParam<OperatorCase> {};

}  // namespace reckon
