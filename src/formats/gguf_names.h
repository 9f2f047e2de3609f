// Where GGUF files of the architectures deepseek2, qwen2 and llama keep what Hugging Face folders
// call model.layers.0.self_attn.q_proj.weight. The names are those of gguf-py's constants.py, the
// orders of rows those of conversion/{llama,deepseek}.py in https://github.com/ggml-org/llama.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"

namespace reckon {

enum class GgufArchitecture { kDeepseek2, kQwen2, kLlama };
const char* Name(GgufArchitecture architecture);  // as general.architecture has it
// Throws kUnsupported naming the file and its architecture.
GgufArchitecture ArchitectureOf(const GgufFile& file);
// Of a config.json's model_type: deepseek_v2, deepseek_v3, qwen2, llama.
std::optional<GgufArchitecture> ArchitectureOfModelType(std::string_view model_type);

enum class RowOrder {
  kAsIs,
  kRotaryQuery,  // rows of a head paired as llama.cpp rotates them; see ToGgufRowOrder
  kRotaryKey,
};
struct GgufPlace {
  std::string name;     // of the tensor in the GGUF file
  int64_t expert = -1;  // >= 0: this index of its first dimension (merged experts)
  RowOrder order = RowOrder::kAsIs;
};
// None for a name that the architecture does not have. kv_b_proj is looked for whole ("attn_kv_b");
// files may have it in two parts instead, KvBParts.
std::optional<GgufPlace> PlaceInGguf(GgufArchitecture architecture, std::string_view hf_name);

// The Hugging Face name of a GGUF tensor; "{e}" stands for the expert in a merged one. None for
// tensors without a counterpart (rope_freqs.weight, the two parts of kv_b).
std::optional<std::string> HuggingFaceName(GgufArchitecture architecture,
                                           std::string_view gguf_name);
std::string WithExpert(std::string_view hf_name, int64_t expert);  // "{e}" replaced

int64_t RowsOfHead(int64_t num_rows, int64_t heads);  // throws unless it is a whole, even number
// Rows of any stored format, as PairedRow (tensor/stored_matrix.h) has them in the file.
void ToGgufRowOrder(std::span<const std::byte> rows, int64_t num_rows, int64_t heads,
                    std::byte* out);
void FromGgufRowOrder(std::span<const std::byte> rows, int64_t num_rows, int64_t heads,
                      std::byte* out);

// kv_b_proj.weight [heads * (nope + v), rank] whole, or as attn_k_b [heads, rank, nope]
// (transposed) and attn_v_b [heads, v, rank].
struct KvBShape {
  int64_t heads = 0, qk_nope_head_dim = 0, v_head_dim = 0, kv_lora_rank = 0;
};
struct KvBParts {
  std::string k_b, v_b;
};
KvBParts KvBPartsOf(std::string_view layer_prefix);  // "blk.3."
void SplitKvB(const KvBShape& shape, const float* kv_b, float* k_b, float* v_b);
void JoinKvB(const KvBShape& shape, const float* k_b, const float* v_b, float* kv_b);

}  // namespace reckon
