#include "ops/elementwise.h"

#include <cmath>

#include "base/error.h"
#include "ops/operator_case.h"

namespace reckon {
namespace {

constexpr double kEps = 1e-5;

std::vector<int32_t> SomeIds(int64_t rows, int64_t vocab_size) {
  std::vector<int32_t> ids;
  for (int64_t r = 0; r < rows; ++r) ids.push_back(static_cast<int32_t>(r * r % vocab_size));
  return ids;
}

OperatorCase EmbeddingCase(int64_t rows, int64_t hidden) {
  constexpr int64_t kVocab = 11;
  const std::vector<int32_t> ids = SomeIds(rows, kVocab);
  OperatorCase c{"Embedding" + std::to_string(rows), {WeightInput("table", {kVocab, hidden})}};
  c.parts = CutRows(rows, {1, 3, 300});
  c.run = [ids](const Runtime& rt, Tape* tape, Operands& in) {
    const std::span<const int32_t> part(ids.data() + in.rows.begin,
                                        static_cast<size_t>(in.rows.count));
    return Embedding(rt, tape, part, *in.parameters[0]);
  };
  c.reference = [ids, hidden](const std::vector<Doubles>& in) {
    Doubles out;
    for (int32_t id : ids) {
      out.insert(out.end(), in[0].begin() + id * hidden, in[0].begin() + (id + 1) * hidden);
    }
    return out;
  };
  c.roundings = 12;  // a gradient sums up to as many rows of one id
  return c;
}

// y = x / sqrt(mean(x^2) + eps) * weight of `n` columns.
void ReferenceNorm(const double* x, const double* weight, int64_t n, Doubles& out) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += x[i] * x[i];
  const double inv_rms = 1 / std::sqrt(squares / static_cast<double>(n) +
                                       static_cast<double>(static_cast<float>(kEps)));
  for (int64_t i = 0; i < n; ++i) out.push_back(x[i] * inv_rms * weight[i]);
}

OperatorCase RmsNormCase(int64_t rows, int64_t cols) {
  OperatorCase c{"RmsNorm" + std::to_string(rows),
                 {RowsInput("x", rows, cols), WeightInput("weight", {cols})}};
  c.parts = CutRows(rows, {1, 2, 5, 300});
  c.run = [](const Runtime& rt, Tape* tape, Operands& in) {
    return RmsNorm(rt, tape, in.variables[0], *in.parameters[1], static_cast<float>(kEps));
  };
  c.reference = [rows, cols](const std::vector<Doubles>& in) {
    Doubles out;
    for (int64_t r = 0; r < rows; ++r) {
      ReferenceNorm(in[0].data() + r * cols, in[1].data(), cols, out);
    }
    return out;
  };
  c.roundings = 40;  // two sums of 37 / 16 + 4 steps, 8 operations on an element, 9 rows
  return c;
}

OperatorCase SwiGluCase(int64_t rows, int64_t n) {
  OperatorCase c{"SwiGlu" + std::to_string(rows), {RowsInput("gate_up", rows, 2 * n)}};
  c.parts = CutRows(rows, {1, 4, 300});
  c.run = [](const Runtime& rt, Tape* tape, Operands& in) {
    return SwiGlu(rt, tape, in.variables[0]);
  };
  c.reference = [rows, n](const std::vector<Doubles>& in) {
    Doubles out;
    for (int64_t r = 0; r < rows; ++r) {
      const double* gate = in[0].data() + r * 2 * n;
      for (int64_t i = 0; i < n; ++i)
        out.push_back(gate[i] / (1 + std::exp(-gate[i])) * gate[n + i]);
    }
    return out;
  };
  c.one_reader = true;
  c.roundings = 16;  // an exponential (2 ulp), a division, and up to 8 products and sums
  return c;
}

OperatorCase AddCase(int64_t rows, int64_t cols) {
  OperatorCase c{"Add" + std::to_string(rows),
                 {RowsInput("x", rows, cols), RowsInput("y", rows, cols)}};
  c.parts = CutRows(rows, {1, 4, 300});
  // x is read twice: its gradient is the sum of what both readers give.
  c.run = [](const Runtime& rt, Tape* tape, Operands& in) {
    return Add(rt, tape, in.variables[0], Add(rt, tape, in.variables[0], in.variables[1]));
  };
  c.reference = [](const std::vector<Doubles>& in) {
    Doubles out;
    for (size_t i = 0; i < in[0].size(); ++i) out.push_back(2 * in[0][i] + in[1][i]);
    return out;
  };
  c.roundings = 2;
  return c;
}

OperatorCase GatherRowsCase(int64_t rows, int64_t cols) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < rows; ++i) indices.push_back(i * i % rows);
  OperatorCase c{"GatherRows" + std::to_string(rows), {RowsInput("x", rows, cols)}};
  c.parts = {{0, rows}};
  c.run = [indices](const Runtime& rt, Tape* tape, Operands& in) {
    return GatherRows(rt, tape, in.variables[0], indices);
  };
  c.reference = [indices, cols](const std::vector<Doubles>& in) {
    Doubles out;
    for (int64_t i : indices) {
      out.insert(out.end(), in[0].begin() + i * cols, in[0].begin() + (i + 1) * cols);
    }
    return out;
  };
  c.roundings = 9;  // at most as many rows of one index
  return c;
}

// Rotates the last 2 * half of every head by position * inv_freq.
void ReferenceRope(const double* x, int32_t position, const std::vector<float>& inv_freq,
                   bool interleaved, int64_t head_dim, Doubles& out) {
  const int64_t half = static_cast<int64_t>(inv_freq.size()), keep = head_dim - 2 * half;
  Doubles y(x, x + head_dim);
  for (int64_t i = 0; i < half; ++i) {
    const double angle = static_cast<float>(position) * inv_freq[static_cast<size_t>(i)];
    const int64_t a = keep + (interleaved ? 2 * i : i), b = interleaved ? a + 1 : a + half;
    y[static_cast<size_t>(a)] = x[a] * std::cos(angle) - x[b] * std::sin(angle);
    y[static_cast<size_t>(b)] = x[b] * std::cos(angle) + x[a] * std::sin(angle);
  }
  out.insert(out.end(), y.begin(), y.end());
}

const std::vector<float> kInvFreq = {1, 0.3f, 0.01f};

int32_t PositionOf(int64_t row) { return static_cast<int32_t>(row * 7 % 1000); }

std::shared_ptr<const RopeTable> TableOf(const Runtime& rt, RowSpan rows, bool interleaved) {
  std::vector<int32_t> positions;
  for (int64_t r = 0; r < rows.count; ++r) positions.push_back(PositionOf(rows.begin + r));
  return std::make_shared<RopeTable>(MakeRopeTable(rt, positions, kInvFreq, 1, interleaved));
}

OperatorCase RopeCase(int64_t rows, bool interleaved) {
  constexpr int64_t kHeads = 3, kHeadDim = 11;  // 5 columns that are kept, 6 that turn
  OperatorCase c{(interleaved ? "RopeInterleaved" : "RopeHalfSplit") + std::to_string(rows),
                 {RowsInput("x", rows, kHeads * kHeadDim)}};
  c.parts = CutRows(rows, {1, 4, 300});
  c.run = [interleaved](const Runtime& rt, Tape* tape, Operands& in) {
    return Rope(rt, tape, in.variables[0], 0, kHeads, kHeadDim, TableOf(rt, in.rows, interleaved));
  };
  c.reference = [rows, interleaved](const std::vector<Doubles>& in) {
    Doubles out;
    for (int64_t i = 0; i < rows * kHeads; ++i) {
      ReferenceRope(in[0].data() + i * kHeadDim, PositionOf(i / kHeads), kInvFreq, interleaved,
                    kHeadDim, out);
    }
    return out;
  };
  c.roundings = 5;  // sine and cosine, two products, a sum
  return c;
}

// The latent of MLA: a norm of its first columns and a rotation of the others, side by side.
OperatorCase LatentCase(int64_t rows) {
  constexpr int64_t kRank = 21, kRope = 6;
  OperatorCase c{"RmsNormColumnsBesideRope" + std::to_string(rows),
                 {RowsInput("latent", rows, kRank + kRope), WeightInput("norm", {kRank})}};
  c.parts = CutRows(rows, {1, 4, 300});
  c.run = [](const Runtime& rt, Tape* tape, Operands& in) {
    const Variable rope =
        Rope(rt, tape, in.variables[0], kRank, 1, kRope, TableOf(rt, in.rows, true));
    const Variable norm =
        RmsNormColumns(rt, tape, in.variables[0], 0, *in.parameters[1], static_cast<float>(kEps));
    return ConcatColumns(rt, tape, rope, norm);
  };
  c.reference = [rows](const std::vector<Doubles>& in) {
    Doubles out;
    for (int64_t r = 0; r < rows; ++r) {
      const double* latent = in[0].data() + r * (kRank + kRope);
      ReferenceRope(latent + kRank, PositionOf(r), kInvFreq, true, kRope, out);
      ReferenceNorm(latent, in[1].data(), kRank, out);
    }
    return out;
  };
  c.roundings = 40;  // those of the norm
  return c;
}

std::vector<OperatorCase> Cases(int64_t rows, int64_t cols) {
  return {EmbeddingCase(rows, cols),  RmsNormCase(rows, cols),
          SwiGluCase(rows, cols),     AddCase(rows, cols),
          GatherRowsCase(rows, cols), RopeCase(rows, true),
          RopeCase(rows, false),      LatentCase(rows)};
}

INSTANTIATE_TEST_SUITE_P(Elementwise, OperatorAnswer, testing::ValuesIn(Cases(9, 37)), CaseName);
// 1200 rows of 150 columns make several tasks of 16,384 elements.
INSTANTIATE_TEST_SUITE_P(Elementwise, OperatorBits, testing::ValuesIn(Cases(1200, 150)), CaseName);
INSTANTIATE_TEST_SUITE_P(SmallElementwise, OperatorBits, testing::ValuesIn(Cases(9, 37)), CaseName);

class Elementwise : public testing::Test {
 protected:
  ThreadPool pool_{1};
  Runtime rt_{&pool_, FindKernelTable(Isa::kScalar), Precision::kF32};
  Parameter table_{"embed_tokens", Tensor::Zeros(DType::kF32, {5, 8}), true};
  Parameter norm_{"norm", Tensor::Zeros(DType::kF32, {8}), false};
};

TEST_F(Elementwise, TurnsByAQuarterAtTheAngleOfAQuarter) {
  const std::vector<int32_t> positions = {1};
  const std::vector<float> inv_freq = {1.57079632679f};
  const auto table = std::make_shared<RopeTable>(MakeRopeTable(rt_, positions, inv_freq, 2, true));
  const Variable y = Rope(rt_, nullptr, AsVariable(1, {3, 4}), 0, 1, 2, table);
  // (3, 4) turned by pi / 2 is (-4, 3), and the table's scale doubles it. The angle is f32: it is
  // off pi / 2 by less than 2^-24.
  EXPECT_NEAR(y.value().row(0)[0], -8, 8 * 0x1p-22);
  EXPECT_NEAR(y.value().row(0)[1], 6, 8 * 0x1p-22);
}

TEST_F(Elementwise, TurnsARowByItsPositionWhateverStandsBesideIt) {
  const std::vector<int32_t> positions = {7, 0, 7, 3, 0};
  const std::vector<float> inv_freq = {1.0f, 0.1f};
  const auto together =
      std::make_shared<RopeTable>(MakeRopeTable(rt_, positions, inv_freq, 1, true));
  const Variable x = AsVariable(1, {1, 2, 3, 4});
  Variable rows(5, 4);
  for (int64_t r = 0; r < 5; ++r) std::memcpy(rows.value().row(r), x.value().data, 16);
  const Variable turned = Rope(rt_, nullptr, rows, 0, 1, 4, together);
  for (size_t r = 0; r < positions.size(); ++r) {
    const auto alone = std::make_shared<RopeTable>(
        MakeRopeTable(rt_, std::span(positions).subspan(r, 1), inv_freq, 1, true));
    const Variable y = Rope(rt_, nullptr, x, 0, 1, 4, alone);
    EXPECT_EQ(std::memcmp(turned.value().row(static_cast<int64_t>(r)), y.value().data, 16), 0) << r;
  }
}

TEST_F(Elementwise, NamesTheTokenOutsideTheVocabulary) {
  const std::vector<int32_t> above = {0, 5}, below = {-1};
  try {
    Embedding(rt_, nullptr, above, table_);
    FAIL() << "id 5 of 5 was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("token id 5 at row 1"), std::string::npos);
  }
  EXPECT_THROW(Embedding(rt_, nullptr, below, table_), Error);
}

TEST_F(Elementwise, RefusesShapesThatDoNotFit) {
  const Variable x(2, 8), odd(2, 7), more(3, 8);
  const auto table = TableOf(rt_, {0, 2}, true);
  EXPECT_THROW(RmsNorm(rt_, nullptr, odd, norm_, 1e-6f), Error);
  EXPECT_THROW(RmsNormColumns(rt_, nullptr, x, 1, norm_, 1e-6f), Error);
  EXPECT_THROW(SwiGlu(rt_, nullptr, odd), Error);
  EXPECT_THROW(Add(rt_, nullptr, x, odd), Error);
  EXPECT_THROW(Add(rt_, nullptr, x, more), Error);
  EXPECT_THROW(ConcatColumns(rt_, nullptr, x, more), Error);
  EXPECT_THROW(GatherRows(rt_, nullptr, x, {0, 2}), Error);
  EXPECT_THROW(GatherRows(rt_, nullptr, x, {-1}), Error);
  EXPECT_THROW(Rope(rt_, nullptr, more, 0, 1, 8, table), Error);  // two positions, three rows
  EXPECT_THROW(Rope(rt_, nullptr, x, 1, 1, 8, table), Error);     // beyond the columns
  EXPECT_THROW(Rope(rt_, nullptr, x, 0, 2, 4, table), Error);     // 6 columns to turn of 4
}

TEST_F(Elementwise, LeavesTheGradientOfAFrozenWeightAlone) {
  norm_.set_trainable(false);
  table_.set_trainable(false);
  const std::vector<int32_t> ids = {0, 1};
  Tape tape;
  const Variable y = RmsNorm(rt_, &tape, Embedding(rt_, &tape, ids, table_), norm_, 1e-6f);
  y.grad().row(0)[0] = 1;
  tape.Backward();
  EXPECT_FALSE(norm_.has_grad());
  EXPECT_FALSE(table_.has_grad());
}

}  // namespace
}  // namespace reckon
