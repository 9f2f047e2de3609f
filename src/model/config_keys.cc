#include "model/config_keys.h"

#include <algorithm>

#include "base/nearest.h"

namespace reckon {
namespace {

// What ParseModelConfig reads.
const std::vector<std::string>& ReadKeys() {
  static const std::vector<std::string> keys = {"model_type",
                                                "vocab_size",
                                                "hidden_size",
                                                "num_hidden_layers",
                                                "num_attention_heads",
                                                "num_key_value_heads",
                                                "head_dim",
                                                "intermediate_size",
                                                "q_lora_rank",
                                                "kv_lora_rank",
                                                "qk_nope_head_dim",
                                                "qk_rope_head_dim",
                                                "v_head_dim",
                                                "n_routed_experts",
                                                "num_experts_per_tok",
                                                "moe_intermediate_size",
                                                "n_shared_experts",
                                                "n_group",
                                                "topk_group",
                                                "moe_layer_freq",
                                                "routed_scaling_factor",
                                                "norm_topk_prob",
                                                "scoring_func",
                                                "topk_method",
                                                "first_k_dense_replace",
                                                "num_nextn_predict_layers",
                                                "max_position_embeddings",
                                                "rope_theta",
                                                "rope_scaling",
                                                "rope_parameters",
                                                "rms_norm_eps",
                                                "initializer_range",
                                                "tie_word_embeddings",
                                                "bos_token_id",
                                                "eos_token_id",
                                                "hidden_act",
                                                "attention_bias",
                                                "mlp_bias",
                                                "use_sliding_window",
                                                "use_mrope"};
  return keys;
}

// What published files say besides; none of it changes the computation.
const std::vector<std::string>& CarriedKeys() {
  static const std::vector<std::string> keys = {"_attn_implementation",
                                                "_name_or_path",
                                                "architectures",
                                                "attention_dropout",
                                                "auto_map",
                                                "aux_loss_alpha",
                                                "dtype",
                                                "ep_size",
                                                "layer_types",
                                                "max_window_layers",
                                                "pad_token_id",
                                                "pretraining_tp",
                                                "qk_head_dim",
                                                "quantization_config",
                                                "rope_interleave",
                                                "seq_aux",
                                                "sliding_window",
                                                "torch_dtype",
                                                "transformers_version",
                                                "use_cache"};
  return keys;
}

const std::vector<std::string>& RopeKeys() {
  static const std::vector<std::string> keys = {"type",
                                                "rope_type",
                                                "rope_theta",
                                                "factor",
                                                "original_max_position_embeddings",
                                                "beta_fast",
                                                "beta_slow",
                                                "mscale",
                                                "mscale_all_dim",
                                                "low_freq_factor",
                                                "high_freq_factor"};
  return keys;
}

bool Contains(const std::vector<std::string>& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

}  // namespace

std::vector<UnknownKey> UnknownModelKeys(const Json& config) {
  std::vector<UnknownKey> unknown;
  for (const auto& item : config.items()) {
    const std::string& key = item.key();
    if (!Contains(ReadKeys(), key) && !Contains(CarriedKeys(), key)) {
      unknown.push_back({key, NearestName(key, ReadKeys())});
    }
    if ((key != "rope_scaling" && key != "rope_parameters") || !item.value().is_object()) continue;
    for (const auto& rope : item.value().items()) {
      if (Contains(RopeKeys(), rope.key())) continue;
      unknown.push_back({key + "." + rope.key(), NearestName(rope.key(), RopeKeys())});
    }
  }
  return unknown;
}

}  // namespace reckon
