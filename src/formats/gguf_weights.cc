#include "formats/gguf_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/gguf_config.h"

namespace reckon {
namespace {

constexpr std::string_view kKeysOfKvB = "attn_k_b.weight", kValuesOfKvB = "attn_v_b.weight";

// Tensors that hold nothing of a checkpoint: tables that follow from the hyper-parameters.
bool IsDerived(std::string_view gguf_name) {
  return gguf_name == "rope_freqs.weight" || gguf_name.ends_with(".attn_rot_embd.weight");
}

StoredTensor SliceOfExpert(const StoredTensor& merged, int64_t expert) {
  const size_t bytes = merged.bytes.size() / static_cast<size_t>(merged.shape[0]);
  return {merged.format, Shape(merged.shape.begin() + 1, merged.shape.end()),
          merged.bytes.subspan(static_cast<size_t>(expert) * bytes, bytes)};
}

std::vector<float> ToFloats(const StoredTensor& tensor) {
  const int64_t columns = tensor.columns(), rows = tensor.rows();
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) {
    DequantizeRow(tensor.format, tensor.row(r), columns, values.data() + r * columns);
  }
  return values;
}

}  // namespace

GgufWeights::GgufWeights(const GgufModel& model)
    : model_(model),
      architecture_(ArchitectureOf(model.metadata())),
      config_(ConfigFromGguf(model)) {
  for (const std::string& name : model.names()) AddTensor(name);
}

void GgufWeights::AddTensor(const std::string& gguf_name) {
  if (IsDerived(gguf_name)) return;
  const bool deepseek = architecture_ == GgufArchitecture::kDeepseek2;
  if (deepseek && gguf_name.ends_with(kValuesOfKvB)) return;  // goes with the keys
  if (deepseek && gguf_name.ends_with(kKeysOfKvB)) {
    const std::string prefix = gguf_name.substr(0, gguf_name.size() - kKeysOfKvB.size());
    const auto whole = HuggingFaceName(architecture_, prefix + "attn_kv_b.weight");
    if (whole) places_.emplace(*whole, Place{prefix, -1, RowOrder::kAsIs, true});
    return;
  }
  const std::optional<std::string> hf_name = HuggingFaceName(architecture_, gguf_name);
  if (!hf_name) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: tensor \"{}\" is not one of a {} model that reckon knows",
                      model_.metadata().path(), gguf_name.substr(0, 100), Name(architecture_)));
  }
  if (hf_name->find("{e}") == hf_name->npos) {
    const RowOrder order = PlaceInGguf(architecture_, *hf_name)->order;
    places_[*hf_name] = {gguf_name, -1, order, false};
    return;
  }
  const StoredTensor& merged = model_.Get(gguf_name);
  CheckExperts(gguf_name, merged);
  for (int64_t e = 0; e < merged.shape[0]; ++e) {
    places_[WithExpert(*hf_name, e)] = {gguf_name, e, RowOrder::kAsIs, false};
  }
}

void GgufWeights::CheckExperts(const std::string& gguf_name, const StoredTensor& merged) const {
  const auto refuse = [&](const std::string& cause) {
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}: tensor \"{}\": shape {}, {}", model_.metadata().path(), gguf_name,
                      ToString(merged.shape), cause));
  };
  if (merged.shape.size() != 3) refuse("where [experts, rows, columns] is wanted");
  const auto experts = config_["n_routed_experts"].get<int64_t>();
  if (merged.shape[0] != experts) {
    refuse(fmt::format("where the metadata name {} experts", experts));
  }
  // Each gets a name and a place, which should not outweigh what it is.
  constexpr int64_t kMinExpertBytes = 16;
  if (static_cast<int64_t>(merged.bytes.size()) / experts < kMinExpertBytes) {
    refuse(fmt::format("of experts below {} bytes each", kMinExpertBytes));
  }
}

std::vector<std::string> GgufWeights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

const GgufWeights::Place& GgufWeights::PlaceOf(const std::string& hf_name) const {
  const auto found = places_.find(hf_name);
  if (found == places_.end()) {
    Throw(ErrorKind::kNotFound,
          fmt::format("{}: has no tensor for \"{}\"", model_.metadata().path(), hf_name));
  }
  return found->second;
}

std::optional<GgufWeights::InFile> GgufWeights::Find(const std::string& hf_name) const {
  const Place& place = PlaceOf(hf_name);
  if (place.kv_b_parts) return {};
  const StoredTensor& stored = model_.Get(place.name);
  return InFile{place.expert >= 0 ? SliceOfExpert(stored, place.expert) : stored, place.order};
}

GgufWeights::Loaded GgufWeights::Get(const std::string& hf_name) const {
  const Place& place = PlaceOf(hf_name);
  const std::optional<InFile> in_file = Find(hf_name);
  if (!in_file) return GetKvB(place);
  const StoredTensor& stored = in_file->tensor;
  if (place.order == RowOrder::kAsIs) return {stored, {}};
  Loaded loaded;
  loaded.tensor = stored;
  loaded.owned.resize(stored.bytes.size());
  const int64_t rows = stored.shape.size() > 1 ? stored.rows() : stored.columns();  // or a bias
  try {
    if (rows == stored.columns() && stored.shape.size() < 2 &&
        InfoOf(stored.format).block_elements != 1) {
      Throw(ErrorKind::kUnsupported, "a bias in a block format");
    }
    FromGgufRowOrder(stored.bytes, rows, HeadsOf(place.order, config_), loaded.owned.data());
  } catch (const Error& error) {
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}: tensor \"{}\": {}", model_.metadata().path(), place.name, error.what()));
  }
  loaded.tensor.bytes = loaded.owned;
  return loaded;
}

GgufWeights::Loaded GgufWeights::GetKvB(const Place& place) const {
  const KvBShape shape = KvBShapeOf(config_);
  const KvBParts parts = KvBPartsOf(place.name);
  const StoredTensor &keys = model_.Get(parts.k_b), &values = model_.Get(parts.v_b);
  const int64_t rank = shape.kv_lora_rank, nope = shape.qk_nope_head_dim, v = shape.v_head_dim;
  if (keys.columns() != nope || keys.rows() != shape.heads * rank || values.columns() != rank ||
      values.rows() != shape.heads * v) {
    Throw(
        ErrorKind::kCorrupt,
        fmt::format("{}: tensors \"{}\" {} and \"{}\" {}, where [{}, {}, {}] and [{}, {}, {}] are "
                    "wanted",
                    model_.metadata().path(), parts.k_b, ToString(keys.shape), parts.v_b,
                    ToString(values.shape), shape.heads, rank, nope, shape.heads, v, rank));
  }
  Loaded loaded;
  loaded.owned.resize(static_cast<size_t>(shape.heads * (nope + v) * rank) * sizeof(float));
  JoinKvB(shape, ToFloats(keys).data(), ToFloats(values).data(),
          reinterpret_cast<float*>(loaded.owned.data()));
  loaded.tensor = {StorageFormat::kF32, {shape.heads * (nope + v), rank}, loaded.owned};
  return loaded;
}

}  // namespace reckon
