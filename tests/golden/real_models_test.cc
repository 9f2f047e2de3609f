// The trained models of shared data, from safetensors and from GGUF: logits of llama2.c's run.c,
// the greedy ids and the mean nll that three programs agree on (the data's SOURCE.md).
#include <gtest/gtest.h>

#include <cmath>

#include "formats/json.h"
#include "formats/safetensors.h"
#include "model/weights.h"
#include "ops/log_prob.h"
#include "tests/golden/shared.h"

namespace reckon {
namespace {

struct RealModel {
  const char* name;
  bool gguf;
  Isa isa;
};
void PrintTo(const RealModel& m, std::ostream* out) { *out << m.name << " " << Name(m.isa); }

class RealModels : public testing::TestWithParam<RealModel> {
 protected:
  void SetUp() override {
    folder_ = SharedPath("data/weights/" + std::string(GetParam().name));
    if (!FileExists(folder_ + "/config.json")) GTEST_SKIP() << "no model at " << folder_;
    const KernelTable* table = FindKernelTable(GetParam().isa);
    if (table == nullptr) GTEST_SKIP() << "this CPU has no " << Name(GetParam().isa);
    rt_ = {&pool_, table, Precision::kF32};
    const std::string gguf = folder_ + "/" + GetParam().name + ".f32.gguf";
    model_ = OpenModel(GetParam().gguf ? gguf : folder_);
    expected_ = ReadJsonFile(folder_ + "/expected.json");
    tensors_ = std::make_unique<SafetensorsFile>(folder_ + "/expected.safetensors");
  }

  static std::vector<int32_t> Ids(const Json& json) { return json.get<std::vector<int32_t>>(); }

  std::string folder_;
  ThreadPool pool_{2};
  Runtime rt_;
  std::unique_ptr<Model> model_;
  Json expected_;
  std::unique_ptr<SafetensorsFile> tensors_;
};

// 1e-4 is the tolerance that expected.json states for any f32 implementation.
TEST_P(RealModels, LogitsAgree) {
  for (const Json& run : expected_["runs"]) {
    Batch batch;
    batch.Append(Ids(run["input_ids"]));
    const Variable logits = model_->Logits(rt_, nullptr, model_->Forward(rt_, nullptr, batch));
    const Tensor want = tensors_->LoadF32(run["name"].get<std::string>() + ".logits");
    for (int64_t r = 0; r < want.dim(0); ++r) {
      for (int64_t c = 0; c < want.dim(1); ++c) {
        ASSERT_NEAR(logits.value().row(r)[c], want.f32()[r * want.dim(1) + c], 1e-4)
            << r << " " << c;
      }
    }
  }
}

TEST_P(RealModels, GreedyIdsAgree) {
  for (const Json& run : expected_["runs"]) {
    const std::vector<int32_t> want = Ids(run["greedy_ids"]);
    std::vector<int32_t> next = Ids(run["prompt_ids"]), got;
    KvCache cache(model_->config(), static_cast<int64_t>(next.size() + want.size()));
    while (got.size() < want.size()) {
      Batch batch;
      batch.Append(next, cache.length(), &cache);
      const Variable logits = model_->Logits(rt_, nullptr, model_->Forward(rt_, nullptr, batch));
      got.push_back(static_cast<int32_t>(
          rt_.kernels->argmax(logits.value().row(logits.rows() - 1), logits.cols())));
      next = {got.back()};
    }
    EXPECT_EQ(got, want) << run["name"];
  }
}

std::vector<RealModel> AllRealModels() {
  std::vector<RealModel> all;
  for (const char* name : {"stories260k", "babyllama"}) {
    for (const bool gguf : {false, true}) {
      for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512})
        all.push_back({name, gguf, isa});
    }
  }
  return all;
}

std::string RealModelName(const testing::TestParamInfo<RealModel>& info) {
  return std::string(info.param.name) + (info.param.gguf ? "_gguf_" : "_safetensors_") +
         Name(info.param.isa);
}

INSTANTIATE_TEST_SUITE_P(OnEveryIsa, RealModels, testing::ValuesIn(AllRealModels()), RealModelName);

}  // namespace
}  // namespace reckon
