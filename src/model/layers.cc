#include "model/layers.h"

#include <fmt/format.h>

namespace reckon {

WeightSet::WeightSet(const ModelConfig& c, WeightStorage storage) : storage_(storage) {
  embed_tokens = MakeMatrix("model.embed_tokens.weight", c.vocab_size, c.hidden_size);
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) layers.push_back(MakeLayer(c, i));
  norm = MakeNorm("model.norm.weight", c.hidden_size);
  lm_head = c.tie_word_embeddings ? embed_tokens
                                  : MakeMatrix("lm_head.weight", c.vocab_size, c.hidden_size);
  for (int64_t d = 0; d < c.num_nextn_predict_layers; ++d) mtp.push_back(MakeMtp(c, d));
}

Parameter* WeightSet::Make(const std::string& name, Shape shape, const std::vector<Part>& parts,
                           bool decay) {
  if (storage_ == WeightStorage::kNone) {
    for (const Part& part : parts) named.push_back({part.name, part.shape, nullptr, nullptr, 0});
    return nullptr;
  }
  const bool stored = storage_ == WeightStorage::kAsStored && shape.size() > 1;
  if (stored) {
    store_.emplace_back(name, std::move(shape));
  } else {
    store_.emplace_back(name, Tensor::Zeros(DType::kF32, std::move(shape)), decay);
  }
  Parameter* parameter = &store_.back();
  parameters.push_back(parameter);
  int64_t offset = 0;
  for (const Part& part : parts) {
    float* data = stored ? nullptr : parameter->value().f32() + offset;
    named.push_back({part.name, part.shape, data, parameter, offset});
    offset += NumElements(part.shape);
  }
  Check(offset == NumElements(parameter->shape()), "the parts of a parameter must cover it");
  return parameter;
}

Parameter* WeightSet::MakeMatrix(const std::string& name, int64_t out, int64_t in) {
  return Make(name, {out, in}, {{name, {out, in}}}, true);
}

Parameter* WeightSet::MakeNorm(const std::string& name, int64_t size) {
  Parameter* norm_weight = Make(name, {size}, {{name, {size}}}, false);
  if (norm_weight == nullptr) return nullptr;
  for (float& w : norm_weight->value().floats()) w = 1;
  return norm_weight;
}

Parameter* WeightSet::MakeBias(const std::string& name, int64_t size) {
  return Make(name, {size}, {{name, {size}}}, false);
}

AttentionWeights WeightSet::MakeGroupedAttention(const ModelConfig& c, const std::string& prefix) {
  const int64_t query = c.num_attention_heads * c.head_dim;
  const int64_t key = c.num_key_value_heads * c.head_dim;
  AttentionWeights a;
  a.q_proj = MakeMatrix(prefix + "q_proj.weight", query, c.hidden_size);
  a.k_proj = MakeMatrix(prefix + "k_proj.weight", key, c.hidden_size);
  a.v_proj = MakeMatrix(prefix + "v_proj.weight", key, c.hidden_size);
  if (c.attention_bias) {
    a.q_bias = MakeBias(prefix + "q_proj.bias", query);
    a.k_bias = MakeBias(prefix + "k_proj.bias", key);
    a.v_bias = MakeBias(prefix + "v_proj.bias", key);
  }
  a.o_proj = MakeMatrix(prefix + "o_proj.weight", c.hidden_size, query);
  if (c.attention_o_bias) a.o_bias = MakeBias(prefix + "o_proj.bias", c.hidden_size);
  return a;
}

AttentionWeights WeightSet::MakeLatentAttention(const ModelConfig& c, const std::string& prefix) {
  const int64_t heads = c.num_attention_heads, query = heads * c.qk_head_dim();
  AttentionWeights a;
  if (c.q_lora_rank == 0) {
    a.q_proj = MakeMatrix(prefix + "q_proj.weight", query, c.hidden_size);
  } else {
    a.q_a_proj = MakeMatrix(prefix + "q_a_proj.weight", c.q_lora_rank, c.hidden_size);
    a.q_a_layernorm = MakeNorm(prefix + "q_a_layernorm.weight", c.q_lora_rank);
    a.q_b_proj = MakeMatrix(prefix + "q_b_proj.weight", query, c.q_lora_rank);
  }
  a.kv_a_proj_with_mqa = MakeMatrix(prefix + "kv_a_proj_with_mqa.weight",
                                    c.kv_lora_rank + c.qk_rope_head_dim, c.hidden_size);
  a.kv_a_layernorm = MakeNorm(prefix + "kv_a_layernorm.weight", c.kv_lora_rank);
  a.kv_b_proj = MakeMatrix(prefix + "kv_b_proj.weight", heads * (c.qk_nope_head_dim + c.v_head_dim),
                           c.kv_lora_rank);
  a.o_proj = MakeMatrix(prefix + "o_proj.weight", c.hidden_size, heads * c.v_head_dim);
  return a;
}

MlpWeights WeightSet::MakeMlp(const ModelConfig& c, const std::string& prefix,
                              int64_t intermediate) {
  const Shape half = {intermediate, c.hidden_size};
  MlpWeights mlp;
  mlp.gate_up =
      Make(prefix + "gate_up_proj.weight", {2 * intermediate, c.hidden_size},
           {{prefix + "gate_proj.weight", half}, {prefix + "up_proj.weight", half}}, true);
  mlp.down = MakeMatrix(prefix + "down_proj.weight", c.hidden_size, intermediate);
  return mlp;
}

MoeWeights WeightSet::MakeMoe(const ModelConfig& c, const std::string& prefix) {
  const int64_t experts = c.n_routed_experts, intermediate = c.moe_intermediate_size;
  MoeWeights moe;
  moe.index = moe_layers++;
  moe.gate = MakeMatrix(prefix + "gate.weight", experts, c.hidden_size);
  if (c.has_correction_bias()) {
    float* data = nullptr;
    if (storage_ != WeightStorage::kNone) {
      correction_biases.push_back(Tensor::Zeros(DType::kF32, {experts}));
      data = correction_biases.back().f32();
    }
    named.push_back({prefix + "gate.e_score_correction_bias", {experts}, data, nullptr, 0});
  }
  std::vector<Part> gate_up, down;
  for (int64_t e = 0; e < experts; ++e) {
    const std::string expert = fmt::format("{}experts.{}.", prefix, e);
    gate_up.push_back({expert + "gate_proj.weight", {intermediate, c.hidden_size}});
    gate_up.push_back({expert + "up_proj.weight", {intermediate, c.hidden_size}});
    down.push_back({expert + "down_proj.weight", {c.hidden_size, intermediate}});
  }
  moe.gate_up = Make(prefix + "experts.gate_up_proj.weight",
                     {experts, 2 * intermediate, c.hidden_size}, gate_up, true);
  moe.down =
      Make(prefix + "experts.down_proj.weight", {experts, c.hidden_size, intermediate}, down, true);
  if (c.n_shared_experts > 0) {
    moe.shared = MakeMlp(c, prefix + "shared_experts.", c.n_shared_experts * intermediate);
  }
  return moe;
}

LayerWeights WeightSet::MakeLayer(const ModelConfig& c, int64_t index) {
  const std::string prefix = fmt::format("model.layers.{}.", index);
  LayerWeights layer;
  layer.input_layernorm = MakeNorm(prefix + "input_layernorm.weight", c.hidden_size);
  layer.attention = c.uses_mla() ? MakeLatentAttention(c, prefix + "self_attn.")
                                 : MakeGroupedAttention(c, prefix + "self_attn.");
  layer.post_attention_layernorm =
      MakeNorm(prefix + "post_attention_layernorm.weight", c.hidden_size);
  layer.is_moe = c.is_moe_layer(index);
  if (layer.is_moe) {
    layer.moe = MakeMoe(c, prefix + "mlp.");
  } else {
    layer.mlp = MakeMlp(c, prefix + "mlp.", c.intermediate_size);
  }
  return layer;
}

MtpWeights WeightSet::MakeMtp(const ModelConfig& c, int64_t depth) {
  const int64_t index = c.num_hidden_layers + depth;
  const std::string prefix = fmt::format("model.layers.{}.", index);
  MtpWeights module;
  module.enorm = MakeNorm(prefix + "enorm.weight", c.hidden_size);
  module.hnorm = MakeNorm(prefix + "hnorm.weight", c.hidden_size);
  module.eh_proj = MakeMatrix(prefix + "eh_proj.weight", c.hidden_size, 2 * c.hidden_size);
  module.layer = MakeLayer(c, index);
  module.shared_head_norm = MakeNorm(prefix + "shared_head.norm.weight", c.hidden_size);
  return module;
}

}  // namespace reckon
