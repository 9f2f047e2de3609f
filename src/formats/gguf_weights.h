// A GGUF file's weights under their Hugging Face names, and a Hugging Face folder's weights as the
// tensors of a GGUF file: gguf_names.h applied to whole models, a tensor at a time.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/gguf_names.h"
#include "formats/json.h"

namespace reckon {

class ThreadPool;

class GgufWeights {
 public:
  // Borrows the model. Throws kUnsupported naming a tensor that its architecture has no use for.
  explicit GgufWeights(const GgufModel& model);
  const Json& config() const { return config_; }  // ConfigFromGguf
  GgufArchitecture architecture() const { return architecture_; }
  bool Has(const std::string& hf_name) const { return places_.count(hf_name) > 0; }
  std::vector<std::string> names() const;  // ascending; one per expert; tied heads have no lm_head

  // A tensor where it lies in the file (one expert of a merged one), and the order of its rows
  // there. None where the file has it in two parts (kv_b). Throws as Get does.
  struct InFile {
    StoredTensor tensor;
    RowOrder order = RowOrder::kAsIs;
  };
  std::optional<InFile> Find(const std::string& hf_name) const;

  // The bytes are the file's where rows lie in the wanted order; otherwise, for q and k of llama
  // and for a kv_b that the file has in two parts (joined as F32), they are in `owned`.
  struct Loaded {
    StoredTensor tensor;
    std::vector<std::byte> owned;
  };
  Loaded Get(const std::string& hf_name) const;  // throws kNotFound or kCorrupt naming file, tensor

 private:
  struct Place {
    std::string name;  // "blk.0." where kv_b is in two parts
    int64_t expert = -1;
    RowOrder order = RowOrder::kAsIs;
    bool kv_b_parts = false;
  };
  void AddTensor(const std::string& gguf_name);
  void CheckExperts(const std::string& gguf_name, const StoredTensor& merged) const;
  const Place& PlaceOf(const std::string& hf_name) const;
  Loaded GetKvB(const Place& place) const;

  const GgufModel& model_;
  GgufArchitecture architecture_;
  Json config_;
  std::map<std::string, Place> places_;
};

// One tensor of a GGUF file to be written, and what it is made of.
struct GgufPlanned {
  GgufTensorSpec spec;               // the format is F32 until the caller chooses
  std::vector<std::string> sources;  // one, or one per expert; none: rope_freqs
  RowOrder order = RowOrder::kAsIs;
  enum class Part { kWhole, kKeysOfKvB, kValuesOfKvB } part = Part::kWhole;
};
// The tensors of a model of this config.json, given the names and shapes of its Hugging Face
// tensors: experts merged, kv_b in two parts, a tied head and layers beyond the config's
// num_hidden_layers + num_nextn_predict_layers left out (so a config with num_nextn_predict_layers
// 0 leaves out multi-token prediction), "*_scale_inv" skipped (the loader applies them). Throws
// naming a tensor that has no place and an expert that is missing.
std::vector<GgufPlanned> PlanGguf(const Json& config, const std::map<std::string, Shape>& tensors);

// What llama-quantize would choose where `wanted` is asked for: F32 for vectors, norms and routers;
// Q6_K for the output where it is asked for 4 or 5 bits, and for Q4_K (its "Q4_K_M") also for
// attn_v and ffn_down in a third of the layers; FormatForRow where rows do not fit.
StorageFormat GgufFormatFor(const GgufTensorSpec& tensor, StorageFormat wanted, int64_t num_layers,
                            bool tied_head);

// A row of a source tensor as f32; a vector is row 0. May be called from several threads at once.
using ReadRow = std::function<void(const std::string& name, int64_t row, std::span<float> out)>;

// Reads the rows of the sources of `tensor` in the file's order, quantises them and writes them, a
// few MB at a time. `importance`, if not empty, has the weight of each column: [columns], or
// [matrices, columns] for merged experts. Rows are shared by the pool's threads if there is one;
// the bytes are the same.
void FillPlanned(const GgufPlanned& tensor, const Json& config, const ReadRow& read,
                 std::span<const float> importance, const WriteBytes& write,
                 ThreadPool* pool = nullptr);

}  // namespace reckon
