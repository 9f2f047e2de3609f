#include "cost/flops.h"

#include <gtest/gtest.h>

#include <string>

namespace reckon {
namespace {

// The MoE of docs/performance's peer comparison: 14.43M parameters, 5.33M active without embedding.
ModelConfig BenchConfig() {
  ModelConfig c;
  c.vocab_size = 1024;
  c.hidden_size = 256;
  c.num_hidden_layers = 6;
  c.first_k_dense_replace = 1;
  c.num_attention_heads = 4;
  c.q_lora_rank = 128;
  c.kv_lora_rank = 64;
  c.qk_nope_head_dim = 32;
  c.qk_rope_head_dim = 16;
  c.v_head_dim = 32;
  c.intermediate_size = 768;
  c.moe_intermediate_size = 192;
  c.n_routed_experts = 16;
  c.num_experts_per_tok = 4;
  c.n_shared_experts = 1;
  return c;
}

// DeepSeek-V3's released config.json.
ModelConfig V3() {
  ModelConfig c;
  c.vocab_size = 129280;
  c.hidden_size = 7168;
  c.num_hidden_layers = 61;
  c.first_k_dense_replace = 3;
  c.num_attention_heads = 128;
  c.q_lora_rank = 1536;
  c.kv_lora_rank = 512;
  c.qk_nope_head_dim = 128;
  c.qk_rope_head_dim = 64;
  c.v_head_dim = 128;
  c.intermediate_size = 18432;
  c.moe_intermediate_size = 2048;
  c.n_routed_experts = 256;
  c.num_experts_per_tok = 8;
  c.n_shared_experts = 1;
  c.num_nextn_predict_layers = 1;
  return c;
}

TEST(Flops, CountsTheParametersOfThePeerComparisonModel) {
  const ParameterCount count = CountParameters(BenchConfig());
  EXPECT_NEAR(static_cast<double>(count.total), 14.43e6, 0.01e6);
  EXPECT_NEAR(static_cast<double>(count.active), 5.33e6, 0.01e6);
}

TEST(Flops, CountsDeepSeekV3AsPublished) {
  const ParameterCount count = CountParameters(V3());
  // arXiv:2412.19437, section 4.2: 671B in all, 37B activated.
  EXPECT_EQ(count.total, 671026419200);
  EXPECT_EQ(count.activated, 37552297472);
  // README_WEIGHTS.md of the release: 11.5B in the MTP module, which leaves out its projection.
  EXPECT_EQ(count.mtp_total, 11610068224);
  EXPECT_EQ(count.mtp_total - 2 * 7168 * 7168, 11507307776);
}

ModelConfig Grouped(const char* model_type, int64_t hidden_size, int64_t heads, int64_t kv_heads) {
  ModelConfig c;
  c.model_type = model_type;
  c.hidden_size = hidden_size;
  c.num_attention_heads = heads;
  c.num_key_value_heads = kv_heads;
  c.head_dim = 128;
  return c;
}

struct Published {
  const char* name;
  ModelConfig config;
  int64_t total;
};
void PrintTo(const Published& p, std::ostream* out) { *out << p.name; }

ModelConfig Llama(int64_t hidden_size, int64_t layers, int64_t heads, int64_t intermediate_size) {
  ModelConfig c = Grouped("llama", hidden_size, heads, 8);
  c.vocab_size = 128256;
  c.num_hidden_layers = layers;
  c.intermediate_size = intermediate_size;
  return c;
}

ModelConfig Qwen(int64_t hidden_size, int64_t layers, int64_t heads, int64_t kv_heads,
                 int64_t intermediate_size, int64_t vocab_size) {
  ModelConfig c = Grouped("qwen2", hidden_size, heads, kv_heads);
  c.vocab_size = vocab_size;
  c.num_hidden_layers = layers;
  c.intermediate_size = intermediate_size;
  c.attention_bias = true;
  return c;
}

ModelConfig V2() {
  ModelConfig c = V3();
  c.model_type = "deepseek_v2";
  c.vocab_size = 102400;
  c.hidden_size = 5120;
  c.num_hidden_layers = 60;
  c.first_k_dense_replace = 1;
  c.intermediate_size = 12288;
  c.moe_intermediate_size = 1536;
  c.n_routed_experts = 160;
  c.num_experts_per_tok = 6;
  c.n_shared_experts = 2;
  c.topk_method = TopkMethod::kGroupLimitedGreedy;
  c.num_nextn_predict_layers = 0;
  return c;
}

ModelConfig V2Lite() {
  ModelConfig c = V2();
  c.hidden_size = 2048;
  c.num_hidden_layers = 27;
  c.num_attention_heads = 16;
  c.q_lora_rank = 0;
  c.intermediate_size = 10944;
  c.moe_intermediate_size = 1408;
  c.n_routed_experts = 64;
  c.topk_method = TopkMethod::kGreedy;
  return c;
}

class PublishedCounts : public testing::TestWithParam<Published> {};

TEST_P(PublishedCounts, AreMetExactly) {
  const ParameterCount count = CountParameters(GetParam().config);
  EXPECT_EQ(count.total, GetParam().total);
  if (!GetParam().config.uses_mla()) {
    EXPECT_EQ(count.activated, count.total);
  }
}

// The totals that Hugging Face shows for deepseek-ai's DeepSeek-V2, -V2-Lite and
// -R1-Distill-Qwen-1.5B, and for the models that the other distilled ones are made of, from their
// config.json.
INSTANTIATE_TEST_SUITE_P(
    Flops, PublishedCounts,
    testing::Values(Published{"V2", V2(), 235741434880}, Published{"V2Lite", V2Lite(), 15706484224},
                    Published{"DistillQwen1_5B", Qwen(1536, 28, 12, 2, 8960, 151936), 1777088000},
                    Published{"DistillQwen7B", Qwen(3584, 28, 28, 4, 18944, 152064), 7615616512},
                    Published{"DistillQwen14B", Qwen(5120, 48, 40, 8, 13824, 152064), 14770033664},
                    Published{"DistillQwen32B", Qwen(5120, 64, 40, 8, 27648, 152064), 32763876352},
                    Published{"DistillLlama8B", Llama(4096, 32, 32, 14336), 8030261248},
                    Published{"DistillLlama70B", Llama(8192, 80, 64, 28672), 70553706496}),
    [](const auto& test) { return std::string(test.param.name); });

// arXiv:2405.04434, abstract: 21B activated of 236B; section B.1: 2.4B of 15.7B, without embedding
// and head of 102,400 x 2048 each.
TEST(Flops, CountsWhatATokenActivatesOfDeepSeekV2AsPublished) {
  EXPECT_NEAR(static_cast<double>(CountParameters(V2()).activated), 21e9, 0.5e9);
  const ParameterCount lite = CountParameters(V2Lite());
  EXPECT_NEAR(static_cast<double>(lite.activated - 2 * lite.embedding), 2.4e9, 0.2e9);
}

TEST(Flops, TrainingTokenOfDeepSeekV3At4KIsAbout250GFlop) {
  // arXiv:2505.09343, table 2: 250 GFLOP a token. Without the MTP module.
  Work work = SequenceWork(0, 4096, 4096);
  const double per_token = TrainingFlops(V3(), work).total() / 4096;
  EXPECT_NEAR(per_token, 250e9, 0.02 * 250e9);
}

TEST(Flops, CausalAttentionOfDeepSeekV3At4KIs30GFlopATokenTrained) {
  Work work = SequenceWork(0, 4096, 4096);
  EXPECT_NEAR(TrainingFlops(V3(), work).attention / 4096, 30.7e9, 0.05e9);
}

TEST(Flops, WorkOfASequenceDoesNotDependOnHowItIsCut) {
  Work whole = SequenceWork(0, 100, 100);
  Work cut = SequenceWork(0, 33, 33);
  cut += SequenceWork(33, 1, 1);
  cut += SequenceWork(34, 66, 66);
  EXPECT_EQ(whole.attention_pairs, cut.attention_pairs);
  EXPECT_EQ(ForwardFlops(V3(), whole).total(), ForwardFlops(V3(), cut).total());
}

TEST(Flops, TheMtpModuleCostsABlockAndAHead) {
  Work work;
  work.mtp_rows = 10;
  const ModelConfig c = V3();
  const double block = 2.0 * 7168 * 7168 + 187105280.0 + 7168.0 * 256 + 9.0 * 3 * 7168 * 2048;
  EXPECT_NEAR(ForwardFlops(c, work).mtp, 2.0 * 10 * (block + 129280.0 * 7168), 1e6);
}

}  // namespace
}  // namespace reckon
