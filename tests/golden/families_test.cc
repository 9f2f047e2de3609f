// The small models of every family against values made in float64 with their authors' rules:
// DeepSeek-V3, the same in FP8, DeepSeek-V2 and V2-Lite, Qwen2 with its own and with a tied head,
// Llama 3.
#include <cmath>
#include <cstring>

#include "model/rope.h"
#include "tests/golden/model_fixture.h"
#include "train/adamw.h"

namespace reckon {
namespace {

struct Family {
  const char* folder;
  Isa isa;
  bool stored;  // weights as they lie in the file, else expanded to f32
};
void PrintTo(const Family& f, std::ostream* out) { *out << f.folder << " " << Name(f.isa); }

class FamilyFixture : public ModelFixture, public testing::WithParamInterface<Family> {
 protected:
  void SetUp() override { Open(GetParam().folder, GetParam().isa, GetParam().stored); }

  // Where the fixture has training and the weights can be trained.
  std::unique_ptr<SafetensorsFile> Training() const {
    const std::string path = folder_ + "/expected_train.safetensors";
    if (GetParam().stored || !FileExists(path)) return nullptr;
    return std::make_unique<SafetensorsFile>(path);
  }

  bool IsOfMtp(const std::string& name) const {
    const std::string first =
        "model.layers." + std::to_string(model_->config().num_hidden_layers) + ".";
    return name.starts_with(first);
  }
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
  const std::vector<int32_t> positions = Ids("long.gapped.position_ids");
  const RopeTable table = MakeRopeTable(rt_, positions, want.floats(), 1, true);
  // cos and sin of the same f32 angle, rounded once here and there.
  Tensor cos = table.cos.Clone(), sin = table.sin.Clone();
  ExpectNear(cos.matrix(), "rope.gapped.cos", 1e-6);
  ExpectNear(sin.matrix(), "rope.gapped.sin", 1e-6);
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
  int64_t moe_layers = 0;
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) moe_layers += c.is_moe_layer(layer);
  ASSERT_EQ(static_cast<int64_t>(report.routing.size()), moe_layers);
  for (size_t i = 0; i < report.routing.size(); ++i) {
    const std::string prefix =
        "router." + std::to_string(i + static_cast<size_t>(c.first_k_dense_replace));
    // Only V2's weights are so much larger that their README scales the tolerance.
    const bool v2 = c.model_type == "deepseek_v2";
    ExpectRouting(report.routing[i], prefix, v2 ? std::max(c.routed_scaling_factor, 1.0) : 1.0);
    ExpectNear(report.routing[i].scores.value(), prefix + ".scores", kRouterTolerance);
  }
  ExpectNear(model_->Logits(rt_, nullptr, final_hidden).value(), "logits", kLogitTolerance);
  EXPECT_NEAR(MainLoss(nullptr), expected_->LoadF32("loss").f32()[0], kLossTolerance);
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
  EXPECT_EQ(Greedy(Ids("greedy.prompt_ids"), want.size()), want);
}

TEST_P(FamilyFixture, GradientsAgree) {
  const auto train = Training();
  if (train == nullptr) GTEST_SKIP() << "no training here";
  Tape tape;
  MainLoss(&tape);
  tape.Backward();
  int gradients = 0, norms = 0;
  for (const Model::NamedTensor& tensor : model_->named_tensors()) {
    if (tensor.parameter == nullptr) continue;
    const float* grad = tensor.parameter->grad().f32() + tensor.offset;
    if (train->Has("grad." + tensor.name)) {
      const Tensor want = train->LoadF32("grad." + tensor.name);
      for (int64_t i = 0; i < want.num_elements(); ++i) {
        ASSERT_NEAR(grad[i], want.f32()[i], kGradientTolerance) << tensor.name << " element " << i;
      }
      ++gradients;
    }
    if (train->Has("grad_norm." + tensor.name)) {
      const double want = train->LoadF32("grad_norm." + tensor.name).f32()[0];
      const double norm = std::sqrt(rt_.kernels->sum_squares(grad, NumElements(tensor.shape)));
      ASSERT_NEAR(norm, want, kNormTolerance * want + 1e-12) << tensor.name;
      ++norms;
    }
  }
  const bool v3 = model_->config().model_type == "deepseek_v3";
  EXPECT_EQ(gradients, v3 ? 162 : 18);
  EXPECT_EQ(norms, v3 ? 0 : 8);
}

TEST_P(FamilyFixture, ThreeAdamWStepsAgree) {
  const auto train = Training();
  if (train == nullptr) GTEST_SKIP() << "no training here";
  std::vector<Parameter*> trained;
  for (const Model::NamedTensor& tensor : model_->named_tensors()) {
    if (tensor.parameter == nullptr || IsOfMtp(tensor.name)) continue;
    if (trained.empty() || trained.back() != tensor.parameter) trained.push_back(tensor.parameter);
  }
  AdamW optimizer(trained, {0.9, 0.95, 1e-8, 0.1, 1.0});
  const Tensor losses = train->LoadF32("losses"), norms = train->LoadF32("grad_norms");
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
    if (!train->Has("after3." + tensor.name)) continue;
    const Tensor want = train->LoadF32("after3." + tensor.name);
    for (int64_t i = 0; i < want.num_elements(); ++i) {
      const double difference = std::fabs(tensor.data[i] - want.f32()[i]);
      ASSERT_LE(difference, 1e-3) << tensor.name << " element " << i;
      near += difference <= 2e-5 ? 1 : 0;
      ++total;
    }
  }
  const bool v3 = model_->config().model_type == "deepseek_v3";
  EXPECT_EQ(total, v3 ? 307264 : 16384) << "elements after three steps";
  EXPECT_GE(static_cast<double>(near), 0.999 * static_cast<double>(total));
}

std::vector<Family> AllFamilies() {
  std::vector<Family> all;
  for (const char* folder : {"v3-tiny", "v2-lite-tiny", "v2-tiny", "v3-tiny-fp8", "qwen2-tiny",
                             "qwen2-tiny-tied", "llama3-tiny"}) {
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
