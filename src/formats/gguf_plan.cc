// From a Hugging Face folder's tensors to those of a GGUF file.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "formats/fp8_checkpoint.h"
#include "formats/gguf_config.h"
#include "formats/gguf_weights.h"

namespace reckon {
namespace {

constexpr int64_t kMax = 1 << 30;

// -1 for a tensor outside the layers.
int64_t LayerOf(std::string_view gguf_name) {
  if (!gguf_name.starts_with("blk.")) return -1;
  int64_t layer = 0;
  for (size_t i = 4; i < gguf_name.size() && gguf_name[i] != '.' && layer < kMax; ++i) {
    layer = layer * 10 + (gguf_name[i] - '0');
  }
  return layer;
}

// The embedding, the layers in their order, the final norm and the head.
bool Precedes(const GgufPlanned& a, const GgufPlanned& b) {
  const auto key = [](const GgufPlanned& tensor) {
    const std::string_view name = tensor.spec.name;
    const int64_t layer = LayerOf(name);
    return std::pair(layer >= 0 ? layer : name == "token_embd.weight" ? -1 : kMax, name);
  };
  return key(a) < key(b);
}

class Planner {
 public:
  explicit Planner(const Json& config) : config_(config) {
    ObjectReader reader(config, "config.json");
    const std::string model_type = reader.String("model_type");
    const auto architecture = ArchitectureOfModelType(model_type);
    if (!architecture) {
      Throw(
          ErrorKind::kUnsupported,
          fmt::format("config.json: model_type \"{}\" has no GGUF architecture here", model_type));
    }
    architecture_ = *architecture;
    tied_ = reader.Bool("tie_word_embeddings", false);
    num_layers_ = reader.Int("num_hidden_layers", 1, kMax) +
                  reader.Int("num_nextn_predict_layers", 0, kMax, 0);
    num_experts_ = reader.Int("n_routed_experts", 0, kMax, 0);
  }

  void Add(const std::string& hf_name, const Shape& shape) {
    if (hf_name.ends_with(kFp8ScaleSuffix) || hf_name.ends_with(".rotary_emb.inv_freq")) return;
    if (tied_ && hf_name == "lm_head.weight") return;
    const std::optional<GgufPlace> place = PlaceInGguf(architecture_, hf_name);
    if (!place) {
      Throw(ErrorKind::kUnsupported,
            fmt::format("tensor \"{}\" has no place in a GGUF file of architecture {}", hf_name,
                        Name(architecture_)));
    }
    if (LayerOf(place->name) >= num_layers_) return;
    if (place->expert >= 0) {
      AddExpert(*place, hf_name, shape);
    } else if (place->name.ends_with(".attn_kv_b.weight")) {
      AddKvB(place->name, hf_name, shape);
    } else {
      planned_.push_back({{place->name, StorageFormat::kF32, shape}, {hf_name}, place->order});
    }
  }

  std::vector<GgufPlanned> Finish() {
    for (auto& [name, tensor] : experts_) {
      for (size_t e = 0; e < tensor.sources.size(); ++e) {
        if (!tensor.sources[e].empty()) continue;
        Throw(ErrorKind::kNotFound, fmt::format("expert {} of tensor \"{}\" is missing", e, name));
      }
      planned_.push_back(std::move(tensor));
    }
    const auto factors = static_cast<int64_t>(Llama3RopeFactors(config_).size());
    if (factors > 0) {
      planned_.push_back({{"rope_freqs.weight", StorageFormat::kF32, {factors}}, {}});
    }
    std::sort(planned_.begin(), planned_.end(), Precedes);
    return std::move(planned_);
  }

 private:
  void AddExpert(const GgufPlace& place, const std::string& hf_name, const Shape& shape) {
    if (shape.size() != 2 || place.expert >= num_experts_) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("tensor \"{}\": shape {}, where a matrix of one of {} experts is wanted",
                        hf_name, ToString(shape), num_experts_));
    }
    GgufPlanned& merged = experts_[place.name];
    const Shape whole = {num_experts_, shape[0], shape[1]};
    if (merged.sources.empty()) {
      merged.spec = {place.name, StorageFormat::kF32, whole};
      merged.sources.resize(static_cast<size_t>(num_experts_));
    }
    if (merged.spec.shape != whole) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("tensor \"{}\": shape {} differs from the other experts'", hf_name,
                        ToString(shape)));
    }
    merged.sources[static_cast<size_t>(place.expert)] = hf_name;
  }

  void AddKvB(const std::string& gguf_name, const std::string& hf_name, const Shape& shape) {
    const KvBShape by = KvBShapeOf(config_);
    const int64_t rows = by.heads * (by.qk_nope_head_dim + by.v_head_dim);
    if (shape != Shape{rows, by.kv_lora_rank}) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("tensor \"{}\": shape {} where config.json wants [{}, {}]", hf_name,
                        ToString(shape), rows, by.kv_lora_rank));
    }
    const KvBParts parts = KvBPartsOf(
        gguf_name.substr(0, gguf_name.size() - std::string_view("attn_kv_b.weight").size()));
    planned_.push_back(
        {{parts.k_b, StorageFormat::kF32, {by.heads, by.kv_lora_rank, by.qk_nope_head_dim}},
         {hf_name},
         RowOrder::kAsIs,
         GgufPlanned::Part::kKeysOfKvB});
    planned_.push_back(
        {{parts.v_b, StorageFormat::kF32, {by.heads, by.v_head_dim, by.kv_lora_rank}},
         {hf_name},
         RowOrder::kAsIs,
         GgufPlanned::Part::kValuesOfKvB});
  }

  const Json& config_;
  GgufArchitecture architecture_ = GgufArchitecture::kLlama;
  bool tied_ = false;
  int64_t num_layers_ = 0, num_experts_ = 0;
  std::vector<GgufPlanned> planned_;
  std::map<std::string, GgufPlanned> experts_;
};

// Whether llama-quantize's Q4_K_M gives this layer's attn_v and ffn_down more bits: the first and
// last eighth and every third between (use_more_bits in llama-quant.cpp).
bool UsesMoreBits(int64_t layer, int64_t num_layers) {
  const int64_t eighth = num_layers / 8;
  return layer < eighth || layer >= 7 * num_layers / 8 || (layer - eighth) % 3 == 2;
}

}  // namespace

std::vector<GgufPlanned> PlanGguf(const Json& config, const std::map<std::string, Shape>& tensors) {
  Planner planner(config);
  for (const auto& [name, shape] : tensors) planner.Add(name, shape);
  return planner.Finish();
}

StorageFormat GgufFormatFor(const GgufTensorSpec& tensor, StorageFormat wanted, int64_t num_layers,
                            bool tied_head) {
  const std::string_view name = tensor.name;
  if (tensor.shape.size() < 2 || !name.ends_with(".weight") || name.ends_with("_norm.weight") ||
      name.ends_with(".ffn_gate_inp.weight")) {
    return StorageFormat::kF32;
  }
  const int64_t columns = tensor.shape.back();
  const bool few_bits = wanted == StorageFormat::kQ4_K || wanted == StorageFormat::kQ4_0 ||
                        wanted == StorageFormat::kQ5_0;
  const bool output = name == "output.weight" || (tied_head && name == "token_embd.weight");
  const bool sensitive = name.ends_with(".attn_v.weight") || name.ends_with(".ffn_down.weight") ||
                         name.ends_with(".ffn_down_exps.weight");
  if ((few_bits && output) ||
      (wanted == StorageFormat::kQ4_K && sensitive && UsesMoreBits(LayerOf(name), num_layers))) {
    return FormatForRow(StorageFormat::kQ6_K, columns);
  }
  return FormatForRow(wanted, columns);
}

}  // namespace reckon
