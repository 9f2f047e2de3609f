#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "ops/operator_case.h"

namespace reckon {
namespace {

MlaShape SmallShape() {
  MlaShape shape;
  shape.num_heads = 2;
  shape.qk_nope_head_dim = 7;
  shape.qk_rope_head_dim = 4;
  shape.v_head_dim = 5;
  shape.softmax_scale = 0.5f;
  return shape;
}

// A value head wider than a panel of 32 columns.
MlaShape WideShape() {
  MlaShape shape = SmallShape();
  shape.num_heads = 3;
  shape.v_head_dim = 37;
  return shape;
}

int64_t QueryCols(const MlaShape& s) {
  return s.num_heads * (s.qk_nope_head_dim + s.qk_rope_head_dim);
}
int64_t KeyValueCols(const MlaShape& s) {
  return s.num_heads * (s.qk_nope_head_dim + s.v_head_dim);
}

void Softmax(Doubles& p) {
  const double largest = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& x : p) sum += x = std::exp(x - largest);
  for (double& x : p) x /= sum;
}

// One query row and head against positions [begin, row] of its sequence.
void ReferenceHead(const MlaShape& s, const std::vector<Doubles>& in, int64_t begin, int64_t row,
                   int64_t head, double* out) {
  const int64_t nope = s.qk_nope_head_dim, rope = s.qk_rope_head_dim;
  const double* q = in[0].data() + row * QueryCols(s) + head * (nope + rope);
  const auto key_value = [&](int64_t r) {
    return in[2].data() + r * KeyValueCols(s) + head * (nope + s.v_head_dim);
  };
  Doubles p;
  for (int64_t r = begin; r <= row; ++r) {
    double score = 0;
    for (int64_t d = 0; d < nope; ++d) score += q[d] * key_value(r)[d];
    for (int64_t d = 0; d < rope; ++d) {
      score += q[nope + d] * in[1][static_cast<size_t>(r * rope + d)];
    }
    p.push_back(score * static_cast<double>(s.softmax_scale));
  }
  Softmax(p);
  for (int64_t d = 0; d < s.v_head_dim; ++d) {
    out[d] = 0;
    for (int64_t r = begin; r <= row; ++r) {
      out[d] += p[static_cast<size_t>(r - begin)] * key_value(r)[nope + d];
    }
  }
}

// A case over sequences of these lengths. `run` calls the operator, `reference` computes one row of
// one head from position `begin` of its sequence on.
using RunAttention =
    std::function<Variable(const Runtime&, Tape*, Operands&, const std::vector<SequenceRows>&)>;
using AttentionReference = std::function<void(const std::vector<Doubles>&, int64_t begin,
                                              int64_t row, int64_t head, double* out)>;
OperatorCase CaseOf(OperatorCase c, const std::vector<int64_t>& lengths, int64_t heads,
                    int64_t v_dim, const RunAttention& run, const AttentionReference& reference) {
  int64_t rows = 0;
  for (int64_t length : lengths) rows += length;
  c.parts = CutRows(rows, lengths);
  c.run = [run, parts = c.parts](const Runtime& rt, Tape* tape, Operands& in) {
    std::vector<SequenceRows> sequences;
    for (const RowSpan& part : parts) {
      const int64_t begin = part.begin - in.rows.begin;
      if (begin >= 0 && begin < in.rows.count) sequences.push_back({begin, part.count, nullptr});
    }
    return run(rt, tape, in, sequences);
  };
  c.reference = [=, parts = c.parts](const std::vector<Doubles>& in) {
    Doubles out(static_cast<size_t>(rows * heads * v_dim));
    for (const RowSpan& part : parts) {
      for (int64_t i = 0; i < part.count * heads; ++i) {
        const int64_t row = part.begin + i / heads, head = i % heads;
        reference(in, part.begin, row, head, out.data() + (row * heads + head) * v_dim);
      }
    }
    return out;
  };
  return c;
}

int64_t Sum(const std::vector<int64_t>& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
}

OperatorCase AttentionCase(const std::string& name, const MlaShape& shape,
                           const std::vector<int64_t>& lengths) {
  const int64_t rows = Sum(lengths);
  OperatorCase c{
      name,
      {RowsInput("q", rows, QueryCols(shape)), RowsInput("k_rope", rows, shape.qk_rope_head_dim),
       RowsInput("kv", rows, KeyValueCols(shape))}};
  // A score sums 11 products, the softmax and the output 37 terms, a gradient once more as many.
  c.roundings = 150;
  return CaseOf(
      std::move(c), lengths, shape.num_heads, shape.v_head_dim,
      [shape](const Runtime& rt, Tape* tape, Operands& in,
              const std::vector<SequenceRows>& sequences) {
        return MlaAttention(rt, tape, shape, in.variables[0], in.variables[1], in.variables[2],
                            sequences);
      },
      [shape](const std::vector<Doubles>& in, int64_t begin, int64_t row, int64_t head,
              double* out) { ReferenceHead(shape, in, begin, row, head, out); });
}

// Lengths on both sides of a block of 32 positions.
INSTANTIATE_TEST_SUITE_P(Attention, OperatorAnswer,
                         testing::Values(AttentionCase("Mla", SmallShape(), {37, 1, 5})), CaseName);
INSTANTIATE_TEST_SUITE_P(Attention, OperatorBits,
                         testing::Values(AttentionCase("Mla", SmallShape(), {37, 1, 5}),
                                         AttentionCase("MlaWithWideValues", WideShape(),
                                                       {100, 64, 3, 33, 1, 32})),
                         CaseName);

GqaShape GroupedShape() { return {6, 2, 9, 0.4f}; }

// Row `row` of query head `head` against positions [begin, row].
void GroupedReference(const GqaShape& s, const std::vector<Doubles>& in, int64_t begin, int64_t row,
                      int64_t head, double* out) {
  const int64_t dim = s.head_dim, kv = head / (s.num_heads / s.num_key_value_heads);
  const double* q = in[0].data() + (row * s.num_heads + head) * dim;
  const auto at = [&](size_t input, int64_t r) {
    return in[input].data() + (r * s.num_key_value_heads + kv) * dim;
  };
  Doubles p;
  for (int64_t r = begin; r <= row; ++r) {
    double score = 0;
    for (int64_t d = 0; d < dim; ++d) score += q[d] * at(1, r)[d];
    p.push_back(score * static_cast<double>(s.softmax_scale));
  }
  Softmax(p);
  for (int64_t d = 0; d < dim; ++d) {
    out[d] = 0;
    for (int64_t r = begin; r <= row; ++r)
      out[d] += p[static_cast<size_t>(r - begin)] * at(2, r)[d];
  }
}

OperatorCase GroupedCase(const std::vector<int64_t>& lengths) {
  const GqaShape shape = GroupedShape();
  const int64_t rows = Sum(lengths), kv_cols = shape.num_key_value_heads * shape.head_dim;
  OperatorCase c{"Grouped",
                 {RowsInput("q", rows, shape.num_heads * shape.head_dim),
                  RowsInput("k", rows, kv_cols), RowsInput("v", rows, kv_cols)}};
  // A key's gradient sums three heads of up to 37 queries, each of some 50 roundings.
  c.roundings = 400;
  return CaseOf(
      std::move(c), lengths, shape.num_heads, shape.head_dim,
      [shape](const Runtime& rt, Tape* tape, Operands& in,
              const std::vector<SequenceRows>& sequences) {
        return GroupedQueryAttention(rt, tape, shape, in.variables[0], in.variables[1],
                                     in.variables[2], sequences);
      },
      [shape](const std::vector<Doubles>& in, int64_t begin, int64_t row, int64_t head,
              double* out) { GroupedReference(shape, in, begin, row, head, out); });
}

INSTANTIATE_TEST_SUITE_P(GroupedAttention, OperatorAnswer, testing::Values(GroupedCase({37, 1, 5})),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(GroupedAttention, OperatorBits,
                         testing::Values(GroupedCase({70, 33, 1, 32})), CaseName);

struct Sequence {
  std::vector<float> q, k_rope, kv;
};

class CachedAttention : public testing::Test {
 protected:
  static constexpr int64_t kRows = 101;
  MlaShape shape_ = WideShape();
  Sequence Draw(const std::string& name) const {
    return {RandomFloats(name + " q", kRows * QueryCols(shape_)),
            RandomFloats(name + " k_rope", kRows * shape_.qk_rope_head_dim),
            RandomFloats(name + " kv", kRows * KeyValueCols(shape_))};
  }
  LayerKvCache MakeCache() const {
    return LayerKvCache(shape_.num_heads, shape_.qk_nope_head_dim + shape_.qk_rope_head_dim,
                        shape_.v_head_dim, kRows + 3);
  }
  // Rows [begin, begin + count) of every sequence in one call.
  struct Feed {
    const Sequence* sequence;
    int64_t begin, count;
    LayerKvCache* cache;
  };
  std::vector<float> Run(const Runtime& rt, const std::vector<Feed>& feeds) const {
    std::vector<float> q, k_rope, kv;
    std::vector<SequenceRows> sequences;
    int64_t rows = 0;
    const auto append = [](const std::vector<float>& from, const Feed& f, std::vector<float>& to) {
      const auto cols = static_cast<std::ptrdiff_t>(from.size()) / kRows;
      to.insert(to.end(), from.begin() + f.begin * cols, from.begin() + (f.begin + f.count) * cols);
    };
    for (const Feed& feed : feeds) {
      append(feed.sequence->q, feed, q);
      append(feed.sequence->k_rope, feed, k_rope);
      append(feed.sequence->kv, feed, kv);
      sequences.push_back({rows, feed.count, feed.cache});
      rows += feed.count;
    }
    return AsFloats(MlaAttention(rt, nullptr, shape_, AsVariable(rows, q), AsVariable(rows, k_rope),
                                 AsVariable(rows, kv), sequences)
                        .value());
  }
  ThreadPool pool_{2};
};

TEST_F(CachedAttention, GivesTheSameBitsWholeInChunksAndTokenByToken) {
  const Sequence sequence = Draw("a");
  for (const KernelTable* table : KernelTables()) {
    const Runtime rt{&pool_, table, Precision::kF32};
    const std::vector<float> whole = Run(rt, {{&sequence, 0, kRows, nullptr}});
    const std::vector<std::vector<int64_t>> cuts = {{kRows}, {1}, {7, 1, 32, 20}, {32}, {31, 2}};
    for (const std::vector<int64_t>& cut : cuts) {
      LayerKvCache cache = MakeCache();
      std::vector<float> chunked;
      for (const RowSpan& part : CutRows(kRows, cut)) {
        const std::vector<float> out = Run(rt, {{&sequence, part.begin, part.count, &cache}});
        chunked.insert(chunked.end(), out.begin(), out.end());
      }
      EXPECT_EQ(cache.length(), kRows);
      EXPECT_TRUE(SameBits(whole, chunked)) << table->isa << ", chunks from " << cut[0];
    }
  }
}

// A product of a probability and the least negative normal number is flushed to -0, and what
// follows with weight zero decides the sign: later values of a whole sequence, zeros of a cache.
TEST_F(CachedAttention, GivesTheSameSignOfAZeroWholeAndTokenByToken) {
  Sequence sequence = Draw("a");
  for (float& value : sequence.kv) value = -0x1p-126f;
  for (const KernelTable* table : KernelTables()) {
    const Runtime rt{&pool_, table, Precision::kF32};
    const std::vector<float> whole = Run(rt, {{&sequence, 0, 40, nullptr}});
    LayerKvCache cache = MakeCache();
    std::vector<float> stepped;
    for (int64_t i = 0; i < 40; ++i) {
      const std::vector<float> out = Run(rt, {{&sequence, i, 1, &cache}});
      stepped.insert(stepped.end(), out.begin(), out.end());
    }
    EXPECT_TRUE(SameBits(whole, stepped)) << table->isa;
    EXPECT_EQ(whole.back(), 0) << "the case should underflow";
  }
}

TEST_F(CachedAttention, GivesTheSameBitsBesideOtherSequences) {
  const Sequence a = Draw("a"), b = Draw("b");
  for (const KernelTable* table : KernelTables()) {
    const Runtime rt{&pool_, table, Precision::kF32};
    const std::vector<float> alone = Run(rt, {{&a, 0, 40, nullptr}});
    LayerKvCache of_a = MakeCache(), of_b = MakeCache();
    std::vector<float> together = Run(rt, {{&b, 0, 50, &of_b}, {&a, 0, 39, &of_a}});
    together.erase(together.begin(), together.begin() + 50 * shape_.num_heads * shape_.v_head_dim);
    const std::vector<float> next = Run(rt, {{&a, 39, 1, &of_a}, {&b, 50, 1, &of_b}});
    together.insert(together.end(), next.begin(),
                    next.begin() + shape_.num_heads * shape_.v_head_dim);
    EXPECT_TRUE(SameBits(alone, together)) << table->isa;
  }
}

TEST_F(CachedAttention, GoesOnFromACopiedPrefixAndFromATruncatedCache) {
  const Sequence a = Draw("a"), b = Draw("b");
  const Runtime rt{&pool_, KernelTables().back(), Precision::kF32};
  LayerKvCache first = MakeCache(), copy = MakeCache();
  Run(rt, {{&b, 0, 90, &copy}});  // what the copy and the truncation must forget
  const std::vector<float> whole = Run(rt, {{&a, 0, 60, &first}});
  copy.CopyPrefix(first, 41);
  ASSERT_EQ(copy.length(), 41);
  const std::vector<float> rest = Run(rt, {{&a, 41, 19, &copy}});
  const std::vector<float> expected(whole.end() - static_cast<std::ptrdiff_t>(rest.size()),
                                    whole.end());
  EXPECT_TRUE(SameBits(rest, expected));
  first.Truncate(41);
  EXPECT_TRUE(SameBits(Run(rt, {{&a, 41, 19, &first}}), expected));
}

TEST_F(CachedAttention, RefusesWhatDoesNotFit) {
  const Runtime rt{&pool_, KernelTables().front(), Precision::kF32};
  const int64_t q_cols = QueryCols(shape_), rope = shape_.qk_rope_head_dim;
  const int64_t kv_cols = KeyValueCols(shape_);
  const Variable q(4, q_cols), k_rope(4, rope), kv(4, kv_cols), narrow(4, 3), fewer(3, kv_cols);
  const auto run = [&](const Variable& query, const Variable& key_value,
                       const std::vector<SequenceRows>& sequences, Tape* tape) {
    MlaAttention(rt, tape, shape_, query, k_rope, key_value, sequences);
  };
  EXPECT_THROW(run(narrow, kv, {{0, 4, nullptr}}, nullptr), Error);
  EXPECT_THROW(run(q, narrow, {{0, 4, nullptr}}, nullptr), Error);
  EXPECT_THROW(run(q, fewer, {{0, 4, nullptr}}, nullptr), Error);
  EXPECT_THROW(run(q, kv, {{0, 3, nullptr}}, nullptr), Error);                   // a row left over
  EXPECT_THROW(run(q, kv, {{0, 2, nullptr}, {1, 3, nullptr}}, nullptr), Error);  // overlap
  LayerKvCache small(shape_.num_heads, shape_.qk_nope_head_dim + rope, shape_.v_head_dim, 32);
  small.set_length(30);
  EXPECT_THROW(run(q, kv, {{0, 4, &small}}, nullptr), Error);  // 34 positions of 32
  Tape tape;
  small.set_length(0);
  EXPECT_THROW(run(q, kv, {{0, 4, &small}}, &tape), Error);
  LayerKvCache other(1, 2, 3, 32);
  EXPECT_THROW(other.CopyPrefix(small, 0), Error);
}

}  // namespace
}  // namespace reckon
