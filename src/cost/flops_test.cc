#include "cost/flops.h"

#include <gtest/gtest.h>

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
  // arXiv:2412.19437, section 4.2: 671B in all, 37B active (which counts the embedding table).
  EXPECT_NEAR(static_cast<double>(count.total), 671e9, 0.5e9);
  EXPECT_NEAR(static_cast<double>(count.active + count.embedding), 37e9, 1.0e9);
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

// The totals that Hugging Face shows for meta-llama/Llama-3.1-8B and
// deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B, from their config.json.
TEST(Flops, CountsLlama8BAndDistillQwen1_5BAsPublished) {
  ModelConfig llama = Grouped("llama", 4096, 32, 8);
  llama.vocab_size = 128256;
  llama.num_hidden_layers = 32;
  llama.intermediate_size = 14336;
  EXPECT_EQ(CountParameters(llama).total, 8030261248);
  ModelConfig qwen = Grouped("qwen2", 1536, 12, 2);
  qwen.vocab_size = 151936;
  qwen.num_hidden_layers = 28;
  qwen.intermediate_size = 8960;
  qwen.attention_bias = true;
  EXPECT_EQ(CountParameters(qwen).total, 1777088000);
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
