#include "formats/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

#include "base/error.h"

namespace reckon {
namespace {

constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
constexpr int64_t kSoftmax = 1, kSigmoid = 2;  // ExpertGatingFuncType in gguf-py

// A float of a file as the decimal number its author wrote: 1e-06, not 9.99999997e-07.
double Decimal(double value) { return std::strtod(fmt::format("{:.7g}", value).c_str(), nullptr); }

// Reads keys "<architecture>.<name>".
class Keys {
 public:
  explicit Keys(const GgufModel& model)
      : model_(model), prefix_(std::string(Name(ArchitectureOf(model.metadata()))) + ".") {}
  bool Has(const char* name) const { return file().HasKey(prefix_ + name); }
  int64_t Int(const char* name, std::optional<int64_t> fallback = {}) const {
    const int64_t value = file().Int(prefix_ + name, fallback);
    if (value < 0 || value > kMax) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: key \"{}{}\" is {}", file().path(), prefix_, name, value));
    }
    return value;
  }
  double Number(const char* name, std::optional<double> fallback = {}) const {
    return Decimal(file().Number(prefix_ + name, fallback));
  }
  bool Bool(const char* name, bool fallback) const { return file().Bool(prefix_ + name, fallback); }
  std::string_view String(const char* name, std::string_view fallback) const {
    return file().String(prefix_ + name, fallback);
  }
  const GgufModel& model() const { return model_; }
  const GgufFile& file() const { return model_.metadata(); }

 private:
  const GgufModel& model_;
  std::string prefix_;
};

int64_t VocabSize(const Keys& keys) {
  if (keys.model().Has("token_embd.weight")) return keys.model().Get("token_embd.weight").rows();
  const auto tokens = static_cast<int64_t>(keys.file().ArraySize("tokenizer.ggml.tokens"));
  return keys.Int("vocab_size", tokens);
}

void AddSpecialToken(const Keys& keys, const char* key, const char* name, Json* config) {
  if (keys.file().HasKey(key)) (*config)[name] = keys.file().Int(key);
}

// What all three have.
Json CommonConfig(const Keys& keys) {
  Json config;
  config["hidden_act"] = "silu";
  config["hidden_size"] = keys.Int("embedding_length");
  config["intermediate_size"] = keys.Int("feed_forward_length");
  config["num_hidden_layers"] = keys.Int("block_count");
  config["num_attention_heads"] = keys.Int("attention.head_count");
  config["max_position_embeddings"] = keys.Int("context_length");
  config["rms_norm_eps"] = keys.Number("attention.layer_norm_rms_epsilon");
  config["rope_theta"] = keys.Number("rope.freq_base", 10000);
  config["vocab_size"] = VocabSize(keys);
  config["tie_word_embeddings"] = !keys.model().Has("output.weight");
  AddSpecialToken(keys, "tokenizer.ggml.bos_token_id", "bos_token_id", &config);
  AddSpecialToken(keys, "tokenizer.ggml.eos_token_id", "eos_token_id", &config);
  return config;
}

Json YarnScaling(const Keys& keys) {
  Json scaling;
  scaling["type"] = "yarn";
  scaling["factor"] = keys.Number("rope.scaling.factor");
  scaling["original_max_position_embeddings"] = keys.Int("rope.scaling.original_context_length");
  scaling["beta_fast"] = keys.Number("rope.scaling.yarn_beta_fast", 32);
  scaling["beta_slow"] = keys.Number("rope.scaling.yarn_beta_slow", 1);
  return scaling;
}

// Null, linear or yarn.
Json ScalingFromKeys(const Keys& keys) {
  const std::string_view type = keys.String("rope.scaling.type", "none");
  if (type == "none") return nullptr;
  if (type == "yarn") return YarnScaling(keys);
  if (type == "linear") return {{"type", "linear"}, {"factor", keys.Number("rope.scaling.factor")}};
  Throw(ErrorKind::kUnsupported, fmt::format("{}: rope.scaling.type \"{}\"; none, linear and yarn "
                                             "are known",
                                             keys.file().path(), type.substr(0, 50)));
}

// 1 / frequency is divided by `factor` where the wavelength exceeds original / low, left alone
// below original / high, blended between (transformers, _compute_llama3_parameters).
std::vector<float> Llama3Factors(int64_t head_dim, double theta, double factor, double low,
                                 double high, double original) {
  constexpr double kPi = 3.14159265358979323846;
  std::vector<float> factors;
  for (int64_t i = 0; i < head_dim; i += 2) {
    const double wavelength =
        2 * kPi * std::pow(theta, static_cast<double>(i) / static_cast<double>(head_dim));
    if (wavelength < original / high) {
      factors.push_back(1);
    } else if (wavelength > original / low) {
      factors.push_back(static_cast<float>(factor));
    } else {
      const double smooth = (original / wavelength - low) / (high - low);
      factors.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
    }
  }
  return factors;
}

// The file has the factors, config.json their parameters: those of all released Llama 3.x models
// but the factor, which is the largest, are tried.
Json Llama3Scaling(const Keys& keys, const Json& config) {
  constexpr double kLow = 1, kHigh = 4;
  constexpr int64_t kOriginal = 8192;
  const StoredTensor& tensor = keys.model().Get("rope_freqs.weight");
  std::vector<float> factors(static_cast<size_t>(tensor.columns()));
  DequantizeRow(tensor.format, tensor.bytes.data(), tensor.columns(), factors.data());
  const int64_t head_dim = config["head_dim"].get<int64_t>();
  bool same = tensor.columns() == (head_dim + 1) / 2;
  const double factor = Decimal(*std::max_element(factors.begin(), factors.end()));
  const std::vector<float> expected =
      Llama3Factors(same ? head_dim : 0, config["rope_theta"].get<double>(), factor, kLow, kHigh,
                    static_cast<double>(kOriginal));
  for (size_t i = 0; same && i < factors.size(); ++i) {
    same = std::fabs(factors[i] - expected[i]) <= 1e-3f * expected[i];  // f32 wavelengths there
  }
  if (!same) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: tensor \"rope_freqs.weight\" is not what llama3 rope scaling with "
                      "low_freq_factor 1, high_freq_factor 4 and 8192 original positions gives",
                      keys.file().path()));
  }
  return {{"rope_type", "llama3"},
          {"factor", factor},
          {"low_freq_factor", kLow},
          {"high_freq_factor", kHigh},
          {"original_max_position_embeddings", kOriginal}};
}

Json GroupedQueryConfig(const Keys& keys, GgufArchitecture architecture) {
  const bool llama = architecture == GgufArchitecture::kLlama;
  Json config = CommonConfig(keys);
  config["architectures"] = {llama ? "LlamaForCausalLM" : "Qwen2ForCausalLM"};
  config["model_type"] = llama ? "llama" : "qwen2";
  const int64_t heads = config["num_attention_heads"].get<int64_t>();
  if (heads == 0) {
    Throw(ErrorKind::kCorrupt, keys.file().path() + ": key \"attention.head_count\" is 0");
  }
  config["num_key_value_heads"] = keys.Int("attention.head_count_kv", heads);
  const int64_t head_dim = config["hidden_size"].get<int64_t>() / heads;
  config["head_dim"] = keys.Int("attention.key_length", keys.Int("rope.dimension_count", head_dim));
  config["rope_scaling"] = llama && keys.model().Has("rope_freqs.weight")
                               ? Llama3Scaling(keys, config)
                               : ScalingFromKeys(keys);
  if (llama) {
    config["attention_bias"] = keys.model().Has("blk.0.attn_q.bias");
    config["mlp_bias"] = keys.model().Has("blk.0.ffn_gate.bias");
  } else {
    config["use_sliding_window"] = false;
  }
  return config;
}

// Files made before the keys for groups existed leave them out; DeepSeek-V3 and R1 (256 experts,
// sigmoid) have 8 groups of which 4 are used, DeepSeek-V2 (160 experts) 8 and 3, V2-Lite none.
void AddRouting(const Keys& keys, Json* config) {
  const int64_t experts = keys.Int("expert_count", 0);
  const bool sigmoid = keys.Int("expert_gating_func", kSoftmax) == kSigmoid;
  const bool v3 = sigmoid && experts == 256, v2 = !sigmoid && experts == 160;
  const int64_t groups = keys.Int("expert_group_count", v3 || v2 ? 8 : 1);
  (*config)["n_group"] = groups;
  (*config)["topk_group"] = keys.Int("expert_group_used_count", v3 ? 4 : v2 ? 3 : 1);
  (*config)["scoring_func"] = sigmoid ? "sigmoid" : "softmax";
  (*config)["topk_method"] = sigmoid ? "noaux_tc" : groups > 1 ? "group_limited_greedy" : "greedy";
  (*config)["n_routed_experts"] = experts;
  (*config)["num_experts_per_tok"] = keys.Int("expert_used_count", 0);
  (*config)["n_shared_experts"] = keys.Int("expert_shared_count", 0);
  (*config)["moe_intermediate_size"] = keys.Int("expert_feed_forward_length");
  (*config)["routed_scaling_factor"] = keys.Number("expert_weights_scale", 1);
  (*config)["norm_topk_prob"] = keys.Bool("expert_weights_norm", false);
  (*config)["first_k_dense_replace"] = keys.Int("leading_dense_block_count", 0);
  (*config)["moe_layer_freq"] = 1;
  (*config)["architectures"] = {sigmoid ? "DeepseekV3ForCausalLM" : "DeepseekV2ForCausalLM"};
  (*config)["model_type"] = sigmoid ? "deepseek_v3" : "deepseek_v2";
}

Json DeepseekConfig(const Keys& keys) {
  Json config = CommonConfig(keys);
  AddRouting(keys, &config);
  const int64_t nextn = keys.Int("nextn_predict_layers", 0), blocks = keys.Int("block_count");
  const int64_t rope = keys.Int("rope.dimension_count");
  const int64_t key_length = keys.Has("attention.key_length_mla")
                                 ? keys.Int("attention.key_length_mla")
                                 : keys.Int("attention.key_length");
  if (nextn > blocks || rope > key_length) {
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}: {} of {} layers for next tokens, {} of {} rotary dimensions",
                      keys.file().path(), nextn, blocks, rope, key_length));
  }
  config["num_hidden_layers"] = blocks - nextn;
  config["num_nextn_predict_layers"] = nextn;
  config["num_key_value_heads"] = config["num_attention_heads"];
  config["attention_bias"] = false;
  const int64_t q_rank = keys.Int("attention.q_lora_rank", 0);
  config["q_lora_rank"] = q_rank > 0 ? Json(q_rank) : Json(nullptr);
  config["kv_lora_rank"] = keys.Int("attention.kv_lora_rank");
  config["qk_rope_head_dim"] = rope;
  config["qk_nope_head_dim"] = key_length - rope;
  config["v_head_dim"] = keys.Has("attention.value_length_mla")
                             ? keys.Int("attention.value_length_mla")
                             : keys.Int("attention.value_length");
  config["rope_scaling"] = ScalingFromKeys(keys);
  if (config["rope_scaling"].is_object() && config["rope_scaling"]["type"] == "yarn") {
    // The file has 0.1 * mscale_all_dim; mscale is the same in every released model.
    const double mscale = Decimal(10 * keys.Number("rope.scaling.yarn_log_multiplier", 0));
    config["rope_scaling"]["mscale"] = mscale;
    config["rope_scaling"]["mscale_all_dim"] = mscale;
  }
  return config;
}

// Writes keys "<architecture>.<name>" from those of a config.json.
class Converter {
 public:
  Converter(const Json& config, GgufArchitecture architecture)
      : reader_(config, "config.json"), prefix_(std::string(Name(architecture)) + ".") {}

  int64_t Int(const char* key, std::optional<int64_t> fallback = {}) {
    return reader_.Int(key, 0, kMax, fallback);
  }
  double Number(const char* key, std::optional<double> fallback = {}) {
    return reader_.Number(key, -1e30, 1e30, fallback);
  }
  void Put(const char* name, int64_t value) {
    metadata.AddU32(prefix_ + name, static_cast<uint32_t>(value));
  }
  void PutNumber(const char* name, double value) {
    metadata.AddF32(prefix_ + name, static_cast<float>(value));
  }
  void PutBool(const char* name, bool value) { metadata.AddBool(prefix_ + name, value); }
  void PutString(const char* name, std::string_view value) {
    metadata.AddString(prefix_ + name, value);
  }
  ObjectReader& reader() { return reader_; }

  GgufMetadata metadata;

 private:
  ObjectReader reader_;
  std::string prefix_;
};

void PutCommon(Converter& to) {
  to.Put("context_length", to.Int("max_position_embeddings"));
  to.Put("embedding_length", to.Int("hidden_size"));
  to.Put("feed_forward_length", to.Int("intermediate_size"));
  to.Put("attention.head_count", to.Int("num_attention_heads"));
  to.PutNumber("attention.layer_norm_rms_epsilon", to.Number("rms_norm_eps", 1e-6));
  to.PutNumber("rope.freq_base", to.Number("rope_theta", 10000));
  to.Put("vocab_size", to.Int("vocab_size"));
}

// "type" of older files, "rope_type" of newer ones.
std::string ScalingType(const Json& config) {
  if (!config.contains("rope_scaling") || !config["rope_scaling"].is_object()) return "none";
  ObjectReader scaling(config["rope_scaling"], "config.json: rope_scaling");
  return scaling.String("rope_type", scaling.String("type", "default"));
}

// llama3 is a tensor, Llama3RopeFactors.
void PutScaling(Converter& to, const Json& config) {
  const std::string type = ScalingType(config);
  if (type == "none" || type == "default" || type == "llama3") return;
  if (type != "linear" && type != "yarn") {
    Throw(ErrorKind::kUnsupported,
          fmt::format("config.json: rope_scaling: type \"{}\" has no place in GGUF here; linear, "
                      "yarn and llama3 have",
                      type));
  }
  ObjectReader scaling(config["rope_scaling"], "config.json: rope_scaling");
  to.PutString("rope.scaling.type", type);
  to.PutNumber("rope.scaling.factor", scaling.Number("factor", 0, 1e9));
  if (type == "linear") return;
  to.Put("rope.scaling.original_context_length",
         scaling.Int("original_max_position_embeddings", 1, kMax));
  to.PutNumber("rope.scaling.yarn_beta_fast", scaling.Number("beta_fast", 0, 1e9, 32));
  to.PutNumber("rope.scaling.yarn_beta_slow", scaling.Number("beta_slow", 0, 1e9, 1));
}

void PutGroupedQuery(Converter& to, const Json& config) {
  PutCommon(to);
  const int64_t heads = to.Int("num_attention_heads");
  if (heads == 0) Throw(ErrorKind::kInvalidArgument, "config.json: num_attention_heads is 0");
  const int64_t head_dim = to.Int("head_dim", to.Int("hidden_size") / heads);
  to.Put("block_count", to.Int("num_hidden_layers"));
  to.Put("attention.head_count_kv", to.Int("num_key_value_heads", heads));
  to.Put("attention.key_length", head_dim);
  to.Put("attention.value_length", head_dim);
  to.Put("rope.dimension_count", head_dim);
  PutScaling(to, config);
}

void PutRouting(Converter& to) {
  if (to.Int("moe_layer_freq", 1) != 1) {
    Throw(ErrorKind::kUnsupported, "config.json: moe_layer_freq other than 1 has no place in GGUF");
  }
  const std::string scoring = to.reader().Choice("scoring_func", {"softmax", "sigmoid"}, "softmax");
  to.Put("leading_dense_block_count", to.Int("first_k_dense_replace", 0));
  to.Put("expert_feed_forward_length", to.Int("moe_intermediate_size"));
  to.Put("expert_count", to.Int("n_routed_experts"));
  to.Put("expert_used_count", to.Int("num_experts_per_tok"));
  to.Put("expert_shared_count", to.Int("n_shared_experts", 0));
  to.Put("expert_group_count", to.Int("n_group", 1));
  to.Put("expert_group_used_count", to.Int("topk_group", 1));
  to.PutNumber("expert_weights_scale", to.Number("routed_scaling_factor", 1));
  to.PutBool("expert_weights_norm", to.reader().Bool("norm_topk_prob", false));
  to.Put("expert_gating_func", scoring == "sigmoid" ? kSigmoid : kSoftmax);
}

// As conversion/deepseek.py: attention is stored as what it is with k_b absorbed, one key-value
// head of kv_lora_rank + qk_rope_head_dim, and the sizes before that under "_mla".
void PutDeepseek(Converter& to, const Json& config) {
  PutCommon(to);
  PutRouting(to);
  const int64_t rank = to.Int("kv_lora_rank"), rope = to.Int("qk_rope_head_dim");
  const int64_t nextn = to.Int("num_nextn_predict_layers", 0);
  to.Put("block_count", to.Int("num_hidden_layers") + nextn);
  if (nextn > 0) to.Put("nextn_predict_layers", nextn);
  to.Put("attention.head_count_kv", 1);
  const int64_t q_rank = to.Int("q_lora_rank", 0);
  if (q_rank > 0) to.Put("attention.q_lora_rank", q_rank);
  to.Put("attention.kv_lora_rank", rank);
  to.Put("attention.key_length", rank + rope);
  to.Put("attention.value_length", rank);
  to.Put("attention.key_length_mla", to.Int("qk_nope_head_dim") + rope);
  to.Put("attention.value_length_mla", to.Int("v_head_dim"));
  to.Put("rope.dimension_count", rope);
  PutScaling(to, config);
  if (ScalingType(config) == "yarn") {
    ObjectReader scaling(config["rope_scaling"], "config.json: rope_scaling");
    const double mscale = scaling.Number("mscale_all_dim", 0, 1e9, 0);
    if (mscale > 0) to.PutNumber("rope.scaling.yarn_log_multiplier", 0.1 * mscale);
  }
}

}  // namespace

Json ConfigFromGguf(const GgufModel& model) {
  const Keys keys(model);
  const GgufArchitecture architecture = ArchitectureOf(model.metadata());
  return architecture == GgufArchitecture::kDeepseek2 ? DeepseekConfig(keys)
                                                      : GroupedQueryConfig(keys, architecture);
}

GgufMetadata MetadataFromConfig(const Json& config, const std::string& name) {
  ObjectReader reader(config, "config.json");
  const std::string model_type = reader.String("model_type");
  const std::optional<GgufArchitecture> architecture = ArchitectureOfModelType(model_type);
  if (!architecture) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("config.json: model_type \"{}\" has no GGUF architecture here; deepseek_v2, "
                      "deepseek_v3, qwen2 and llama have",
                      model_type));
  }
  Converter to(config, *architecture);
  to.metadata.AddString("general.architecture", Name(*architecture));
  to.metadata.AddString("general.name", name);
  if (*architecture == GgufArchitecture::kDeepseek2) {
    PutDeepseek(to, config);
  } else {
    PutGroupedQuery(to, config);
  }
  return std::move(to.metadata);
}

int64_t HeadsOf(RowOrder order, const Json& config) {
  ObjectReader reader(config, "config.json");
  const int64_t heads = reader.Int("num_attention_heads", 1, kMax);
  return order == RowOrder::kRotaryQuery ? heads
                                         : reader.Int("num_key_value_heads", 1, kMax, heads);
}

KvBShape KvBShapeOf(const Json& config) {
  ObjectReader reader(config, "config.json");
  return {reader.Int("num_attention_heads", 1, kMax), reader.Int("qk_nope_head_dim", 1, kMax),
          reader.Int("v_head_dim", 1, kMax), reader.Int("kv_lora_rank", 1, kMax)};
}

std::vector<float> Llama3RopeFactors(const Json& config) {
  if (ScalingType(config) != "llama3") return {};
  ObjectReader reader(config, "config.json");
  ObjectReader scaling(config["rope_scaling"], "config.json: rope_scaling");
  const int64_t heads = reader.Int("num_attention_heads", 1, kMax);
  const int64_t head_dim =
      reader.Int("head_dim", 2, 1 << 20, reader.Int("hidden_size", 1, kMax) / heads);
  return Llama3Factors(
      head_dim, reader.Number("rope_theta", 1, 1e30, 10000), scaling.Number("factor", 1, 1e9),
      scaling.Number("low_freq_factor", 0, 1e9), scaling.Number("high_freq_factor", 0, 1e9),
      static_cast<double>(scaling.Int("original_max_position_embeddings", 1, kMax)));
}

}  // namespace reckon
