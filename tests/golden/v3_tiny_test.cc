// The multi-token prediction of the v3-tiny fixture, which families_test.cc covers otherwise:
// DeepSeek-V3 in miniature against values made in float64 with the released code's rules.
#include <cmath>

#include "tests/golden/model_fixture.h"

namespace reckon {
namespace {

// The MTP module on rows 0..46 of each sequence.
struct MtpRun {
  Variable hidden, logits;
};

class V3TinyMtp : public ModelFixture, public testing::WithParamInterface<Isa> {
 protected:
  static constexpr int64_t kBatch = 2, kLength = 48, kRows = kLength - 1;
  void SetUp() override { Open("v3-tiny", GetParam()); }

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
  const SafetensorsFile train(folder_ + "/expected_train.safetensors");
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

std::string IsaName(const testing::TestParamInfo<Isa>& info) { return Name(info.param); }
const auto kEveryIsa = testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16);
INSTANTIATE_TEST_SUITE_P(OnEveryIsa, V3TinyMtp, kEveryIsa, IsaName);

}  // namespace
}  // namespace reckon
