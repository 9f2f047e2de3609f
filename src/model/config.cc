#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace reckon {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 24;  // of any one dimension
// Of all weights, some hundred times the largest released model's: products stay below 2^63.
constexpr double kMaxWeights = 0x1p50;

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

void CheckHeads(const ModelConfig& c, const std::string& where) {
  if (c.rope_dim() % 2 != 0) {
    Refuse(where, fmt::format("{} is {}, must be even",
                              c.uses_mla() ? "qk_rope_head_dim" : "head_dim", c.rope_dim()));
  }
  if (c.qk_head_dim() > 4096 || c.value_head_dim() > 4096) {
    const std::string sizes =
        c.uses_mla() ? fmt::format("qk_nope_head_dim {} + qk_rope_head_dim {}, v_head_dim {}",
                                   c.qk_nope_head_dim, c.qk_rope_head_dim, c.v_head_dim)
                     : fmt::format("head_dim {}", c.head_dim);
    Refuse(where, sizes + ": a head of more than 4096 dimensions is not supported");
  }
  if (!c.uses_mla() && c.num_attention_heads % c.num_key_value_heads != 0) {
    Refuse(where, fmt::format("num_attention_heads {} is not a multiple of num_key_value_heads {}",
                              c.num_attention_heads, c.num_key_value_heads));
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

double AttentionWeights(const ModelConfig& c) {
  const auto size = [](int64_t n) { return static_cast<double>(n); };
  const double hidden = size(c.hidden_size), heads = size(c.num_attention_heads);
  const double query = heads * size(c.qk_head_dim()), value = heads * size(c.value_head_dim());
  if (!c.uses_mla()) {
    return hidden * (query + value + 2 * size(c.num_key_value_heads) * size(c.head_dim));
  }
  const double q_rank = size(c.q_lora_rank), kv_rank = size(c.kv_lora_rank);
  const double q = c.q_lora_rank > 0 ? q_rank * (hidden + query) : hidden * query;
  return q + hidden * (kv_rank + size(c.qk_rope_head_dim)) +
         kv_rank * heads * size(c.qk_nope_head_dim + c.v_head_dim) + value * hidden;
}

// An upper bound, as if every layer had both kinds of feed-forward.
void CheckNumberOfWeights(const ModelConfig& c, const std::string& where) {
  const auto size = [](int64_t n) { return static_cast<double>(n); };
  const double hidden = size(c.hidden_size);
  const double experts = size(c.n_routed_experts) + size(c.n_shared_experts);
  const double feed_forward =
      3 * hidden * (size(c.intermediate_size) + (experts + 1) * size(c.moe_intermediate_size));
  const double layers = size(c.num_hidden_layers + c.num_nextn_predict_layers);
  const double weights =
      2 * hidden * size(c.vocab_size) +
      layers * (AttentionWeights(c) + feed_forward + hidden * (2 * hidden + experts + 8));
  if (weights > kMaxWeights) {
    Refuse(where, fmt::format("the sizes give a model of {:.2g} weights; at most {:.2g} are run",
                              weights, kMaxWeights));
  }
}

void ParseYarn(ObjectReader& scaling, RopeScaling& s) {
  s.beta_fast = scaling.Number("beta_fast", 1e-6, 1e6, 32.0);
  s.beta_slow = scaling.Number("beta_slow", 1e-6, 1e6, 1.0);
  s.mscale = scaling.Number("mscale", 0, 100, 1.0);
  s.mscale_all_dim = scaling.Number("mscale_all_dim", 0, 100, 0.0);
}

void ParseLlama3(ObjectReader& scaling, RopeScaling& s) {
  s.low_freq_factor = scaling.Number("low_freq_factor", 1e-6, 1e6);
  s.high_freq_factor = scaling.Number("high_freq_factor", 1e-6, 1e6);
  if (s.high_freq_factor <= s.low_freq_factor) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: {} must be above low_freq_factor {}", scaling.PathOf("high_freq_factor"),
                      s.high_freq_factor, s.low_freq_factor));
  }
}

std::optional<RopeScaling> ParseRopeScaling(ObjectReader& reader, const std::string& key) {
  const Json* json = reader.Find(key);
  if (json == nullptr || json->is_null()) return {};
  ObjectReader scaling(*json, reader.PathOf(key));
  const char* type_key = scaling.Has("rope_type") ? "rope_type" : "type";
  const std::string type = scaling.String(type_key, "default");
  if (type == "default") return {};
  RopeScaling s;
  if (type == "yarn") {
    ParseYarn(scaling, s);
  } else if (type == "llama3") {
    s.type = RopeType::kLlama3;
    ParseLlama3(scaling, s);
  } else if (type == "linear") {
    s.type = RopeType::kLinear;
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: \"{}\" is not supported, only \"yarn\", \"llama3\" and \"linear\"",
                      scaling.PathOf(type_key), type));
  }
  s.factor = scaling.Number("factor", 1, 1e6);
  s.original_max_position_embeddings =
      scaling.Int("original_max_position_embeddings", 1, 1 << 30, 4096);
  return s;
}

void ParseRope(ObjectReader& reader, ModelConfig& c) {
  c.rope_scaling = ParseRopeScaling(reader, "rope_scaling");
  if (const Json* parameters = reader.Find("rope_parameters");
      parameters != nullptr && !parameters->is_null()) {
    ObjectReader rope(*parameters, reader.PathOf("rope_parameters"));
    c.rope_theta = rope.Number("rope_theta", 1.0001, 1e12, 10000.0);
    c.rope_scaling = ParseRopeScaling(reader, "rope_parameters");
  }
  c.rope_theta = reader.Number("rope_theta", 1.0001, 1e12, c.rope_theta);
}

void RefuseTrue(ObjectReader& reader, const char* key) {
  if (!reader.Bool(key, false)) return;
  Throw(ErrorKind::kUnsupported, reader.PathOf(key) + ": true is not supported");
}

void ParseLatentAttention(ObjectReader& reader, ModelConfig& c) {
  c.q_lora_rank = NullableSize(reader, "q_lora_rank");
  c.kv_lora_rank = Size(reader, "kv_lora_rank");
  c.qk_nope_head_dim = Size(reader, "qk_nope_head_dim");
  c.qk_rope_head_dim = Size(reader, "qk_rope_head_dim");
  c.v_head_dim = Size(reader, "v_head_dim");
  RefuseTrue(reader, "attention_bias");
}

void ParseGroupedAttention(ObjectReader& reader, ModelConfig& c) {
  c.num_key_value_heads = Size(reader, "num_key_value_heads", c.num_attention_heads);
  c.head_dim = NullableSize(reader, "head_dim");
  if (c.head_dim == 0 && c.hidden_size % c.num_attention_heads != 0) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: hidden_size {} is not a multiple of num_attention_heads {}, and no "
                      "head_dim is given",
                      reader.PathOf("hidden_size"), c.hidden_size, c.num_attention_heads));
  }
  if (c.head_dim == 0) c.head_dim = c.hidden_size / c.num_attention_heads;
  const bool qwen2 = c.model_type == "qwen2";
  c.attention_bias = reader.Bool("attention_bias", qwen2);
  c.attention_o_bias = c.attention_bias && !qwen2;
  RefuseTrue(reader, "mlp_bias");
  RefuseTrue(reader, "use_sliding_window");
  RefuseTrue(reader, "use_mrope");
}

// deepseek_v3 scores by sigmoid and chooses by noaux_tc; deepseek_v2 by softmax and one of two.
void ParseRouter(ObjectReader& reader, ModelConfig& c) {
  const bool v3 = c.model_type == "deepseek_v3";
  c.norm_topk_prob = reader.Bool("norm_topk_prob", v3);
  if (v3) {
    reader.Choice("scoring_func", {"sigmoid"}, "sigmoid");
    reader.Choice("topk_method", {"noaux_tc"}, "noaux_tc");
    return;
  }
  reader.Choice("scoring_func", {"softmax"}, "softmax");
  c.scoring_func = ScoringFunc::kSoftmax;
  const std::string method =
      reader.Choice("topk_method", {"greedy", "group_limited_greedy"}, "greedy");
  c.topk_method = method == "greedy" ? TopkMethod::kGreedy : TopkMethod::kGroupLimitedGreedy;
}

void ParseExperts(ObjectReader& reader, ModelConfig& c) {
  c.n_routed_experts = NullableSize(reader, "n_routed_experts");
  c.first_k_dense_replace = reader.Int("first_k_dense_replace", 0, kMaxSize, 0);
  if (c.model_type == "deepseek_v2") c.topk_method = TopkMethod::kGreedy;
  if (c.n_routed_experts == 0) return;
  c.num_experts_per_tok = Size(reader, "num_experts_per_tok");
  c.moe_intermediate_size = Size(reader, "moe_intermediate_size");
  c.n_shared_experts = NullableSize(reader, "n_shared_experts");
  c.n_group = Size(reader, "n_group", 1);
  c.topk_group = Size(reader, "topk_group", 1);
  c.moe_layer_freq = Size(reader, "moe_layer_freq", 1);
  c.routed_scaling_factor = reader.Number("routed_scaling_factor", 1e-6, 1e6, 1.0);
  ParseRouter(reader, c);
}

void ParseFamily(ObjectReader& reader, const std::string& where, ModelConfig& c) {
  c.model_type = reader.String("model_type");
  if (!c.uses_mla() && c.model_type != "qwen2" && c.model_type != "llama") {
    Throw(
        ErrorKind::kUnsupported,
        fmt::format("{}: model_type \"{}\" is not supported, only deepseek_v2, deepseek_v3, qwen2 "
                    "and llama",
                    where, c.model_type));
  }
}

}  // namespace

ModelConfig ParseModelConfig(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  ModelConfig c;
  ParseFamily(reader, where, c);
  c.vocab_size = Size(reader, "vocab_size");
  c.hidden_size = Size(reader, "hidden_size");
  c.num_hidden_layers = reader.Int("num_hidden_layers", 1, 10000);
  c.num_attention_heads = Size(reader, "num_attention_heads");
  c.intermediate_size = Size(reader, "intermediate_size");
  ParseRope(reader, c);
  if (c.uses_mla()) {
    ParseLatentAttention(reader, c);
    ParseExperts(reader, c);
    c.num_nextn_predict_layers = reader.Int("num_nextn_predict_layers", 0, 16, 0);
  } else {
    ParseGroupedAttention(reader, c);
  }
  c.rms_norm_eps = reader.Number("rms_norm_eps", 0, 1, 1e-6);
  c.initializer_range = reader.Number("initializer_range", 0, 10, 0.02);
  c.max_position_embeddings = reader.Int("max_position_embeddings", 1, int64_t{1} << 30, 4096);
  c.tie_word_embeddings = reader.Bool("tie_word_embeddings", false);
  c.bos_token_id = TokenId(reader, "bos_token_id", c.vocab_size);
  c.eos_token_id = TokenId(reader, "eos_token_id", c.vocab_size);
  reader.Choice("hidden_act", {"silu"}, "silu");
  CheckHeads(c, where);
  CheckExperts(c, where);
  CheckNumberOfWeights(c, where);
  return c;
}

namespace {

Json RopeJson(const ModelConfig& c) {
  if (!c.rope_scaling) return {};
  const RopeScaling& s = *c.rope_scaling;
  Json json = {{"factor", s.factor},
               {"original_max_position_embeddings", s.original_max_position_embeddings}};
  if (s.type == RopeType::kLinear) {
    json["rope_type"] = "linear";
  } else if (s.type == RopeType::kLlama3) {
    json["rope_type"] = "llama3";
    json["low_freq_factor"] = s.low_freq_factor;
    json["high_freq_factor"] = s.high_freq_factor;
  } else {
    json["type"] = "yarn";
    json["beta_fast"] = s.beta_fast;
    json["beta_slow"] = s.beta_slow;
    json["mscale"] = s.mscale;
    json["mscale_all_dim"] = s.mscale_all_dim;
  }
  return json;
}

const char* TopkMethodName(TopkMethod method) {
  switch (method) {
    case TopkMethod::kGreedy:
      return "greedy";
    case TopkMethod::kGroupLimitedGreedy:
      return "group_limited_greedy";
    case TopkMethod::kNoauxTc:
      return "noaux_tc";
  }
  return "";
}

Json OrNull(int64_t value, int64_t none) { return value == none ? Json() : Json(value); }

void AddDeepSeek(const ModelConfig& c, Json& json) {
  const bool v3 = c.model_type == "deepseek_v3";
  json["architectures"] = {v3 ? "DeepseekV3ForCausalLM" : "DeepseekV2ForCausalLM"};
  json["attention_bias"] = false;
  json["num_key_value_heads"] = c.num_attention_heads;
  json["q_lora_rank"] = OrNull(c.q_lora_rank, 0);
  json["kv_lora_rank"] = c.kv_lora_rank;
  json["qk_nope_head_dim"] = c.qk_nope_head_dim;
  json["qk_rope_head_dim"] = c.qk_rope_head_dim;
  json["v_head_dim"] = c.v_head_dim;
  json["first_k_dense_replace"] = c.first_k_dense_replace;
  json["moe_intermediate_size"] = c.moe_intermediate_size;
  json["moe_layer_freq"] = c.moe_layer_freq;
  json["n_group"] = c.n_group;
  json["topk_group"] = c.topk_group;
  json["n_routed_experts"] = OrNull(c.n_routed_experts, 0);
  json["n_shared_experts"] = OrNull(c.n_shared_experts, 0);
  json["num_experts_per_tok"] = c.num_experts_per_tok;
  json["norm_topk_prob"] = c.norm_topk_prob;
  json["routed_scaling_factor"] = c.routed_scaling_factor;
  json["scoring_func"] = c.scoring_func == ScoringFunc::kSigmoid ? "sigmoid" : "softmax";
  json["topk_method"] = TopkMethodName(c.topk_method);
  if (v3) json["num_nextn_predict_layers"] = c.num_nextn_predict_layers;
}

void AddGrouped(const ModelConfig& c, Json& json) {
  const bool qwen2 = c.model_type == "qwen2";
  json["architectures"] = {qwen2 ? "Qwen2ForCausalLM" : "LlamaForCausalLM"};
  json["num_key_value_heads"] = c.num_key_value_heads;
  json["head_dim"] = c.head_dim;
  if (!qwen2) {
    json["attention_bias"] = c.attention_bias;
    json["mlp_bias"] = false;
  }
}

}  // namespace

Json ToJson(const ModelConfig& c) {
  Json json = {{"attention_dropout", 0.0},
               {"bos_token_id", OrNull(c.bos_token_id, -1)},
               {"eos_token_id", OrNull(c.eos_token_id, -1)},
               {"hidden_act", "silu"},
               {"hidden_size", c.hidden_size},
               {"initializer_range", c.initializer_range},
               {"intermediate_size", c.intermediate_size},
               {"max_position_embeddings", c.max_position_embeddings},
               {"model_type", c.model_type},
               {"num_attention_heads", c.num_attention_heads},
               {"num_hidden_layers", c.num_hidden_layers},
               {"rms_norm_eps", c.rms_norm_eps},
               {"rope_scaling", RopeJson(c)},
               {"rope_theta", c.rope_theta},
               {"tie_word_embeddings", c.tie_word_embeddings},
               {"torch_dtype", "float32"},
               {"use_cache", true},
               {"vocab_size", c.vocab_size}};
  c.uses_mla() ? AddDeepSeek(c, json) : AddGrouped(c, json);
  return json;
}

}  // namespace reckon
