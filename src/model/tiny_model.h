// A DeepSeek-V3 model of a few thousand weights, for tests: every kind of block, no size that is a
// multiple of a vector.
#pragma once

#include "model/config.h"

namespace reckon {

inline ModelConfig TinyConfig() {
  ModelConfig c;
  c.vocab_size = 29;
  c.hidden_size = 24;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 2;
  c.intermediate_size = 40;
  c.moe_intermediate_size = 12;
  c.q_lora_rank = 10;
  c.kv_lora_rank = 14;
  c.qk_nope_head_dim = 6;
  c.qk_rope_head_dim = 4;
  c.v_head_dim = 7;
  c.n_routed_experts = 8;
  c.num_experts_per_tok = 3;
  c.n_shared_experts = 1;
  c.n_group = 4;
  c.topk_group = 2;
  c.first_k_dense_replace = 1;
  c.routed_scaling_factor = 2.5;
  c.initializer_range = 0.3;  // wide enough that the distributions are far from flat
  c.max_position_embeddings = 128;
  return c;
}

// The same with everything that a released model can have besides.
inline ModelConfig TinyConfigWithYarnAndMtp() {
  ModelConfig c = TinyConfig();
  c.num_nextn_predict_layers = 2;
  c.rope_scaling = RopeScaling{RopeType::kYarn, 4, 32, 32, 1, 1, 0.8};
  return c;
}

}  // namespace reckon
