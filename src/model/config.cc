#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace reckon {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 24;  // of any one dimension: products stay below 2^63

int64_t Size(ObjectReader& reader, const char* key, std::optional<int64_t> fallback = {}) {
  return reader.Int(key, 1, kMaxSize, fallback);
}

int64_t NullableSize(ObjectReader& reader, const char* key) {
  const Json* value = reader.Find(key);
  if (value == nullptr || value->is_null()) return 0;
  return reader.Int(key, 0, kMaxSize);
}

// A token id that may be absent, null, or a list of which the first counts.
int64_t TokenId(ObjectReader& reader, const char* key, int64_t vocab_size) {
  const Json* value = reader.Find(key);
  if (value == nullptr || value->is_null()) return -1;
  if (value->is_array() && !value->empty()) value = &(*value)[0];
  const bool fits = !value->is_number_unsigned() || value->get<uint64_t>() < uint64_t{1} << 63;
  if (!value->is_number_integer() || !fits || value->get<int64_t>() < -1 ||
      value->get<int64_t>() >= vocab_size) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: expected a token id below vocab_size {}, got {}", reader.PathOf(key),
                      vocab_size, value->dump()));
  }
  return value->get<int64_t>();
}

[[noreturn]] void Refuse(const std::string& where, const std::string& message) {
  Throw(ErrorKind::kInvalidArgument, where + ": " + message);
}

void CheckRope(const ModelConfig& c, const std::string& where) {
  if (c.qk_rope_head_dim % 2 != 0) {
    Refuse(where, fmt::format("qk_rope_head_dim is {}, must be even", c.qk_rope_head_dim));
  }
  if (c.qk_head_dim() > 4096 || c.v_head_dim > 4096) {
    Refuse(where, fmt::format("qk_nope_head_dim {} + qk_rope_head_dim {}, v_head_dim {}: a head of "
                              "more than 4096 dimensions is not supported",
                              c.qk_nope_head_dim, c.qk_rope_head_dim, c.v_head_dim));
  }
}

void CheckExperts(const ModelConfig& c, const std::string& where) {
  if (c.n_routed_experts == 0) return;
  if (c.n_routed_experts % c.n_group != 0) {
    Refuse(where, fmt::format("n_routed_experts {} is not a multiple of n_group {}",
                              c.n_routed_experts, c.n_group));
  }
  if (c.topk_group > c.n_group) {
    Refuse(where, fmt::format("topk_group {} is more than n_group {}", c.topk_group, c.n_group));
  }
  const int64_t open = c.n_routed_experts / c.n_group * c.topk_group;
  if (c.num_experts_per_tok > open) {
    Refuse(where, fmt::format("num_experts_per_tok {} is more than the {} experts of topk_group {} "
                              "groups",
                              c.num_experts_per_tok, open, c.topk_group));
  }
}

std::optional<RopeScaling> ParseRopeScaling(ObjectReader& reader, const std::string& key) {
  const Json* json = reader.Find(key);
  if (json == nullptr || json->is_null()) return {};
  ObjectReader scaling(*json, reader.PathOf(key));
  const char* type_key = scaling.Has("rope_type") ? "rope_type" : "type";
  const std::string type = scaling.String(type_key, "default");
  if (type == "default") return {};
  if (type != "yarn") {
    Throw(ErrorKind::kUnsupported, fmt::format("{}: \"{}\" is not supported, only \"yarn\"",
                                               scaling.PathOf(type_key), type));
  }
  RopeScaling s;
  s.factor = scaling.Number("factor", 1, 1e6);
  s.beta_fast = scaling.Number("beta_fast", 1e-6, 1e6, 32.0);
  s.beta_slow = scaling.Number("beta_slow", 1e-6, 1e6, 1.0);
  s.mscale = scaling.Number("mscale", 0, 100, 1.0);
  s.mscale_all_dim = scaling.Number("mscale_all_dim", 0, 100, 0.0);
  s.original_max_position_embeddings =
      scaling.Int("original_max_position_embeddings", 1, 1 << 30, 4096);
  return s;
}

void ParseAttention(ObjectReader& reader, ModelConfig& c) {
  c.num_attention_heads = Size(reader, "num_attention_heads");
  c.q_lora_rank = NullableSize(reader, "q_lora_rank");
  c.kv_lora_rank = Size(reader, "kv_lora_rank");
  c.qk_nope_head_dim = Size(reader, "qk_nope_head_dim");
  c.qk_rope_head_dim = Size(reader, "qk_rope_head_dim");
  c.v_head_dim = Size(reader, "v_head_dim");
  if (reader.Bool("attention_bias", false)) {
    Throw(ErrorKind::kUnsupported, reader.PathOf("attention_bias") + ": true is not supported");
  }
  c.rope_scaling = ParseRopeScaling(reader, "rope_scaling");
  if (const Json* parameters = reader.Find("rope_parameters");
      parameters != nullptr && !parameters->is_null()) {
    ObjectReader rope(*parameters, reader.PathOf("rope_parameters"));
    c.rope_theta = rope.Number("rope_theta", 1.0001, 1e12, 10000.0);
    c.rope_scaling = ParseRopeScaling(reader, "rope_parameters");
  }
  c.rope_theta = reader.Number("rope_theta", 1.0001, 1e12, c.rope_theta);
}

void ParseExperts(ObjectReader& reader, ModelConfig& c) {
  c.n_routed_experts = NullableSize(reader, "n_routed_experts");
  c.first_k_dense_replace = reader.Int("first_k_dense_replace", 0, kMaxSize, 0);
  c.intermediate_size = Size(reader, "intermediate_size");
  if (c.n_routed_experts == 0) return;
  c.num_experts_per_tok = Size(reader, "num_experts_per_tok");
  c.moe_intermediate_size = Size(reader, "moe_intermediate_size");
  c.n_shared_experts = NullableSize(reader, "n_shared_experts");
  c.n_group = Size(reader, "n_group", 1);
  c.topk_group = Size(reader, "topk_group", 1);
  c.moe_layer_freq = Size(reader, "moe_layer_freq", 1);
  c.routed_scaling_factor = reader.Number("routed_scaling_factor", 1e-6, 1e6, 1.0);
  c.norm_topk_prob = reader.Bool("norm_topk_prob", true);
  reader.Choice("scoring_func", {"sigmoid"}, "sigmoid");
  reader.Choice("topk_method", {"noaux_tc"}, "noaux_tc");
}

}  // namespace

ModelConfig ParseModelConfig(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  ModelConfig c;
  c.model_type = reader.String("model_type");
  if (c.model_type != "deepseek_v3") {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: model_type \"{}\" is not supported, only \"deepseek_v3\"", where,
                      c.model_type));
  }
  c.vocab_size = Size(reader, "vocab_size");
  c.hidden_size = Size(reader, "hidden_size");
  c.num_hidden_layers = reader.Int("num_hidden_layers", 1, 10000);
  ParseAttention(reader, c);
  ParseExperts(reader, c);
  c.num_nextn_predict_layers = reader.Int("num_nextn_predict_layers", 0, 16, 0);
  c.rms_norm_eps = reader.Number("rms_norm_eps", 0, 1, 1e-6);
  c.initializer_range = reader.Number("initializer_range", 0, 10, 0.02);
  c.max_position_embeddings = reader.Int("max_position_embeddings", 1, int64_t{1} << 30, 4096);
  c.tie_word_embeddings = reader.Bool("tie_word_embeddings", false);
  c.bos_token_id = TokenId(reader, "bos_token_id", c.vocab_size);
  c.eos_token_id = TokenId(reader, "eos_token_id", c.vocab_size);
  reader.Choice("hidden_act", {"silu"}, "silu");
  CheckRope(c, where);
  CheckExperts(c, where);
  return c;
}

Json ToJson(const ModelConfig& c) {
  Json json = {{"architectures", {"DeepseekV3ForCausalLM"}},
               {"attention_bias", false},
               {"attention_dropout", 0.0},
               {"bos_token_id", c.bos_token_id < 0 ? Json() : Json(c.bos_token_id)},
               {"eos_token_id", c.eos_token_id < 0 ? Json() : Json(c.eos_token_id)},
               {"first_k_dense_replace", c.first_k_dense_replace},
               {"hidden_act", "silu"},
               {"hidden_size", c.hidden_size},
               {"initializer_range", c.initializer_range},
               {"intermediate_size", c.intermediate_size},
               {"kv_lora_rank", c.kv_lora_rank},
               {"max_position_embeddings", c.max_position_embeddings},
               {"model_type", c.model_type},
               {"moe_intermediate_size", c.moe_intermediate_size},
               {"moe_layer_freq", c.moe_layer_freq},
               {"n_group", c.n_group},
               {"n_routed_experts", c.n_routed_experts == 0 ? Json() : Json(c.n_routed_experts)},
               {"n_shared_experts", c.n_shared_experts == 0 ? Json() : Json(c.n_shared_experts)},
               {"norm_topk_prob", c.norm_topk_prob},
               {"num_attention_heads", c.num_attention_heads},
               {"num_experts_per_tok", c.num_experts_per_tok},
               {"num_hidden_layers", c.num_hidden_layers},
               {"num_key_value_heads", c.num_attention_heads},
               {"num_nextn_predict_layers", c.num_nextn_predict_layers},
               {"q_lora_rank", c.q_lora_rank == 0 ? Json() : Json(c.q_lora_rank)},
               {"qk_nope_head_dim", c.qk_nope_head_dim},
               {"qk_rope_head_dim", c.qk_rope_head_dim},
               {"rms_norm_eps", c.rms_norm_eps}};
  json["rope_scaling"] = Json();
  if (c.rope_scaling) {
    const RopeScaling& s = *c.rope_scaling;
    json["rope_scaling"] = {
        {"type", "yarn"},
        {"factor", s.factor},
        {"beta_fast", s.beta_fast},
        {"beta_slow", s.beta_slow},
        {"mscale", s.mscale},
        {"mscale_all_dim", s.mscale_all_dim},
        {"original_max_position_embeddings", s.original_max_position_embeddings}};
  }
  json["rope_theta"] = c.rope_theta;
  json["routed_scaling_factor"] = c.routed_scaling_factor;
  json["scoring_func"] = "sigmoid";
  json["tie_word_embeddings"] = c.tie_word_embeddings;
  json["topk_group"] = c.topk_group;
  json["topk_method"] = "noaux_tc";
  json["torch_dtype"] = "float32";
  json["use_cache"] = true;
  json["v_head_dim"] = c.v_head_dim;
  json["vocab_size"] = c.vocab_size;
  return json;
}

}  // namespace reckon
