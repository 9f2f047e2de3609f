// Hyper-parameters under their Hugging Face names, read from and written to config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "formats/json.h"
#include "ops/moe.h"

namespace reckon {

enum class RopeType {
  kYarn,    // arXiv:2309.00071
  kLlama3,  // long wavelengths divided by factor, short ones kept, a ramp between
  kLinear,  // positions divided by factor
};

struct RopeScaling {
  RopeType type = RopeType::kYarn;
  double factor = 1;
  int64_t original_max_position_embeddings = 4096;
  double beta_fast = 32, beta_slow = 1, mscale = 1, mscale_all_dim = 0;  // yarn
  double low_freq_factor = 1, high_freq_factor = 4;                      // llama3
};

struct ModelConfig {
  std::string model_type = "deepseek_v3";  // or deepseek_v2, qwen2, llama
  int64_t vocab_size = 0, hidden_size = 0, num_hidden_layers = 0, num_attention_heads = 0;
  int64_t intermediate_size = 0, moe_intermediate_size = 0;
  // Grouped-query attention: qwen2 and llama.
  int64_t num_key_value_heads = 0, head_dim = 0;
  bool attention_bias = false;    // on q_proj, k_proj and v_proj
  bool attention_o_bias = false;  // on o_proj: llama's attention_bias
  // Multi-head latent attention: deepseek.
  int64_t q_lora_rank = 0;  // 0: none (null in config.json)
  int64_t kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;
  int64_t n_routed_experts = 0, num_experts_per_tok = 0, n_shared_experts = 0;
  int64_t n_group = 1, topk_group = 1, first_k_dense_replace = 0, moe_layer_freq = 1;
  double routed_scaling_factor = 1;
  bool norm_topk_prob = true;
  ScoringFunc scoring_func = ScoringFunc::kSigmoid;
  TopkMethod topk_method = TopkMethod::kNoauxTc;
  int64_t num_nextn_predict_layers = 0;
  double rms_norm_eps = 1e-6, rope_theta = 10000, initializer_range = 0.02;
  std::optional<RopeScaling> rope_scaling;
  int64_t max_position_embeddings = 4096;
  int64_t bos_token_id = -1, eos_token_id = -1;
  bool tie_word_embeddings = false;

  bool uses_mla() const { return model_type == "deepseek_v2" || model_type == "deepseek_v3"; }
  // Sizes of a head, of either kind of attention.
  int64_t qk_head_dim() const {
    return uses_mla() ? qk_nope_head_dim + qk_rope_head_dim : head_dim;
  }
  int64_t value_head_dim() const { return uses_mla() ? v_head_dim : head_dim; }
  int64_t rope_dim() const { return uses_mla() ? qk_rope_head_dim : head_dim; }
  int64_t kv_heads() const { return uses_mla() ? num_attention_heads : num_key_value_heads; }
  bool has_correction_bias() const { return topk_method == TopkMethod::kNoauxTc; }
  bool is_moe_layer(int64_t layer) const {
    return n_routed_experts > 0 && layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
  }
};

// `where` names the file in messages. Throws on an unknown model_type, a missing or ill-typed key,
// a negative or impossible size (each named). Keys that do not change the computation are ignored.
ModelConfig ParseModelConfig(const Json& json, const std::string& where);
// A config.json that transformers opens.
Json ToJson(const ModelConfig& config);

}  // namespace reckon
