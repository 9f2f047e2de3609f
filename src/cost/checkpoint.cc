#include "cost/checkpoint.h"

#include <algorithm>
#include <string_view>

#include "formats/fp8_checkpoint.h"

namespace reckon {
namespace {

bool IsAnyOf(std::string_view name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

bool IsParameter(std::string_view name, bool tied_head) {
  if (IsAnyOf(name, {kFp8ScaleSuffix, "rotary_emb.inv_freq", "rope_freqs.weight"})) return false;
  const bool in_layer = name.starts_with("model.layers.") || name.starts_with("blk.");
  if (in_layer && IsAnyOf(name, {".embed_tokens.weight", ".shared_head.head.weight",
                                 ".shared_head_head.weight"})) {
    return false;
  }
  return !(tied_head && (name == "lm_head.weight" || name == "output.weight"));
}

class Summary {
 public:
  explicit Summary(bool tied_head) : tied_head_(tied_head) {}

  void Add(const std::string& name, const char* dtype, const Shape& shape, size_t bytes) {
    auto kind = std::find_if(summary_.kinds.begin(), summary_.kinds.end(),
                             [&](const auto& known) { return known.dtype == dtype; });
    if (kind == summary_.kinds.end()) {
      kind = summary_.kinds.insert(kind, {.dtype = dtype});
    }
    ++kind->tensors;
    kind->bytes += static_cast<int64_t>(bytes);
    ++summary_.tensors;
    summary_.bytes += static_cast<int64_t>(bytes);
    if (IsParameter(name, tied_head_)) summary_.parameters += NumElements(shape);
  }

  CheckpointSummary Finish() {
    std::stable_sort(summary_.kinds.begin(), summary_.kinds.end(),
                     [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
    return std::move(summary_);
  }

 private:
  bool tied_head_;
  CheckpointSummary summary_;
};

}  // namespace

CheckpointSummary Summarize(const SafetensorsFolder& folder, bool tied_head) {
  Summary summary(tied_head);
  for (const std::string& name : folder.names()) {
    const TensorView& tensor = folder.Get(name);
    summary.Add(name, Name(tensor.dtype), tensor.shape, tensor.bytes.size());
  }
  return summary.Finish();
}

CheckpointSummary Summarize(const GgufModel& model, bool tied_head) {
  Summary summary(tied_head);
  for (const std::string& name : model.names()) {
    const StoredTensor& tensor = model.Get(name);
    summary.Add(name, Name(tensor.format), tensor.shape, tensor.bytes.size());
  }
  return summary.Finish();
}

}  // namespace reckon
