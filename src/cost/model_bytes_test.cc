#include "cost/model_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cost/flops.h"
#include "model/model.h"
#include "model/tiny_model.h"

namespace reckon {
namespace {

ModelConfig Qwen() {
  ModelConfig c;
  c.model_type = "qwen2";
  c.vocab_size = 512;
  c.hidden_size = 256;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 64;
  c.intermediate_size = 512;
  c.attention_bias = true;
  return c;
}

ModelConfig TiedLlama() {
  ModelConfig c = Qwen();
  c.model_type = "llama";
  c.attention_bias = false;
  c.tie_word_embeddings = true;
  return c;
}

ModelConfig V2() {
  ModelConfig c = TinyConfig();
  c.model_type = "deepseek_v2";
  c.q_lora_rank = 0;
  c.topk_method = TopkMethod::kGreedy;
  return c;
}

TEST(CountParameters, IsTheSumOfTheModelsTensorsForEveryFamily) {
  for (const ModelConfig& config : {TinyConfigWithYarnAndMtp(), V2(), Qwen(), TiedLlama()}) {
    Model model(config, WeightStorage::kAsStored);
    int64_t elements = 0;
    for (const auto& tensor : model.named_tensors()) elements += NumElements(tensor.shape);
    const ParameterCount count = CountParameters(config);
    EXPECT_EQ(count.total + count.mtp_total, elements) << config.model_type;
  }
}

TEST(CountParameters, ActivatesTheExpertsOfATokenOnly) {
  const ModelConfig c = TinyConfig();  // one MoE layer: 3 of 8 experts
  const ParameterCount count = CountParameters(c);
  EXPECT_EQ(count.total - count.activated, 5 * 3 * c.hidden_size * c.moe_intermediate_size);
}

TEST(KvBytes, OfDeepSeekV3AreTheLatentAndTheRotaryKey) {
  ModelConfig v3 = TinyConfig();
  v3.num_hidden_layers = 61;
  v3.kv_lora_rank = 512;
  v3.qk_rope_head_dim = 64;
  EXPECT_EQ(CountKvBytes(v3).bf16, 70272);  // (512 + 64) * 2 * 61
}

TEST(KvBytes, OfGroupedQueriesAreKeysAndValuesOfTheKvHeads) {
  EXPECT_EQ(CountKvBytes(Qwen()).bf16, 2 * 2 * 64 * 2 * 2);
}

TEST(KvBytes, InTheCacheAreWhatItTakes) {
  for (const ModelConfig& config : {TinyConfig(), Qwen()}) {
    const KvCache cache(config, 320);
    EXPECT_EQ(CountKvBytes(config).in_cache * 320, cache.bytes()) << config.model_type;
  }
}

int64_t BytesIn(const ModelConfig& config, const std::string& format) {
  for (const FormatBytes& row : CountWeightBytes(config)) {
    if (row.name == format) return row.bytes;
  }
  ADD_FAILURE() << format;
  return 0;
}

TEST(WeightBytes, OfASmallModelAreCountedByHand) {
  const ModelConfig c = Qwen();
  // Of a layer: q and o 256 x 256, k and v 128 x 256, gate, up and down 512 x 256; two norms, three
  // biases. Outside: embedding and head, a norm.
  const int64_t attention = 2 * 256 * 256 + 2 * 128 * 256, mlp = 3 * 512 * 256;
  const int64_t vectors = 2 * 256 + 256 + 2 * 128, table = 512 * 256;
  const int64_t matrices = 2 * (attention + mlp), rest = 2 * vectors + 256;
  EXPECT_EQ(BytesIn(c, "BF16"), 2 * (matrices + 2 * table + rest));
  const int64_t scales = 2 * (2 * 4 + 2 * 2 + 3 * 8);
  EXPECT_EQ(BytesIn(c, "FP8"), matrices + 4 * scales + 2 * (2 * table + rest));
  // GGUF: vectors stay F32; Q8_0 takes 34 bytes for 32 elements.
  EXPECT_EQ(BytesIn(c, "Q8_0"), (matrices + 2 * table) / 32 * 34 + 4 * rest);
  EXPECT_EQ(BytesIn(c, "Q6_K"), (matrices + 2 * table) / 256 * 210 + 4 * rest);
  // Some matrices of a file made for Q4_K are Q6_K.
  EXPECT_GT(BytesIn(c, "Q4_K"), (matrices + 2 * table) / 256 * 144 + 4 * rest);
  EXPECT_LT(BytesIn(c, "Q4_K"), BytesIn(c, "Q6_K"));
}

TEST(WeightBytes, LeaveModulesForMultiTokenPredictionOut) {
  ModelConfig with = TinyConfigWithYarnAndMtp(), without = with;
  without.num_nextn_predict_layers = 0;
  EXPECT_EQ(BytesIn(with, "BF16"), BytesIn(without, "BF16"));
  EXPECT_EQ(BytesIn(with, "BF16"), 2 * CountParameters(with).total);
}

}  // namespace
}  // namespace reckon
