#include <fmt/format.h>

#include "base/error.h"
#include "formats/gguf_weights.h"
#include "model/weight_source.h"

namespace reckon {
namespace {

class GgufWeightSource : public WeightSource {
 public:
  explicit GgufWeightSource(const std::string& path)
      : path_(path), model_(path), weights_(model_) {}
  const Json& config_json() const { return weights_.config(); }
  void set_config(const ModelConfig& config) { config_ = config; }

  const std::string& where() const override { return path_; }
  bool Has(const std::string& name) const override { return weights_.Has(name); }
  std::vector<std::string> names() const override { return weights_.names(); }

  StoredMatrix Get(const std::string& name, const Shape& shape) const override {
    const auto place = PlaceInGguf(weights_.architecture(), name);
    // kv_b in two parts is joined; everything else is read where it lies.
    if (!place || !model_.Has(place->name)) return Joined(name, shape);
    const StoredTensor& tensor = model_.Get(place->name);
    Shape wanted = shape;
    int64_t first_row = 0;
    if (place->expert >= 0) {
      wanted.insert(wanted.begin(), config_.n_routed_experts);
      first_row = place->expert * shape[0];
    }
    CheckShape(place->name, tensor.shape, wanted);
    StoredMatrix m = View(tensor, shape);
    if (m.rows > 0) m.data = tensor.row(first_row);
    if (place->order == RowOrder::kRotaryQuery) m.paired_rows_of_head = config_.head_dim;
    if (place->order == RowOrder::kRotaryKey) m.paired_rows_of_head = config_.head_dim;
    return m;
  }

 private:
  static StoredMatrix View(const StoredTensor& tensor, const Shape& shape) {
    StoredMatrix m;
    m.rows = shape.size() == 1 ? 1 : shape[0];
    m.cols = shape.back();
    m.format = tensor.format;
    m.data = tensor.bytes.data();
    return m;
  }

  void CheckShape(const std::string& name, const Shape& got, const Shape& wanted) const {
    if (got == wanted) return;
    Throw(ErrorKind::kCorrupt, fmt::format("{}: tensor {} has shape {}, the metadata asks for {}",
                                           path_, name, ToString(got), ToString(wanted)));
  }

  StoredMatrix Joined(const std::string& name, const Shape& shape) const {
    auto loaded = std::make_shared<GgufWeights::Loaded>(weights_.Get(name));
    CheckShape(name, loaded->tensor.shape, shape);
    StoredMatrix m = View(loaded->tensor, shape);
    m.owner = loaded;
    return m;
  }

  std::string path_;
  GgufModel model_;
  GgufWeights weights_;
  ModelConfig config_;
};

}  // namespace

OpenedWeights OpenGgufSource(const std::string& path) {
  auto weights = std::make_unique<GgufWeightSource>(path);
  OpenedWeights source{ParseModelConfig(weights->config_json(), path), nullptr};
  weights->set_config(source.config);
  source.weights = std::move(weights);
  return source;
}

}  // namespace reckon
