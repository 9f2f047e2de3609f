#include "formats/gguf_names.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "tensor/stored_matrix.h"

namespace reckon {
namespace {

struct Pair {
  std::string_view hf, gguf;
  RowOrder order = RowOrder::kAsIs;
};

constexpr Pair kGlobal[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};
constexpr std::string_view kHfLayer = "model.layers.", kGgufLayer = "blk.";

// After "model.layers.<i>." and "blk.<i>.".
constexpr Pair kLayer[] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
};
constexpr Pair kGroupedQuery[] = {
    {"self_attn.q_proj.weight", "attn_q.weight", RowOrder::kRotaryQuery},
    {"self_attn.k_proj.weight", "attn_k.weight", RowOrder::kRotaryKey},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.q_proj.bias", "attn_q.bias", RowOrder::kRotaryQuery},
    {"self_attn.k_proj.bias", "attn_k.bias", RowOrder::kRotaryKey},
    {"self_attn.v_proj.bias", "attn_v.bias"},
    {"self_attn.o_proj.bias", "attn_output.bias"},
    {"mlp.gate_proj.bias", "ffn_gate.bias"},
    {"mlp.up_proj.bias", "ffn_up.bias"},
    {"mlp.down_proj.bias", "ffn_down.bias"},
};
constexpr Pair kDeepseek[] = {
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.q_a_proj.weight", "attn_q_a.weight"},
    {"self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight"},
    {"self_attn.q_b_proj.weight", "attn_q_b.weight"},
    {"self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight"},
    {"self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight"},
    {"self_attn.kv_b_proj.weight", "attn_kv_b.weight"},
    {"mlp.gate.weight", "ffn_gate_inp.weight"},
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
    {"mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight"},
    {"mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight"},
    {"mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight"},
    {"mlp.experts.{e}.gate_proj.weight", "ffn_gate_exps.weight"},
    {"mlp.experts.{e}.up_proj.weight", "ffn_up_exps.weight"},
    {"mlp.experts.{e}.down_proj.weight", "ffn_down_exps.weight"},
    {"eh_proj.weight", "nextn.eh_proj.weight"},
    {"embed_tokens.weight", "nextn.embed_tokens.weight"},
    {"enorm.weight", "nextn.enorm.weight"},
    {"hnorm.weight", "nextn.hnorm.weight"},
    {"shared_head.head.weight", "nextn.shared_head_head.weight"},
    {"shared_head.norm.weight", "nextn.shared_head_norm.weight"},
};
constexpr std::string_view kHfExperts = "mlp.experts.", kExpert = "{e}";

// "12.rest" into 12 and "rest"; none unless plain decimal digits.
struct Numbered {
  int64_t number = 0;
  std::string_view rest;
};
std::optional<Numbered> ParseNumbered(std::string_view text) {
  Numbered parsed;
  size_t digits = 0;
  while (digits < text.size() && digits < 9 && text[digits] >= '0' && text[digits] <= '9') {
    parsed.number = parsed.number * 10 + (text[digits++] - '0');
  }
  const bool padded = digits > 1 && text[0] == '0';
  if (digits == 0 || padded || digits >= text.size() || text[digits] != '.') return {};
  parsed.rest = text.substr(digits + 1);
  return parsed;
}

// The pair of a layer's tensor for which `matches` holds.
template <typename Matches>
const Pair* FindLayerPair(GgufArchitecture architecture, const Matches& matches) {
  for (const Pair& pair : kLayer) {
    if (matches(pair)) return &pair;
  }
  const bool deepseek = architecture == GgufArchitecture::kDeepseek2;
  for (const Pair& pair :
       deepseek ? std::span<const Pair>(kDeepseek) : std::span<const Pair>(kGroupedQuery)) {
    if (matches(pair)) return &pair;
  }
  return nullptr;
}

}  // namespace

const char* Name(GgufArchitecture architecture) {
  switch (architecture) {
    case GgufArchitecture::kDeepseek2:
      return "deepseek2";
    case GgufArchitecture::kQwen2:
      return "qwen2";
    case GgufArchitecture::kLlama:
      return "llama";
  }
  return "?";
}

GgufArchitecture ArchitectureOf(const GgufFile& file) {
  const std::string_view name = file.String("general.architecture");
  for (const auto architecture :
       {GgufArchitecture::kDeepseek2, GgufArchitecture::kQwen2, GgufArchitecture::kLlama}) {
    if (name == Name(architecture)) return architecture;
  }
  Throw(ErrorKind::kUnsupported,
        fmt::format("{}: general.architecture \"{}\"; deepseek2, qwen2 and llama are known",
                    file.path(), name.substr(0, 100)));
}

std::optional<GgufArchitecture> ArchitectureOfModelType(std::string_view model_type) {
  if (model_type == "deepseek_v2" || model_type == "deepseek_v3") {
    return GgufArchitecture::kDeepseek2;
  }
  if (model_type == "qwen2") return GgufArchitecture::kQwen2;
  if (model_type == "llama") return GgufArchitecture::kLlama;
  return {};
}

std::optional<GgufPlace> PlaceInGguf(GgufArchitecture architecture, std::string_view hf_name) {
  for (const Pair& pair : kGlobal) {
    if (pair.hf == hf_name) return GgufPlace{std::string(pair.gguf)};
  }
  if (!hf_name.starts_with(kHfLayer)) return {};
  const auto layer = ParseNumbered(hf_name.substr(kHfLayer.size()));
  if (!layer) return {};
  std::string wanted(layer->rest);
  GgufPlace place;
  if (layer->rest.starts_with(kHfExperts)) {
    const auto expert = ParseNumbered(layer->rest.substr(kHfExperts.size()));
    if (!expert) return {};
    place.expert = expert->number;
    wanted = fmt::format("{}{}.{}", kHfExperts, kExpert, expert->rest);
  }
  const Pair* pair = FindLayerPair(architecture, [&](const Pair& p) { return p.hf == wanted; });
  if (pair == nullptr) return {};
  place.name = fmt::format("{}{}.{}", kGgufLayer, layer->number, pair->gguf);
  if (architecture == GgufArchitecture::kLlama) place.order = pair->order;
  return place;
}

std::optional<std::string> HuggingFaceName(GgufArchitecture architecture,
                                           std::string_view gguf_name) {
  for (const Pair& pair : kGlobal) {
    if (pair.gguf == gguf_name) return std::string(pair.hf);
  }
  if (!gguf_name.starts_with(kGgufLayer)) return {};
  const auto layer = ParseNumbered(gguf_name.substr(kGgufLayer.size()));
  if (!layer) return {};
  const Pair* pair =
      FindLayerPair(architecture, [&](const Pair& p) { return p.gguf == layer->rest; });
  if (pair == nullptr) return {};
  return fmt::format("{}{}.{}", kHfLayer, layer->number, pair->hf);
}

std::string WithExpert(std::string_view hf_name, int64_t expert) {
  const size_t at = hf_name.find(kExpert);
  if (at == hf_name.npos) return std::string(hf_name);
  return fmt::format("{}{}{}", hf_name.substr(0, at), expert, hf_name.substr(at + kExpert.size()));
}

namespace {

// Calls copy(here, there, bytes) with the offsets of every row in Hugging Face's order and in
// GGUF's.
template <typename Copy>
void ForPairedRows(size_t size, int64_t num_rows, int64_t heads, const Copy& copy) {
  const int64_t head_dim = RowsOfHead(num_rows, heads);
  const size_t row_bytes = size / static_cast<size_t>(num_rows);
  for (int64_t r = 0; r < num_rows; ++r) {
    const int64_t there = PairedRow(r, head_dim);
    copy(static_cast<size_t>(r) * row_bytes, static_cast<size_t>(there) * row_bytes, row_bytes);
  }
}

}  // namespace

int64_t RowsOfHead(int64_t num_rows, int64_t heads) {
  if (heads <= 0 || num_rows % (2 * heads) != 0) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{} rows are not {} heads of an even size", num_rows, heads));
  }
  return num_rows / heads;
}

void ToGgufRowOrder(std::span<const std::byte> rows, int64_t num_rows, int64_t heads,
                    std::byte* out) {
  ForPairedRows(rows.size(), num_rows, heads, [&](size_t here, size_t there, size_t bytes) {
    std::memcpy(out + there, rows.data() + here, bytes);
  });
}

void FromGgufRowOrder(std::span<const std::byte> rows, int64_t num_rows, int64_t heads,
                      std::byte* out) {
  ForPairedRows(rows.size(), num_rows, heads, [&](size_t here, size_t there, size_t bytes) {
    std::memcpy(out + here, rows.data() + there, bytes);
  });
}

KvBParts KvBPartsOf(std::string_view layer_prefix) {
  return {fmt::format("{}attn_k_b.weight", layer_prefix),
          fmt::format("{}attn_v_b.weight", layer_prefix)};
}

void SplitKvB(const KvBShape& shape, const float* kv_b, float* k_b, float* v_b) {
  const int64_t rank = shape.kv_lora_rank, nope = shape.qk_nope_head_dim, v = shape.v_head_dim;
  for (int64_t h = 0; h < shape.heads; ++h) {
    const float* head = kv_b + h * (nope + v) * rank;
    for (int64_t r = 0; r < rank; ++r) {
      for (int64_t i = 0; i < nope; ++i) k_b[(h * rank + r) * nope + i] = head[i * rank + r];
    }
    std::memcpy(v_b + h * v * rank, head + nope * rank,
                static_cast<size_t>(v * rank) * sizeof(float));
  }
}

void JoinKvB(const KvBShape& shape, const float* k_b, const float* v_b, float* kv_b) {
  const int64_t rank = shape.kv_lora_rank, nope = shape.qk_nope_head_dim, v = shape.v_head_dim;
  for (int64_t h = 0; h < shape.heads; ++h) {
    float* head = kv_b + h * (nope + v) * rank;
    for (int64_t i = 0; i < nope; ++i) {
      for (int64_t r = 0; r < rank; ++r) head[i * rank + r] = k_b[(h * rank + r) * nope + i];
    }
    std::memcpy(head + nope * rank, v_b + h * v * rank,
                static_cast<size_t>(v * rank) * sizeof(float));
  }
}

}  // namespace reckon
