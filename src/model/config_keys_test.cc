#include "model/config_keys.h"

#include <gtest/gtest.h>

#include "model/config.h"

namespace reckon {
namespace {

std::vector<std::string> Keys(const Json& config) {
  std::vector<std::string> keys;
  for (const UnknownKey& unknown : UnknownModelKeys(config)) keys.push_back(unknown.key);
  return keys;
}

TEST(ModelKeys, OfWhatReckonWritesAreKnown) {
  for (const char* type : {"deepseek_v2", "deepseek_v3", "qwen2", "llama"}) {
    ModelConfig config;
    config.model_type = type;
    for (const RopeType rope : {RopeType::kYarn, RopeType::kLlama3, RopeType::kLinear}) {
      config.rope_scaling.emplace().type = rope;
      EXPECT_EQ(Keys(ToJson(config)), std::vector<std::string>()) << type;
    }
  }
}

// The keys of deepseek-ai/DeepSeek-V3, Qwen/Qwen2.5-7B and meta-llama/Llama-3.1-8B, but for those
// that the tests of the writer above have.
TEST(ModelKeys, OfPublishedFilesAreKnown) {
  const Json config = Json::parse(R"({"auto_map": {}, "aux_loss_alpha": 0.001, "ep_size": 1,
      "pretraining_tp": 1, "quantization_config": {"quant_method": "fp8"}, "seq_aux": true,
      "torch_dtype": "bfloat16", "transformers_version": "4.33.1", "use_cache": true,
      "attention_dropout": 0.0, "max_window_layers": 28, "sliding_window": 131072,
      "use_sliding_window": false, "use_mrope": false, "mlp_bias": false})");
  EXPECT_EQ(Keys(config), std::vector<std::string>());
}

TEST(ModelKeys, ThatAreMisspeltAreFoundWithWhatIsMeant) {
  const std::vector<UnknownKey> unknown = UnknownModelKeys(
      Json::parse(R"({"hidden_size": 8, "num_nextn_predict_layer": 1, "dropout_of_birds": 0.5,
                      "rope_scaling": {"type": "yarn", "factor": 2, "beta_fst": 3}})"));
  ASSERT_EQ(unknown.size(), 3u);
  EXPECT_EQ(unknown[0].key, "num_nextn_predict_layer");
  EXPECT_EQ(unknown[0].nearest, "num_nextn_predict_layers");
  EXPECT_EQ(unknown[1].nearest, "");
  EXPECT_EQ(unknown[2].key, "rope_scaling.beta_fst");
  EXPECT_EQ(unknown[2].nearest, "beta_fast");
}

}  // namespace
}  // namespace reckon
