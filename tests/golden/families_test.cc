// The small models of every family against values made in float64 with their authors' rules:
// DeepSeek-V2 and V2-Lite, DeepSeek-V3 in FP8, Qwen2 with its own and with a tied head, Llama 3.
// Tolerances are those of the fixtures' READMEs, derived there from what transformers shows in f32.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "formats/safetensors.h"
#include "model/rope.h"
#include "model/weights.h"
#include "ops/log_prob.h"
#include "tests/golden/shared.h"
#include "train/adamw.h"

namespace reckon {
namespace {

constexpr double kLogitTolerance = 3e-4, kLossTolerance = 2e-5, kRouterTolerance = 2e-5;
constexpr double kGradientTolerance = 5e-5, kNormTolerance = 2e-4;

struct Family {
  const char* folder;
  Isa isa;
  bool stored;  // weights as they lie in the file, else expanded to f32
};
void PrintTo(const Family& f, std::ostream* out) { *out << f.folder << " " << Name(f.isa); }

class FamilyFixture : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    folder_ = SharedPath("fixtures/" + std::string(GetParam().folder));
    if (!FileExists(folder_ + "/config.json")) GTEST_SKIP() << "no fixture at " << folder_;
    const KernelTable* table = FindKernelTable(GetParam().isa);
    if (table == nullptr) GTEST_SKIP() << "this CPU has no " << Name(GetParam().isa);
    rt_ = {&pool_, table, Precision::kF32};
    model_ = GetParam().stored ? OpenModel(folder_) : LoadModel(folder_);
    expected_ = std::make_unique<SafetensorsFile>(folder_ + "/expected.safetensors");
    const Shape& shape = expected_->Get("input_ids").shape;
    batch_ = shape[0];
    length_ = shape[1];
  }

  std::vector<int32_t> Ids(const std::string& name = "input_ids") const {
    const std::vector<int64_t> wide = expected_->LoadInts(name);
    return {wide.begin(), wide.end()};
  }

  Batch WholeBatch() const {
    const std::vector<int32_t> ids = Ids();
    Batch batch;
    for (int64_t b = 0; b < batch_; ++b) {
      batch.Append({ids.data() + b * length_, static_cast<size_t>(length_)});
    }
    return batch;
  }

  Variable Logits(const Batch& batch) {
    return model_->Logits(rt_, nullptr, model_->Forward(rt_, nullptr, batch));
  }

  // `values` [rows, cols] against rows of the expected tensor, which begin at element `offset`.
  void ExpectNear(const Matrix& values, const std::string& name, double tolerance,
                  int64_t offset = 0) const {
    const Tensor want = expected_->LoadF32(name);
    for (int64_t r = 0; r < values.rows; ++r) {
      for (int64_t c = 0; c < values.cols; ++c) {
        ASSERT_NEAR(values.row(r)[c], want.f32()[offset + r * values.cols + c], tolerance)
            << name << " row " << r << " column " << c;
      }
    }
  }

  // Mean cross-entropy of all next tokens; seeds its gradient when on a tape.
  double Loss(Tape* tape) {
    const std::vector<int32_t> ids = Ids();
    std::vector<int64_t> rows;
    std::vector<int32_t> targets;
    for (int64_t i = 0; i < batch_ * length_; ++i) {
      if (i % length_ == length_ - 1) continue;
      rows.push_back(i);
      targets.push_back(ids[static_cast<size_t>(i + 1)]);
    }
    const Variable hidden = model_->Forward(rt_, tape, WholeBatch());
    const LogProbs logprobs = TokenLogProbs(
        rt_, tape, model_->Logits(rt_, tape, GatherRows(rt_, tape, hidden, rows)), targets);
    double sum = 0;
    const auto count = static_cast<double>(targets.size());
    for (size_t i = 0; i < targets.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      sum -= logprobs.values.value().row(row)[0];
      if (tape != nullptr) logprobs.values.grad().row(row)[0] = static_cast<float>(-1 / count);
    }
    return sum / count;
  }

  std::string folder_;
  int64_t batch_ = 0, length_ = 0;
  ThreadPool pool_{2};
  Runtime rt_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<SafetensorsFile> expected_;
};

TEST_P(FamilyFixture, RotaryFrequenciesAndScaleAreTheReleasedOnes) {
  const std::vector<float> inv_freq = InverseFrequencies(model_->config());
  const Tensor want = expected_->LoadF32("rope.inv_freq");
  ASSERT_EQ(static_cast<int64_t>(inv_freq.size()), want.num_elements());
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    EXPECT_NEAR(inv_freq[i] / want.f32()[i], 1, 2.4e-7) << i;
  }
  EXPECT_NEAR(SoftmaxScale(model_->config()) / expected_->LoadF32("attn.softmax_scale").f32()[0], 1,
              1e-6);
}

TEST_P(FamilyFixture, LogitsHiddenStatesRoutersAndLossAgree) {
  ForwardReport report;
  report.keep_hidden = true;
  const Variable final_hidden = model_->Forward(rt_, nullptr, WholeBatch(), {}, &report);
  ExpectNear(final_hidden.value(), "final_hidden", kLogitTolerance);
  const ModelConfig& c = model_->config();
  ASSERT_EQ(static_cast<int64_t>(report.hidden.size()), c.num_hidden_layers + 1);
  for (size_t i = 0; i < report.hidden.size(); ++i) {
    ExpectNear(report.hidden[i].value(), "hidden_states", kLogitTolerance,
               static_cast<int64_t>(i) * batch_ * length_ * c.hidden_size);
  }
  const auto scaling = std::max(c.routed_scaling_factor, 1.0);
  for (size_t i = 0; i < report.routing.size(); ++i) {
    const std::string prefix =
        "router." + std::to_string(i + static_cast<size_t>(c.first_k_dense_replace));
    const Routing& routing = report.routing[i];
    ASSERT_EQ(std::vector<int64_t>(routing.experts->begin(), routing.experts->end()),
              expected_->LoadInts(prefix + ".topk_indices"));
    ExpectNear(routing.weights.value(), prefix + ".topk_weights", kRouterTolerance * scaling);
    ExpectNear(routing.scores.value(), prefix + ".scores", kRouterTolerance);
  }
  ExpectNear(model_->Logits(rt_, nullptr, final_hidden).value(), "logits", kLogitTolerance);
  EXPECT_NEAR(Loss(nullptr), expected_->LoadF32("loss").f32()[0], kLossTolerance);
}

TEST_P(FamilyFixture, DecodingWithACacheAgrees) {
  constexpr int64_t kPrompt = 40;
  const std::vector<int32_t> ids = Ids();
  const int64_t vocab_size = model_->config().vocab_size;
  for (int64_t b = 0; b < batch_; ++b) {
    KvCache cache(model_->config(), length_);
    for (int64_t i = 0; i < length_; i = std::max(i + 1, kPrompt)) {
      const int64_t count = i == 0 ? kPrompt : 1;
      Batch batch;
      batch.Append({ids.data() + b * length_ + i, static_cast<size_t>(count)}, i, &cache);
      const Variable logits = Logits(batch);
      if (i < kPrompt) continue;
      ExpectNear(logits.value(), "decode.logits", kLogitTolerance,
                 (b * (length_ - kPrompt) + i - kPrompt) * vocab_size);
    }
  }
}

TEST_P(FamilyFixture, StoredWeightsGiveTheBitsOfExpandedOnes) {
  if (GetParam().stored) GTEST_SKIP() << "compared once";
  const auto stored = OpenModel(folder_);
  const Variable a = Logits(WholeBatch());
  const Variable b = stored->Logits(rt_, nullptr, stored->Forward(rt_, nullptr, WholeBatch()));
  EXPECT_EQ(std::memcmp(a.value().data, b.value().data,
                        static_cast<size_t>(a.rows() * a.cols()) * sizeof(float)),
            0);
}

TEST_P(FamilyFixture, LongPositionsAgree) {
  const std::vector<int32_t> ids = Ids("long.input_ids");
  for (const std::string prefix : {"long.contig", "long.gapped"}) {
    Batch batch;
    batch.Append(ids);
    batch.positions = Ids(prefix + ".position_ids");
    const Variable logits = Logits(batch);
    if (prefix == "long.contig") {
      ExpectNear({logits.value().row(logits.rows() - 1), 1, logits.cols(), logits.cols()},
                 prefix + ".logits_last", kLogitTolerance);
    } else {
      ExpectNear(logits.value(), prefix + ".logits", kLogitTolerance);
    }
  }
}

TEST_P(FamilyFixture, GreedyDecodingGivesTheSameTokens) {
  const std::vector<int32_t> want = Ids("greedy.output_ids");
  std::vector<int32_t> next = Ids("greedy.prompt_ids"), got;
  KvCache cache(model_->config(), 64);
  while (got.size() < want.size()) {
    Batch batch;
    batch.Append(next, cache.length(), &cache);
    const Variable logits = Logits(batch);
    const int64_t best = rt_.kernels->argmax(logits.value().row(logits.rows() - 1), logits.cols());
    got.push_back(static_cast<int32_t>(best));
    next = {got.back()};
  }
  EXPECT_EQ(got, want);
}

TEST_P(FamilyFixture, GradientsAgreeWhereTheFixtureHasThem) {
  const std::string path = folder_ + "/expected_train.safetensors";
  if (!FileExists(path) || GetParam().stored) GTEST_SKIP() << "no gradients here";
  const SafetensorsFile train(path);
  Tape tape;
  Loss(&tape);
  tape.Backward();
  int compared = 0;
  for (const Model::NamedTensor& tensor : model_->named_tensors()) {
    if (tensor.parameter == nullptr) continue;
    const float* grad = tensor.parameter->grad().f32() + tensor.offset;
    if (train.Has("grad." + tensor.name)) {
      const Tensor want = train.LoadF32("grad." + tensor.name);
      for (int64_t i = 0; i < want.num_elements(); ++i) {
        ASSERT_NEAR(grad[i], want.f32()[i], kGradientTolerance) << tensor.name << " element " << i;
      }
      ++compared;
    }
    if (train.Has("grad_norm." + tensor.name)) {
      const double want = train.LoadF32("grad_norm." + tensor.name).f32()[0];
      const double norm = std::sqrt(rt_.kernels->sum_squares(grad, NumElements(tensor.shape)));
      ASSERT_NEAR(norm, want, kNormTolerance * want + 1e-12) << tensor.name;
      ++compared;
    }
  }
  EXPECT_GT(compared, 20);
}

TEST_P(FamilyFixture, ThreeAdamWStepsAgreeWhereTheFixtureHasThem) {
  const std::string path = folder_ + "/expected_train.safetensors";
  if (!FileExists(path) || GetParam().stored) GTEST_SKIP() << "no training here";
  const SafetensorsFile train(path);
  AdamW optimizer(model_->parameters(), {0.9, 0.95, 1e-8, 0.1, 1.0});
  const Tensor losses = train.LoadF32("losses"), norms = train.LoadF32("grad_norms");
  for (int step = 0; step < 3; ++step) {
    Tape tape;
    EXPECT_NEAR(Loss(&tape), losses.f32()[step], step == 0 ? kLossTolerance : 1e-4) << step;
    tape.Backward();
    const double norm = optimizer.Step(rt_, 1e-3);
    EXPECT_NEAR(norm / norms.f32()[step], 1, 1e-3) << step;
    model_->ZeroGrad();
  }
}

std::vector<Family> AllFamilies() {
  std::vector<Family> all;
  for (const char* folder :
       {"v2-lite-tiny", "v2-tiny", "v3-tiny-fp8", "qwen2-tiny", "qwen2-tiny-tied", "llama3-tiny"}) {
    for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
      for (const bool stored : {false, true}) all.push_back({folder, isa, stored});
    }
  }
  return all;
}

std::string FamilyName(const testing::TestParamInfo<Family>& info) {
  std::string name = std::string(info.param.folder) + "_" + Name(info.param.isa) +
                     (info.param.stored ? "_stored" : "_f32");
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(OnEveryIsa, FamilyFixture, testing::ValuesIn(AllFamilies()), FamilyName);

}  // namespace
}  // namespace reckon
