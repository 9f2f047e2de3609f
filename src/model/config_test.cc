#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/tiny_model.h"

namespace reckon {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const Json& json) {
  try {
    ParseModelConfig(json, "folder/config.json");
  } catch (const Error& error) {
    EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
    return error.what();
  }
  return "accepted";
}

std::string ErrorWith(const std::string& key, const Json& value) {
  Json json = ToJson(TinyConfigWithYarnAndMtp());
  json[key] = value;
  return ErrorOf(json);
}

TEST(ModelConfig, IsReadAsItWasWritten) {
  for (const ModelConfig& config : {TinyConfig(), TinyConfigWithYarnAndMtp()}) {
    const Json json = ToJson(config);
    EXPECT_EQ(ToJson(ParseModelConfig(json, "config.json")), json);
  }
  const ModelConfig back = ParseModelConfig(ToJson(TinyConfigWithYarnAndMtp()), "config.json");
  EXPECT_EQ(back.q_lora_rank, 10);
  EXPECT_EQ(back.num_nextn_predict_layers, 2);
  ASSERT_TRUE(back.rope_scaling.has_value());
  EXPECT_EQ(back.rope_scaling->factor, 4);
  EXPECT_EQ(back.rope_scaling->original_max_position_embeddings, 32);
}

TEST(ModelConfig, TakesNullForNone) {
  Json json = ToJson(TinyConfig());
  for (const char* key : {"q_lora_rank", "n_routed_experts", "rope_scaling", "eos_token_id"}) {
    json[key] = nullptr;
  }
  const ModelConfig config = ParseModelConfig(json, "config.json");
  EXPECT_EQ(config.q_lora_rank, 0);
  EXPECT_EQ(config.n_routed_experts, 0);
  EXPECT_FALSE(config.is_moe_layer(1));
  EXPECT_EQ(config.eos_token_id, -1);
  json["eos_token_id"] = {3, 4};
  EXPECT_EQ(ParseModelConfig(json, "config.json").eos_token_id, 3);
}

TEST(ModelConfig, ReadsRopeParametersOfTransformers5) {
  Json json = ToJson(TinyConfig());
  json.erase("rope_theta");
  json.erase("rope_scaling");
  json["rope_parameters"] = {{"rope_theta", 5000.0}, {"rope_type", "yarn"}, {"factor", 8.0}};
  const ModelConfig config = ParseModelConfig(json, "config.json");
  EXPECT_EQ(config.rope_theta, 5000);
  ASSERT_TRUE(config.rope_scaling.has_value());
  EXPECT_EQ(config.rope_scaling->factor, 8);
}

TEST(ModelConfig, NamesAnUnknownModelType) {
  const std::string message = ErrorWith("model_type", "gpt2");
  EXPECT_THAT(message, HasSubstr("folder/config.json"));
  EXPECT_THAT(message, HasSubstr("model_type \"gpt2\""));
  EXPECT_THAT(ErrorOf(Json::array()), HasSubstr("expected an object"));
}

TEST(ModelConfig, NamesAMissingKey) {
  for (const char* key :
       {"model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "intermediate_size",
        "moe_intermediate_size", "num_experts_per_tok"}) {
    Json json = ToJson(TinyConfig());
    json.erase(key);
    EXPECT_THAT(ErrorOf(json), HasSubstr(std::string("folder/config.json: ") + key + ": missing"));
  }
}

TEST(ModelConfig, NamesAKeyOfTheWrongTypeOrSize) {
  const std::vector<std::pair<std::string, Json>> wrong = {
      {"vocab_size", "many"},
      {"vocab_size", 0},
      {"hidden_size", -24},
      {"hidden_size", 24.5},
      {"hidden_size", int64_t{1} << 25},
      {"num_hidden_layers", 18446744073709551615u},
      {"num_attention_heads", Json::array()},
      {"q_lora_rank", -1},
      {"v_head_dim", true},
      {"n_routed_experts", -8},
      {"num_experts_per_tok", 0},
      {"routed_scaling_factor", "2.5"},
      {"rms_norm_eps", -1e-6},
      {"rope_theta", 0.5},
      {"norm_topk_prob", 1},
      {"tie_word_embeddings", "no"},
      {"scoring_func", "tanh"},
      {"topk_method", "random"},
      {"hidden_act", "gelu"},
      {"attention_bias", true},
      {"num_nextn_predict_layers", -1},
      {"eos_token_id", 29},
      {"bos_token_id", "first"},
      {"bos_token_id", 18446744073709551615u},
      {"model_type", 3}};
  for (const auto& [key, value] : wrong) {
    EXPECT_THAT(ErrorWith(key, value), HasSubstr(key)) << value;
  }
}

TEST(ModelConfig, NamesTheKeysOfImpossibleSizes) {
  EXPECT_THAT(ErrorWith("qk_rope_head_dim", 3), HasSubstr("qk_rope_head_dim is 3"));
  EXPECT_THAT(ErrorWith("n_group", 3), HasSubstr("n_routed_experts 8"));
  EXPECT_THAT(ErrorWith("topk_group", 5), HasSubstr("topk_group 5"));
  EXPECT_THAT(ErrorWith("num_experts_per_tok", 5), HasSubstr("num_experts_per_tok 5"));
  EXPECT_THAT(ErrorWith("v_head_dim", 4097), HasSubstr("v_head_dim 4097"));
  EXPECT_THAT(ErrorWith("qk_nope_head_dim", 4096), HasSubstr("qk_nope_head_dim 4096"));
}

TEST(ModelConfig, NamesAKeyInsideRopeScaling) {
  EXPECT_THAT(ErrorWith("rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}),
              HasSubstr("rope_scaling.type: \"dynamic\""));
  EXPECT_THAT(ErrorWith("rope_scaling", {{"type", "yarn"}}),
              HasSubstr("rope_scaling.factor: missing"));
  EXPECT_THAT(ErrorWith("rope_scaling", {{"type", "yarn"}, {"factor", 0.5}}),
              HasSubstr("rope_scaling.factor"));
  EXPECT_THAT(ErrorWith("rope_scaling", 4), HasSubstr("rope_scaling: expected an object"));
}

}  // namespace
}  // namespace reckon
