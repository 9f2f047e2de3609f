// reckon inspect: the figures of configs and of real folders and files.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "cost/flops.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "model/gguf_case.h"
#include "model/weights.h"
#include "tests/golden/shared.h"
#include "tests/support/process.h"
#include "tests/support/tiny_recipe.h"

namespace reckon {
namespace {

using testing::HasSubstr;
using testing::Not;

Json Inspected(const std::string& path, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"inspect", path, "--json"});
  const ProcessResult result = RunReckon(more);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return ParseJson(result.out, "standard output");
}

// DeepSeek-V3's released config.json, but for keys that change nothing here.
constexpr const char* kV3 = R"({
  "model_type": "deepseek_v3", "vocab_size": 129280, "hidden_size": 7168,
  "num_hidden_layers": 61, "num_attention_heads": 128, "intermediate_size": 18432,
  "moe_intermediate_size": 2048, "q_lora_rank": 1536, "kv_lora_rank": 512,
  "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256,
  "num_experts_per_tok": 8, "n_shared_experts": 1, "n_group": 8, "topk_group": 4,
  "first_k_dense_replace": 3, "moe_layer_freq": 1, "routed_scaling_factor": 2.5,
  "norm_topk_prob": true, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
  "num_nextn_predict_layers": 1, "rms_norm_eps": 1e-06, "rope_theta": 10000,
  "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096,
                   "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
  "max_position_embeddings": 163840, "hidden_act": "silu", "attention_bias": false,
  "bos_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": false})";

TEST(Inspect, SaysOfDeepSeekV3sConfigWhatIsPublished) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "config.json", kV3);
  const Json json = Inspected(folder / "config.json");
  EXPECT_EQ(json["parameters"]["total"], 671026419200);
  EXPECT_EQ(json["parameters"]["activated"], 37552297472);
  EXPECT_EQ(json["parameters"]["mtp"], 11610068224);
  EXPECT_EQ(json["kv_bytes_per_token"]["bf16"], 70272);
  EXPECT_EQ(json["weights"], nullptr);
  EXPECT_EQ(json["flops_per_token"]["context"], 4096);
  EXPECT_EQ(Inspected(folder.path())["parameters"], json["parameters"]);
  const std::string text = RunReckon({"inspect", folder.path()}).out;
  EXPECT_THAT(text, HasSubstr("671B (671,026,419,200)"));
  EXPECT_THAT(text, HasSubstr("37B (37,552,297,472) a token"));
  EXPECT_THAT(text, HasSubstr("11B (11,610,068,224) beside them"));
  EXPECT_THAT(text, HasSubstr("70,272 bytes a token in BF16"));
}

TEST(Inspect, CountsTheOperationsOfTheTokenAtThatPosition) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "config.json", kV3);
  const Json at_1 = Inspected(folder.path(), {"--context", "1"})["flops_per_token"];
  const Json at_101 = Inspected(folder.path(), {"--context", "101"})["flops_per_token"];
  EXPECT_EQ(at_1["linear"], at_101["linear"]);
  // A pair of query and key: 128 heads, 192 for the score and 128 for the value.
  EXPECT_EQ(at_101["total"].get<double>() - at_1["total"].get<double>(),
            100 * 61 * 2.0 * 128 * (192 + 128));
}

TEST(Inspect, SaysWhatFits) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "config.json", kV3);
  const Json json = Inspected(folder.path());
  ASSERT_EQ(json["fits"].size(), 5u);
  EXPECT_EQ(json["fits"][0]["format"], "BF16");
  EXPECT_EQ(json["fits"][0]["weight_bytes"], 2 * 671026419200);
  const auto available = json["memory"]["available_bytes"].get<int64_t>();
  for (const Json& row : json["fits"]) {
    const int64_t left = available - row["weight_bytes"].get<int64_t>();
    EXPECT_EQ(row["fits"], left >= 0) << row;
    EXPECT_EQ(row["kv_tokens_bf16"], left >= 0 ? left / 70272 : 0) << row;
  }
}

class InspectAModel : public testing::Test {
 protected:
  void SetUp() override { WriteTinyModel(model_); }
  TemporaryFolder folder_;
  std::string model_ = folder_ / "model";
};

TEST_F(InspectAModel, FindsTokenizerTemplateAndTensors) {
  const Json bare = Inspected(model_);
  EXPECT_EQ(bare["tokenizer"], "tokenizer.json");
  EXPECT_EQ(bare["chat_template"], nullptr);
  EXPECT_EQ(bare["parameters"]["in_files"],
            bare["parameters"]["total"].get<int64_t>() + bare["parameters"]["mtp"].get<int64_t>());
  EXPECT_EQ(bare["weights"]["dtypes"].size(), 1u);
  EXPECT_EQ(bare["weights"]["dtypes"][0]["dtype"], "F32");
  WriteJsonFile(model_ + "/tokenizer_config.json", Json({{"chat_template", "{{ x }}"}}));
  EXPECT_EQ(Inspected(model_)["chat_template"], "tokenizer_config.json");
  const std::string gguf = folder_ / "m.gguf";
  WriteGgufOf(*LoadModel(model_), gguf);
  const Json file = Inspected(gguf);
  EXPECT_EQ(file["parameters"]["total"], bare["parameters"]["total"]);
  EXPECT_EQ(file["tokenizer"], nullptr);
}

TEST_F(InspectAModel, SaysWhereTheFilesDifferFromTheConfig) {
  EXPECT_THAT(RunReckon({"inspect", model_}).out, Not(HasSubstr("not what the config")));
  Json config = ReadJsonFile(model_ + "/config.json");
  config["intermediate_size"] = config["intermediate_size"].get<int64_t>() + 1;
  WriteJsonFile(model_ + "/config.json", config);
  EXPECT_THAT(RunReckon({"inspect", model_}).out, HasSubstr("not what the config describes"));
}

TEST_F(InspectAModel, SaysWhatItCannotInspect) {
  const ProcessResult missing = RunReckon({"inspect", folder_ / "none"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("none: there is nothing here; give a Hugging Face folder"));
  EXPECT_THAT(RunReckon({"inspect", folder_.path()}).err, HasSubstr("config.json"));
  EXPECT_THAT(RunReckon({"inspect", folder_ / "none.gguf"}).err, HasSubstr("none.gguf"));
  WriteFileAtomically(folder_ / "text.txt", "x");
  EXPECT_THAT(RunReckon({"inspect", folder_ / "text.txt"}).err, HasSubstr("text.txt"));
  const ProcessResult context = RunReckon({"inspect", model_, "--context", "1000000"});
  EXPECT_EQ(context.exit_code, 2);
  EXPECT_THAT(context.err, HasSubstr("max_position_embeddings"));
}

// What lies in the files and what the config says, by two ways of counting.
TEST(InspectFixtures, CountTheElementsOfTheirTensors) {
  int64_t seen = 0;
  for (const char* name : {"v3-tiny", "v3-tiny-fp8", "v2-tiny", "v2-lite-tiny", "qwen2-tiny",
                           "qwen2-tiny-tied", "llama3-tiny"}) {
    const std::string path = SharedPath(std::string("fixtures/") + name);
    if (!FileExists(path + "/config.json")) continue;
    ++seen;
    const Json json = Inspected(path);
    const Json& count = json["parameters"];
    EXPECT_EQ(count["in_files"], count["total"].get<int64_t>() + count["mtp"].get<int64_t>())
        << name;
    const SafetensorsFolder files(path);
    int64_t elements = 0;
    for (const std::string& tensor : files.names()) {
      if (!tensor.ends_with("_scale_inv")) elements += NumElements(files.Get(tensor).shape);
    }
    // An MTP module has copies of embedding and head.
    const int64_t copies = 2 * json["config"].value("num_nextn_predict_layers", int64_t{0}) *
                           count["embedding"].get<int64_t>();
    EXPECT_EQ(count["in_files"].get<int64_t>() + copies, elements) << name;
  }
  if (seen == 0) GTEST_SKIP() << "no fixtures at " << SharedPath("fixtures");
}

}  // namespace
}  // namespace reckon
