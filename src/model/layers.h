// The weights of a model, block by block, and their names in a Hugging Face checkpoint.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "model/model.h"

namespace reckon {

struct AttentionWeights {
  Parameter* q_proj = nullptr;  // MLA: without q_lora_rank
  Parameter *q_a_proj = nullptr, *q_a_layernorm = nullptr, *q_b_proj = nullptr;
  Parameter *kv_a_proj_with_mqa = nullptr, *kv_a_layernorm = nullptr, *kv_b_proj = nullptr;
  Parameter *k_proj = nullptr, *v_proj = nullptr;                     // grouped queries
  Parameter *q_bias = nullptr, *k_bias = nullptr, *v_bias = nullptr;  // may be absent
  Parameter *o_proj = nullptr, *o_bias = nullptr;
};

struct MlpWeights {
  Parameter* gate_up = nullptr;  // [2 * intermediate, hidden]: gate_proj, then up_proj
  Parameter* down = nullptr;     // [hidden, intermediate]
};

struct MoeWeights {
  Parameter* gate = nullptr;     // [n_routed_experts, hidden]
  Parameter* gate_up = nullptr;  // [n_routed_experts, 2 * moe_intermediate, hidden]
  Parameter* down = nullptr;     // [n_routed_experts, hidden, moe_intermediate]
  MlpWeights shared;             // where n_shared_experts > 0
  size_t index = 0;              // among the MoE layers, MTP blocks last
};

struct LayerWeights {
  Parameter *input_layernorm = nullptr, *post_attention_layernorm = nullptr;
  AttentionWeights attention;
  bool is_moe = false;
  MlpWeights mlp;
  MoeWeights moe;
};

struct MtpWeights {
  Parameter *enorm = nullptr, *hnorm = nullptr, *eh_proj = nullptr, *shared_head_norm = nullptr;
  LayerWeights layer;
};

// Owns the parameters. Addresses are stable. With WeightStorage::kNone there are none: only `named`
// is of use, and its data and parameters are null.
class WeightSet {
 public:
  WeightSet(const ModelConfig& config, WeightStorage storage);

  Parameter *embed_tokens = nullptr, *norm = nullptr;
  Parameter* lm_head = nullptr;  // embed_tokens where tied
  std::vector<LayerWeights> layers;
  std::vector<MtpWeights> mtp;
  // Per MoE layer [n_routed_experts]; none where the router has no such bias (deepseek_v2).
  std::vector<Tensor> correction_biases;
  size_t moe_layers = 0;

  std::vector<Parameter*> parameters;
  std::vector<Model::NamedTensor> named;

 private:
  struct Part {
    std::string name;
    Shape shape;
  };
  // A parameter made of checkpoint tensors that lie one after another in it.
  Parameter* Make(const std::string& name, Shape shape, const std::vector<Part>& parts, bool decay);
  Parameter* MakeMatrix(const std::string& name, int64_t out, int64_t in);
  Parameter* MakeNorm(const std::string& name, int64_t size);
  Parameter* MakeBias(const std::string& name, int64_t size);
  AttentionWeights MakeLatentAttention(const ModelConfig& c, const std::string& prefix);
  AttentionWeights MakeGroupedAttention(const ModelConfig& c, const std::string& prefix);
  MlpWeights MakeMlp(const ModelConfig& c, const std::string& prefix, int64_t intermediate);
  MoeWeights MakeMoe(const ModelConfig& c, const std::string& prefix);
  LayerWeights MakeLayer(const ModelConfig& c, int64_t index);
  MtpWeights MakeMtp(const ModelConfig& c, int64_t depth);

  WeightStorage storage_;
  std::deque<Parameter> store_;
};

}  // namespace reckon
