// The trained models of shared data, from safetensors and from GGUF: logits of llama2.c's run.c,
// the greedy ids and the mean nll that three programs agree on (the data's SOURCE.md).
#include "formats/json.h"
#include "tests/golden/model_fixture.h"

namespace reckon {
namespace {

struct RealModel {
  const char* name;
  bool gguf;
  Isa isa;
};
void PrintTo(const RealModel& m, std::ostream* out) { *out << m.name << " " << Name(m.isa); }

class RealModels : public ModelFixture, public testing::WithParamInterface<RealModel> {
 protected:
  void SetUp() override {
    const RealModel& m = GetParam();
    Prepare("data/weights/" + std::string(m.name), m.isa);
    if (IsSkipped()) return;
    model_ = OpenModel(m.gguf ? folder_ + "/" + m.name + ".f32.gguf" : folder_);
    runs_ = ReadJsonFile(folder_ + "/expected.json")["runs"];
  }

  static std::vector<int32_t> IdsOf(const Json& json) { return json.get<std::vector<int32_t>>(); }

  Json runs_;
};

// 1e-4 is the tolerance that expected.json states for any f32 implementation.
TEST_P(RealModels, LogitsAgree) {
  for (const Json& run : runs_) {
    Batch batch;
    batch.Append(IdsOf(run["input_ids"]));
    const Variable logits = Logits(batch);
    const Tensor want = expected_->LoadF32(run["name"].get<std::string>() + ".logits");
    for (int64_t r = 0; r < want.dim(0); ++r) {
      for (int64_t c = 0; c < want.dim(1); ++c) {
        ASSERT_NEAR(logits.value().row(r)[c], want.f32()[r * want.dim(1) + c], 1e-4)
            << r << " " << c;
      }
    }
  }
}

TEST_P(RealModels, GreedyIdsAgree) {
  for (const Json& run : runs_) {
    const std::vector<int32_t> want = IdsOf(run["greedy_ids"]);
    const std::vector<int32_t> got = Greedy(IdsOf(run["prompt_ids"]), want.size());
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
