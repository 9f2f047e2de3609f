// The v3-tiny fixture: DeepSeek-V3 in miniature against values made in float64 with the released
// code's rules. Tolerances are those of the fixture's README, which derives them from what
// transformers shows in float32.
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
constexpr int64_t kBatch = 2, kLength = 48;

std::string Folder() { return SharedPath("fixtures/v3-tiny"); }

// Each test runs once for every instruction set of this CPU.
class V3Tiny : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!FileExists(Folder() + "/config.json")) GTEST_SKIP() << "no fixture at " << Folder();
    const KernelTable* table = FindKernelTable(GetParam());
    if (table == nullptr) GTEST_SKIP() << "this CPU has no " << Name(GetParam());
    rt_ = {&pool_, table, Precision::kF32};
    model_ = LoadModel(Folder());
    expected_ = std::make_unique<SafetensorsFile>(Folder() + "/expected.safetensors");
  }

  std::vector<int32_t> Ids(const std::string& name = "input_ids") const {
    const std::vector<int64_t> wide = expected_->LoadInts(name);
    return {wide.begin(), wide.end()};
  }

  Batch WholeBatch() const {
    const std::vector<int32_t> ids = Ids();
    Batch batch;
    for (int64_t b = 0; b < kBatch; ++b) batch.Append({ids.data() + b * kLength, kLength});
    return batch;
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

  // Mean cross-entropy of the rows that have a target; seeds d loss / d logprob when on a tape.
  double Loss(Tape* tape, const Variable& hidden, const std::vector<int64_t>& rows,
              const std::vector<int32_t>& targets, double weight = 1) {
    const Variable chosen = GatherRows(rt_, tape, hidden, rows);
    const LogProbs logprobs = TokenLogProbs(rt_, tape, model_->Logits(rt_, tape, chosen), targets);
    return Seed(tape, logprobs, weight);
  }

  static double Seed(Tape* tape, const LogProbs& logprobs, double weight) {
    double sum = 0;
    const int64_t count = logprobs.values.rows();
    for (int64_t i = 0; i < count; ++i) {
      sum -= logprobs.values.value().row(i)[0];
      if (tape != nullptr) {
        logprobs.values.grad().row(i)[0] = static_cast<float>(-weight / static_cast<double>(count));
      }
    }
    return sum / static_cast<double>(count);
  }

  struct Targets {
    std::vector<int64_t> rows;
    std::vector<int32_t> ids;
  };
  // Row b * stride + i predicts ids[b, i + shift].
  Targets NextTokens(int64_t stride, int64_t shift) const {
    const std::vector<int32_t> ids = Ids();
    Targets targets;
    for (int64_t b = 0; b < kBatch; ++b) {
      for (int64_t i = 0; i + shift < kLength; ++i) {
        targets.rows.push_back(b * stride + i);
        targets.ids.push_back(ids[static_cast<size_t>(b * kLength + i + shift)]);
      }
    }
    return targets;
  }

  double MainLoss(Tape* tape) {
    const Variable hidden = model_->Forward(rt_, tape, WholeBatch());
    const Targets targets = NextTokens(kLength, 1);
    return Loss(tape, hidden, targets.rows, targets.ids);
  }

  void ExpectRouting(const Routing& routing, const std::string& prefix) const {
    const std::vector<int64_t> want = expected_->LoadInts(prefix + ".topk_indices");
    ASSERT_EQ(std::vector<int64_t>(routing.experts->begin(), routing.experts->end()), want)
        << prefix;
    ExpectNear(routing.weights.value(), prefix + ".topk_weights", kRouterTolerance);
  }

  ThreadPool pool_{2};
  Runtime rt_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<SafetensorsFile> expected_;
};

TEST_P(V3Tiny, RotaryTablesAndScaleAreTheReleasedOnes) {
  const std::vector<float> inv_freq = InverseFrequencies(model_->config());
  const Tensor want = expected_->LoadF32("rope.inv_freq");
  ASSERT_EQ(static_cast<int64_t>(inv_freq.size()), want.num_elements());
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    EXPECT_NEAR(inv_freq[i] / want.f32()[i], 1, 2.4e-7) << i;
  }
  EXPECT_NEAR(SoftmaxScale(model_->config()) / expected_->LoadF32("attn.softmax_scale").f32()[0], 1,
              1e-6);
  const std::vector<int32_t> positions = Ids("long.gapped.position_ids");
  const RopeTable table = MakeRopeTable(rt_, positions, want.floats(), 1, true);
  // cos and sin of the same f32 angle, rounded once here and there.
  Tensor cos = table.cos.Clone(), sin = table.sin.Clone();
  ExpectNear(cos.matrix(), "rope.gapped.cos", 1e-6);
  ExpectNear(sin.matrix(), "rope.gapped.sin", 1e-6);
}

TEST_P(V3Tiny, LogitsHiddenStatesAndRoutersAgree) {
  ForwardReport report;
  report.keep_hidden = true;
  const Variable final_hidden = model_->Forward(rt_, nullptr, WholeBatch(), {}, &report);
  ExpectNear(final_hidden.value(), "final_hidden", kLogitTolerance);
  ASSERT_EQ(report.hidden.size(), 5u);
  for (size_t i = 0; i < report.hidden.size(); ++i) {
    ExpectNear(report.hidden[i].value(), "hidden_states", kLogitTolerance,
               static_cast<int64_t>(i) * kBatch * kLength * model_->config().hidden_size);
  }
  ASSERT_EQ(report.routing.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const std::string prefix = "router." + std::to_string(i + 1);
    ExpectRouting(report.routing[i], prefix);
    ExpectNear(report.routing[i].scores.value(), prefix + ".scores", kRouterTolerance);
  }
  ExpectNear(model_->Logits(rt_, nullptr, final_hidden).value(), "logits", kLogitTolerance);
  EXPECT_NEAR(MainLoss(nullptr), expected_->LoadF32("loss").f32()[0], kLossTolerance);
}

TEST_P(V3Tiny, DecodingWithACacheAgrees) {
  constexpr int64_t kPrompt = 40;
  const std::vector<int32_t> ids = Ids();
  const int64_t vocab_size = model_->config().vocab_size;
  for (int64_t b = 0; b < kBatch; ++b) {
    KvCache cache(model_->config(), kLength);
    for (int64_t i = 0; i < kLength;) {
      const int64_t count = i == 0 ? kPrompt : 1;
      Batch batch;
      batch.Append({ids.data() + b * kLength + i, static_cast<size_t>(count)}, i, &cache);
      const Variable hidden = model_->Forward(rt_, nullptr, batch);
      const Variable logits = model_->Logits(rt_, nullptr, hidden);
      if (i >= kPrompt) {
        ExpectNear(logits.value(), "decode.logits", kLogitTolerance,
                   (b * (kLength - kPrompt) + i - kPrompt) * vocab_size);
      }
      i += count;
    }
  }
}

TEST_P(V3Tiny, LongPositionsAgree) {
  const std::vector<int32_t> ids = Ids("long.input_ids");
  for (const char* name : {"contig", "gapped"}) {
    const std::string prefix = std::string("long.") + name;
    Batch batch;
    batch.Append(ids);
    batch.positions = Ids(prefix + ".position_ids");
    const Variable logits = model_->Logits(rt_, nullptr, model_->Forward(rt_, nullptr, batch));
    if (std::strcmp(name, "contig") == 0) {
      ExpectNear({logits.value().row(kLength - 1), 1, logits.cols(), logits.cols()},
                 prefix + ".logits_last", kLogitTolerance);
    } else {
      ExpectNear(logits.value(), prefix + ".logits", kLogitTolerance);
    }
  }
}

TEST_P(V3Tiny, GreedyDecodingGivesTheSameTokens) {
  const std::vector<int32_t> want = Ids("greedy.output_ids");
  std::vector<int32_t> next = Ids("greedy.prompt_ids"), got;
  KvCache cache(model_->config(), 64);
  while (got.size() < want.size()) {
    Batch batch;
    batch.Append(next, cache.length(), &cache);
    const Variable logits = model_->Logits(rt_, nullptr, model_->Forward(rt_, nullptr, batch));
    const int64_t best = rt_.kernels->argmax(logits.value().row(logits.rows() - 1), logits.cols());
    got.push_back(static_cast<int32_t>(best));
    next = {got.back()};
  }
  EXPECT_EQ(got, want);
}

// The MTP module on rows 0..46 of each sequence.
struct MtpRun {
  Variable hidden, logits;
};

class V3TinyMtp : public V3Tiny {
 protected:
  static constexpr int64_t kRows = kLength - 1;

  // `hidden` holds the states of all 48 rows.
  MtpRun Run(Tape* tape, const Variable& hidden, ForwardReport* report) {
    const std::vector<int32_t> ids = Ids();
    Batch batch;
    std::vector<int32_t> next;
    std::vector<int64_t> rows;
    for (int64_t b = 0; b < kBatch; ++b) {
      batch.Append({ids.data() + b * kLength, static_cast<size_t>(kRows)});
      for (int64_t i = 0; i < kRows; ++i) {
        next.push_back(ids[static_cast<size_t>(b * kLength + i + 1)]);
        rows.push_back(b * kLength + i);
      }
    }
    MtpRun run;
    run.hidden = model_->MtpForward(rt_, tape, 0, GatherRows(rt_, tape, hidden, rows), next, batch,
                                    {}, report);
    run.logits = model_->MtpLogits(rt_, tape, 0, run.hidden);
    return run;
  }

  double MtpLoss(Tape* tape, const MtpRun& run, double weight) {
    const Targets targets = NextTokens(kRows, 2);
    const Variable chosen = GatherRows(rt_, tape, run.logits, targets.rows);
    return Seed(tape, TokenLogProbs(rt_, tape, chosen, targets.ids), weight);
  }
};

TEST_P(V3TinyMtp, ModuleAgrees) {
  ForwardReport report;
  const Variable hidden = model_->Forward(rt_, nullptr, WholeBatch());
  report.keep_hidden = true;
  const MtpRun run = Run(nullptr, hidden, &report);
  ExpectNear(run.hidden.value(), "mtp.hidden", kLogitTolerance);
  ExpectNear(run.logits.value(), "mtp.logits", kLogitTolerance);
  ASSERT_EQ(report.routing.size(), 1u);
  ExpectRouting(report.routing[0], "mtp.router");
  EXPECT_NEAR(MtpLoss(nullptr, run, 1), expected_->LoadF32("mtp.loss").f32()[0], kLossTolerance);
}

TEST_P(V3TinyMtp, FedWithStatesBeforeTheNormGivesThatVariant) {
  ForwardReport report;
  report.keep_hidden = true;
  model_->Forward(rt_, nullptr, WholeBatch(), {}, &report);
  const MtpRun run = Run(nullptr, report.hidden.back(), nullptr);
  for (int64_t b = 0; b < kBatch; ++b) {
    const Matrix last{run.logits.value().row(b * kRows + kRows - 1), 1, run.logits.cols(),
                      run.logits.cols()};
    ExpectNear(last, "mtp.from_prenorm.logits_last", kLogitTolerance, b * run.logits.cols());
  }
  EXPECT_NEAR(MtpLoss(nullptr, run, 1), expected_->LoadF32("mtp.from_prenorm.loss").f32()[0],
              kLossTolerance);
}

TEST_P(V3TinyMtp, JointGradientsAgree) {
  const SafetensorsFile train(Folder() + "/expected_train.safetensors");
  Tape tape;
  const Variable hidden = model_->Forward(rt_, &tape, WholeBatch());
  const Targets targets = NextTokens(kLength, 1);
  const double main = Loss(&tape, hidden, targets.rows, targets.ids);
  const double mtp = MtpLoss(&tape, Run(&tape, hidden, nullptr), 0.3);
  EXPECT_NEAR(main + 0.3 * mtp, train.LoadF32("joint.loss").f32()[0], kLossTolerance);
  tape.Backward();
  int compared = 0;
  for (const Model::NamedTensor& tensor : model_->named_tensors()) {
    if (tensor.parameter == nullptr) continue;
    const float* grad = tensor.parameter->grad().f32() + tensor.offset;
    const int64_t count = NumElements(tensor.shape);
    if (train.Has("joint.grad." + tensor.name)) {
      const Tensor want = train.LoadF32("joint.grad." + tensor.name);
      for (int64_t i = 0; i < count; ++i)
        ASSERT_NEAR(grad[i], want.f32()[i], kGradientTolerance) << tensor.name;
      ++compared;
    }
    if (train.Has("joint.grad_norm." + tensor.name)) {
      const double norm = std::sqrt(rt_.kernels->sum_squares(grad, count));
      const double want = train.LoadF32("joint.grad_norm." + tensor.name).f32()[0];
      ASSERT_NEAR(norm, want, kNormTolerance * want + 1e-12) << tensor.name;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 17 + 198);
}

TEST_P(V3Tiny, GradientsAgree) {
  const SafetensorsFile train(Folder() + "/expected_train.safetensors");
  Tape tape;
  MainLoss(&tape);
  tape.Backward();
  int compared = 0;
  for (const Model::NamedTensor& tensor : model_->named_tensors()) {
    if (tensor.parameter == nullptr || !train.Has("grad." + tensor.name)) continue;
    const Tensor want = train.LoadF32("grad." + tensor.name);
    const float* grad = tensor.parameter->grad().f32() + tensor.offset;
    for (int64_t i = 0; i < want.num_elements(); ++i) {
      ASSERT_NEAR(grad[i], want.f32()[i], kGradientTolerance) << tensor.name << " element " << i;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 162);
}

TEST_P(V3Tiny, ThreeAdamWStepsAgree) {
  const SafetensorsFile train(Folder() + "/expected_train.safetensors");
  std::vector<Parameter*> trained;
  for (const Model::NamedTensor& tensor : model_->named_tensors()) {
    const bool of_mtp = tensor.name.rfind("model.layers.4.", 0) == 0;
    if (tensor.parameter == nullptr || of_mtp) continue;
    if (trained.empty() || trained.back() != tensor.parameter) trained.push_back(tensor.parameter);
  }
  AdamW optimizer(trained, {0.9, 0.95, 1e-8, 0.1, 1.0});
  const Tensor losses = train.LoadF32("losses"), norms = train.LoadF32("grad_norms");
  for (int step = 0; step < 3; ++step) {
    Tape tape;
    const double tolerance = step == 0 ? kLossTolerance : 1e-4;
    EXPECT_NEAR(MainLoss(&tape), losses.f32()[step], tolerance) << "step " << step;
    tape.Backward();
    const double norm = optimizer.Step(rt_, 1e-3);
    EXPECT_NEAR(norm / norms.f32()[step], 1, kNormTolerance) << "step " << step;
    model_->ZeroGrad();
  }
  EXPECT_NEAR(MainLoss(nullptr), losses.f32()[3], 1e-4);
  int64_t total = 0, near = 0;
  for (const Model::NamedTensor& tensor : model_->named_tensors()) {
    if (!train.Has("after3." + tensor.name)) continue;
    const Tensor want = train.LoadF32("after3." + tensor.name);
    for (int64_t i = 0; i < want.num_elements(); ++i) {
      const double difference = std::fabs(tensor.data[i] - want.f32()[i]);
      ASSERT_LE(difference, 1e-3) << tensor.name << " element " << i;
      near += difference <= 2e-5 ? 1 : 0;
      ++total;
    }
  }
  EXPECT_EQ(total, 307264);
  EXPECT_GE(static_cast<double>(near), 0.999 * static_cast<double>(total));
}

std::string IsaName(const testing::TestParamInfo<Isa>& info) { return Name(info.param); }
const auto kEveryIsa = testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16);
INSTANTIATE_TEST_SUITE_P(OnEveryIsa, V3Tiny, kEveryIsa, IsaName);
INSTANTIATE_TEST_SUITE_P(OnEveryIsa, V3TinyMtp, kEveryIsa, IsaName);

}  // namespace
}  // namespace reckon
