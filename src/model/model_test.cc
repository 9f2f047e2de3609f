#include "model/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/rng.h"
#include "model/rope.h"
#include "model/tiny_model.h"
#include "ops/log_prob.h"

namespace reckon {
namespace {

using Floats = std::vector<float>;

std::vector<int32_t> Ids(uint64_t stream, int64_t count, int64_t vocab_size) {
  Rng rng(3, {StreamName("model-test"), stream});
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(rng.Below(vocab_size)));
  return ids;
}

Floats RowsOf(const Matrix& m, int64_t begin, int64_t count) {
  return {m.row(begin), m.row(begin) + count * m.cols};
}

bool SameBits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

ModelConfig WithoutQueryRank() {
  ModelConfig c = TinyConfig();
  c.q_lora_rank = 0;
  c.tie_word_embeddings = true;
  return c;
}

struct Setting {
  const char* name;
  ModelConfig config;
  Precision precision;
};
void PrintTo(const Setting& s, std::ostream* out) { *out << s.name; }

// A model with random weights and biases; on each instruction set of this CPU.
class ModelBits : public testing::TestWithParam<Setting> {
 protected:
  ModelBits() : config_(GetParam().config), model_(config_) {
    model_.Initialize(11);
    Rng rng(3, {StreamName("bias")});
    for (std::span<float> bias : model_.correction_biases()) {
      for (float& b : bias) b = static_cast<float>(rng.Normal() * 0.1);
    }
  }

  std::vector<Runtime> Runtimes(int threads) {
    std::vector<Runtime> runtimes;
    for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
      const KernelTable* table = FindKernelTable(isa);
      ThreadPool* pool = threads == 1 ? &one_ : &two_;
      if (table != nullptr) runtimes.push_back({pool, table, GetParam().precision});
    }
    return runtimes;
  }

  Variable Logits(const Runtime& rt, const Batch& batch, Tape* tape = nullptr) {
    model_.Changed();  // the packed weights of another instruction set may differ in bf16
    return model_.Logits(rt, tape, model_.Forward(rt, tape, batch));
  }

  Floats Alone(const Runtime& rt, const std::vector<int32_t>& ids, Tape* tape = nullptr) {
    Batch batch;
    batch.Append(ids);
    return RowsOf(Logits(rt, batch, tape).value(), 0, batch.rows());
  }

  // The logits of ids, fed to a cache in chunks.
  Floats Chunked(const Runtime& rt, const std::vector<int32_t>& ids, int64_t chunk) {
    KvCache cache(config_, static_cast<int64_t>(ids.size()));
    Floats all;
    for (size_t begin = 0; begin < ids.size(); begin += static_cast<size_t>(chunk)) {
      const size_t count = std::min(ids.size() - begin, static_cast<size_t>(chunk));
      Batch batch;
      batch.Append({ids.data() + begin, count}, cache.length(), &cache);
      const Floats rows = RowsOf(Logits(rt, batch).value(), 0, batch.rows());
      all.insert(all.end(), rows.begin(), rows.end());
    }
    return all;
  }

  ModelConfig config_;
  Model model_;
  ThreadPool one_{1}, two_{2};
};

class MtpBits : public ModelBits {};
class F32Bits : public ModelBits {};

TEST_P(ModelBits, OfARowAreTheSameInBatchesOf1And3And8And64) {
  for (const Runtime& rt : Runtimes(1)) {
    const std::vector<int32_t> ids = Ids(0, 37, config_.vocab_size);
    const Floats alone = Alone(rt, ids);
    for (int64_t size : {3, 8, 64}) {
      const int64_t place = size / 2;
      Batch batch;
      for (int64_t i = 0; i < size; ++i) {
        batch.Append(i == place ? ids
                                : Ids(static_cast<uint64_t>(i + 1), 1 + i % 7, config_.vocab_size));
      }
      const int64_t begin = batch.sequences[static_cast<size_t>(place)].row_begin;
      EXPECT_TRUE(SameBits(alone, RowsOf(Logits(rt, batch).value(), begin, 37)))
          << rt.kernels->isa << " batch of " << size;
    }
  }
}

// A decode step: one row for each of many caches.
TEST_P(ModelBits, OfADecodeStepAreTheSameInBatchesOf1And3And8And64) {
  for (const Runtime& rt : Runtimes(1)) {
    const std::vector<int32_t> ids = Ids(0, 37, config_.vocab_size);
    const Floats alone = Alone(rt, ids);
    const Floats last(alone.end() - config_.vocab_size, alone.end());
    for (int64_t size : {1, 3, 8, 64}) {
      std::vector<KvCache> caches;
      Batch prompts, step;
      for (int64_t i = 0; i < size; ++i) caches.emplace_back(config_, 40);
      for (int64_t i = 0; i < size; ++i) {
        KvCache* cache = &caches[static_cast<size_t>(i)];
        const size_t length = i == size / 2 ? 36 : static_cast<size_t>(1 + i % 9);
        prompts.Append({ids.data(), length}, 0, cache);
        step.Append({ids.data() + length, 1}, static_cast<int64_t>(length), cache);
      }
      Logits(rt, prompts);
      EXPECT_TRUE(SameBits(last, RowsOf(Logits(rt, step).value(), size / 2, 1)))
          << rt.kernels->isa << " batch of " << size;
    }
  }
}

TEST_P(ModelBits, AreTheSameOnOneAndTwoThreads) {
  const std::vector<Runtime> one = Runtimes(1), two = Runtimes(2);
  for (size_t i = 0; i < one.size(); ++i) {
    // Long enough that every operator has several tasks.
    Batch batch;
    for (uint64_t s = 0; s < 12; ++s) batch.Append(Ids(s, 90, config_.vocab_size));
    const Floats first = RowsOf(Logits(one[i], batch).value(), 0, batch.rows());
    EXPECT_TRUE(SameBits(first, RowsOf(Logits(two[i], batch).value(), 0, batch.rows())))
        << one[i].kernels->isa;
  }
}

TEST_P(ModelBits, AreTheSameWholeInChunksAndOnATape) {
  const std::vector<int32_t> ids = Ids(0, 71, config_.vocab_size);
  for (const Runtime& rt : Runtimes(2)) {
    Tape tape;
    const Floats trained = Alone(rt, ids, &tape);
    EXPECT_TRUE(SameBits(trained, Alone(rt, ids))) << rt.kernels->isa;
    for (int64_t chunk : {1, 5, 32, 33, 71}) {
      EXPECT_TRUE(SameBits(trained, Chunked(rt, ids, chunk)))
          << rt.kernels->isa << " chunks of " << chunk;
    }
  }
}

TEST_P(ModelBits, AreTheSameAfterCopyingAPrefix) {
  const std::vector<int32_t> ids = Ids(0, 50, config_.vocab_size);
  for (const Runtime& rt : Runtimes(1)) {
    const Floats whole = Alone(rt, ids);
    KvCache first(config_, 50), second(config_, 64);
    Batch prompt, rest;
    prompt.Append({ids.data(), 45}, 0, &first);
    Logits(rt, prompt);
    second.CopyPrefix(first, 40);
    rest.Append({ids.data() + 40, 10}, 40, &second);
    const Floats tail(whole.begin() + 40 * config_.vocab_size, whole.end());
    EXPECT_TRUE(SameBits(tail, RowsOf(Logits(rt, rest).value(), 0, 10))) << rt.kernels->isa;
    first.Truncate(40);
    rest.sequences[0].cache = &first;
    EXPECT_TRUE(SameBits(tail, RowsOf(Logits(rt, rest).value(), 0, 10))) << rt.kernels->isa;
  }
}

// Logits of both MTP modules for rows that know their next tokens.
Floats MtpRows(Model& model, const Runtime& rt, const std::vector<std::vector<int32_t>>& all,
               size_t wanted) {
  Batch batch;
  std::vector<std::vector<int32_t>> next(2);
  for (const std::vector<int32_t>& ids : all) {
    batch.Append({ids.data(), ids.size() - 2});
    for (size_t d = 0; d < 2; ++d) {
      next[d].insert(next[d].end(), ids.begin() + static_cast<std::ptrdiff_t>(d) + 1,
                     ids.end() - 1 + static_cast<std::ptrdiff_t>(d));
    }
  }
  model.Changed();
  Variable state = model.Forward(rt, nullptr, batch);
  Floats logits;
  for (size_t d = 0; d < 2; ++d) {
    const int64_t depth = static_cast<int64_t>(d);
    state = model.MtpForward(rt, nullptr, depth, state, next[d], batch);
    const Batch::Sequence& s = batch.sequences[wanted];
    const Floats rows =
        RowsOf(model.MtpLogits(rt, nullptr, depth, state).value(), s.row_begin, s.row_count);
    logits.insert(logits.end(), rows.begin(), rows.end());
  }
  return logits;
}

TEST_P(MtpBits, OfTheMtpModulesDoNotDependOnBatchAndThreads) {
  const std::vector<Runtime> one = Runtimes(1), two = Runtimes(2);
  std::vector<std::vector<int32_t>> all;
  for (uint64_t s = 0; s < 8; ++s) {
    all.push_back(Ids(s, 30 + static_cast<int64_t>(s), config_.vocab_size));
  }
  for (size_t i = 0; i < one.size(); ++i) {
    const Floats alone = MtpRows(model_, one[i], {all[5]}, 0);
    EXPECT_TRUE(SameBits(alone, MtpRows(model_, one[i], all, 5))) << one[i].kernels->isa;
    EXPECT_TRUE(SameBits(alone, MtpRows(model_, two[i], all, 5))) << one[i].kernels->isa;
    if (GetParam().precision == Precision::kF32) {
      EXPECT_TRUE(SameBits(alone, MtpRows(model_, one[0], {all[5]}, 0))) << one[i].kernels->isa;
    }
  }
}

TEST_P(F32Bits, AreTheSameOnEveryInstructionSet) {
  const std::vector<int32_t> ids = Ids(0, 71, config_.vocab_size);
  const Floats scalar = Alone(Runtimes(1).front(), ids);
  for (const Runtime& rt : Runtimes(1)) {
    EXPECT_TRUE(SameBits(scalar, Alone(rt, ids))) << rt.kernels->isa;
  }
}

std::string SettingName(const testing::TestParamInfo<Setting>& info) { return info.param.name; }

const Setting kF32 = {"F32", TinyConfig(), Precision::kF32};
const Setting kF32WithoutQueryRank = {"F32WithoutQueryRank", WithoutQueryRank(), Precision::kF32};
const Setting kF32Full = {"F32YarnMtp", TinyConfigWithYarnAndMtp(), Precision::kF32};
const Setting kBf16 = {"Bf16", TinyConfig(), Precision::kBF16};
const Setting kBf16Full = {"Bf16YarnMtp", TinyConfigWithYarnAndMtp(), Precision::kBF16};

INSTANTIATE_TEST_SUITE_P(Tiny, ModelBits,
                         testing::Values(kF32, kF32WithoutQueryRank, kF32Full, kBf16, kBf16Full),
                         SettingName);
INSTANTIATE_TEST_SUITE_P(Tiny, MtpBits, testing::Values(kF32Full, kBf16Full), SettingName);
INSTANTIATE_TEST_SUITE_P(Tiny, F32Bits, testing::Values(kF32, kF32WithoutQueryRank, kF32Full),
                         SettingName);

class ModelTest : public testing::Test {
 protected:
  RuntimeOwner owner_{1};
  const Runtime& rt_ = owner_.get();
};

Floats AllWeights(Model& model) {
  Floats all;
  for (const Model::NamedTensor& tensor : model.named_tensors()) {
    all.insert(all.end(), tensor.data, tensor.data + NumElements(tensor.shape));
  }
  return all;
}

TEST_F(ModelTest, InitializationIsAPureFunctionOfSeedAndName) {
  Model first(TinyConfig()), second(TinyConfig()), other(TinyConfig());
  first.Initialize(1);
  second.Initialize(2);
  second.Initialize(1);
  other.Initialize(2);
  EXPECT_TRUE(SameBits(AllWeights(first), AllWeights(second)));
  EXPECT_FALSE(SameBits(AllWeights(first), AllWeights(other)));
  // Another layer changes nothing in the tensors that both models have.
  ModelConfig deeper = TinyConfig();
  deeper.num_hidden_layers = 3;
  Model deep(deeper);
  deep.Initialize(1);
  for (const Model::NamedTensor& a : first.named_tensors()) {
    for (const Model::NamedTensor& b : deep.named_tensors()) {
      if (a.name != b.name) continue;
      EXPECT_EQ(std::memcmp(a.data, b.data, sizeof(float) * NumElements(a.shape)), 0) << a.name;
    }
  }
}

TEST_F(ModelTest, InitializationHasTheConfiguredSpread) {
  ModelConfig config = TinyConfig();
  config.vocab_size = 2000;
  Model model(config);
  model.Initialize(1);
  for (const Model::NamedTensor& tensor : model.named_tensors()) {
    const int64_t n = NumElements(tensor.shape);
    if (tensor.shape.size() == 1) {
      const float want = tensor.parameter == nullptr ? 0 : 1;
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(tensor.data[i], want) << tensor.name;
      continue;
    }
    double squares = 0;
    for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(tensor.data[i]) * tensor.data[i];
    // The variance of n draws has a relative standard deviation of sqrt(2 / n); five of them.
    const double ratio = squares / static_cast<double>(n) / (0.3 * 0.3);
    EXPECT_NEAR(ratio, 1, 5 * std::sqrt(2 / static_cast<double>(n))) << tensor.name;
  }
}

TEST_F(ModelTest, TiedHeadIsTheEmbedding) {
  Model tied(WithoutQueryRank()), untied(TinyConfig());
  const auto has_head = [](Model& model) {
    for (const Model::NamedTensor& tensor : model.named_tensors()) {
      if (tensor.name == "lm_head.weight") return true;
    }
    return false;
  };
  EXPECT_FALSE(has_head(tied));
  EXPECT_TRUE(has_head(untied));
}

// Every parameter of a model has a part in its loss, MTP modules included.
TEST_F(ModelTest, GradientReachesEveryParameter) {
  Model model(TinyConfigWithYarnAndMtp());
  model.Initialize(1);
  Tape tape;
  Batch batch;
  batch.Append(Ids(0, 60, model.config().vocab_size));
  const std::vector<int32_t> next = Ids(1, 60, model.config().vocab_size);
  Variable state = model.Forward(rt_, &tape, batch);
  std::vector<Variable> losses = {
      TokenLogProbs(rt_, &tape, model.Logits(rt_, &tape, state), next).values};
  for (int64_t d = 0; d < 2; ++d) {
    state = model.MtpForward(rt_, &tape, d, state, next, batch);
    losses.push_back(TokenLogProbs(rt_, &tape, model.MtpLogits(rt_, &tape, d, state), next).values);
  }
  for (const Variable& loss : losses) {
    for (int64_t r = 0; r < loss.rows(); ++r) loss.grad().row(r)[0] = -1;
  }
  tape.Backward();
  for (Parameter* parameter : model.parameters()) {
    const double squares =
        rt_.kernels->sum_squares(parameter->grad().f32(), parameter->grad().num_elements());
    EXPECT_TRUE(std::isfinite(squares) && squares > 0) << parameter->name();
  }
  model.ZeroGrad();
  for (Parameter* parameter : model.parameters()) {
    for (float g : parameter->grad().floats()) ASSERT_EQ(g, 0) << parameter->name();
  }
}

TEST_F(ModelTest, ReportCountsTheChoicesOfEveryMoeLayer) {
  Model model(TinyConfig());
  model.Initialize(1);
  Batch batch;
  batch.Append(Ids(0, 50, 29));
  ForwardReport report;
  report.keep_hidden = true;
  for (int pass = 1; pass <= 2; ++pass) {
    model.Forward(rt_, nullptr, batch, {}, &report);
    ASSERT_EQ(report.expert_counts.size(), 1u);
    int64_t total = 0;
    for (int64_t count : report.expert_counts[0]) total += count;
    EXPECT_EQ(total, pass * 50 * 3);
  }
  EXPECT_EQ(report.balance_loss, 0);
  EXPECT_EQ(report.hidden.size(), 2u * 3);  // the embedding and two layers, twice
  ForwardReport balanced;
  model.Forward(rt_, nullptr, batch, {0.5f}, &balanced);
  EXPECT_GT(balanced.balance_loss, 0);
}

TEST_F(ModelTest, CorrectionBiasRisesForIdleExpertsAndFallsForBusyOnes) {
  Model model(TinyConfig());
  model.Initialize(1);
  // The mean of the counts is 2.
  UpdateCorrectionBias(model, {{0, 1, 2, 3, 4, 2, 2, 2}}, 0.25f);
  const Floats once(model.correction_biases()[0].begin(), model.correction_biases()[0].end());
  EXPECT_EQ(once, (Floats{0.25f, 0.25f, 0, -0.25f, -0.25f, 0, 0, 0}));
  UpdateCorrectionBias(model, {{0, 4, 2, 3, 1, 2, 2, 2}}, 0.25f);
  const Floats twice(model.correction_biases()[0].begin(), model.correction_biases()[0].end());
  EXPECT_EQ(twice, (Floats{0.5f, 0, 0, -0.5f, 0, 0, 0, 0}));
  // A mean that is no integer: 9 / 8 lies between 1 and 2.
  UpdateCorrectionBias(model, {{1, 2, 1, 1, 1, 1, 1, 1}}, 0.25f);
  EXPECT_EQ(model.correction_biases()[0][0], 0.75f);
  EXPECT_EQ(model.correction_biases()[0][1], -0.25f);
  UpdateCorrectionBias(model, {{}}, 0.25f);
  EXPECT_EQ(model.correction_biases()[0][0], 0.75f);
}

// YaRN (arXiv:2309.00071, eq. 23; beta 32 and 1, original context 64): pairs that turn more than 32
// times keep their frequency, those that turn less than once are slowed by the factor.
TEST_F(ModelTest, YarnKeepsFastPairsAndSlowsTheOthers) {
  ModelConfig config = TinyConfig();
  config.qk_rope_head_dim = 64;
  const std::vector<float> plain = InverseFrequencies(config);
  EXPECT_EQ(plain[0], 1);
  // 10000^(-32/64) = 1/100: a power and a quotient, each within half a unit in the last place.
  EXPECT_NEAR(plain[16], 0.01, 0.01 * 0x1p-22);
  config.rope_scaling = RopeScaling{RopeType::kYarn, 4, 4096, 32, 1, 1, 0.8};
  const std::vector<float> yarn = InverseFrequencies(config);
  for (size_t i = 0; i < plain.size(); ++i) {
    const double turns = 4096.0 * static_cast<double>(plain[i]) / (2 * 3.14159265358979);
    const double ratio = static_cast<double>(yarn[i]) / static_cast<double>(plain[i]);
    // The ends of the ramp are whole indices, one further out than the exact ones.
    EXPECT_TRUE(turns <= 32 * 1.4 || ratio == 1) << i;
    EXPECT_TRUE(turns >= 1 / 1.4 || std::fabs(ratio - 0.25) <= 0x1p-22) << i;
    EXPECT_TRUE(ratio >= 0.25 * (1 - 0x1p-22) && ratio <= 1) << i;
  }
  // mscale: (0.1 ln 4 + 1) / (0.08 ln 4 + 1) on cos and sin, the denominator squared on scores.
  const double all_dim = 0.08 * std::log(4.0) + 1;
  EXPECT_NEAR(RopeScale(config), (0.1 * std::log(4.0) + 1) / all_dim, 0x1p-23);
  EXPECT_NEAR(SoftmaxScale(config), all_dim * all_dim / std::sqrt(70.0), 0x1p-24);
}

TEST_F(ModelTest, RefusesWhatItCannotRun) {
  Model model(TinyConfigWithYarnAndMtp());
  model.Initialize(1);
  const std::vector<int32_t> ids = {1, 2}, wrong = {1, 29};
  Batch empty, unknown, good, cached;
  unknown.Append(wrong);
  good.Append(ids);
  KvCache cache(model.config(), 8);
  cached.Append(ids, 0, &cache);
  EXPECT_THROW(model.Forward(rt_, nullptr, empty), Error);
  EXPECT_THROW(model.Forward(rt_, nullptr, unknown), Error);
  Tape tape;
  EXPECT_THROW(model.Forward(rt_, &tape, cached), Error);
  const Variable hidden = model.Forward(rt_, nullptr, good);
  EXPECT_THROW(model.MtpForward(rt_, nullptr, 2, hidden, ids, good), Error);
  EXPECT_THROW(model.MtpForward(rt_, nullptr, 0, hidden, {ids.data(), 1}, good), Error);
  EXPECT_THROW(model.MtpForward(rt_, nullptr, 0, hidden, ids, cached), Error);
  EXPECT_THROW(model.MtpLogits(rt_, nullptr, 2, hidden), Error);
}

}  // namespace
}  // namespace reckon
