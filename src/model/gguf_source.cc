#include <fmt/format.h>

#include "base/error.h"
#include "formats/gguf_config.h"
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
  const std::string& PathOf(const std::string&) const override { return path_; }
  std::vector<std::string> names() const override { return weights_.names(); }

  Shape ShapeOf(const std::string& name) const override {
    const auto in_file = weights_.Find(name);
    if (in_file) return in_file->tensor.shape;
    const KvBShape kv_b = KvBShapeOf(weights_.config());
    return {kv_b.heads * (kv_b.qk_nope_head_dim + kv_b.v_head_dim), kv_b.kv_lora_rank};
  }

  StoredMatrix Get(const std::string& name, const Shape& shape) const override {
    const auto in_file = weights_.Find(name);
    // A kv_b in two parts is joined, a bias brought into order; everything else stays where it is.
    const bool rows_move = in_file && in_file->order != RowOrder::kAsIs;
    if (!in_file || (rows_move && shape.size() == 1)) return Copied(name, shape);
    StoredMatrix m = View(name, in_file->tensor, shape);
    if (rows_move) m.paired_rows_of_head = config_.head_dim;
    return m;
  }

 private:
  StoredMatrix View(const std::string& name, const StoredTensor& tensor, const Shape& shape) const {
    if (tensor.shape != shape) {
      Throw(ErrorKind::kCorrupt, fmt::format("{}: tensor {} has shape {}, the metadata asks for {}",
                                             path_, name, ToString(tensor.shape), ToString(shape)));
    }
    StoredMatrix m;
    m.rows = shape.size() == 1 ? 1 : shape[0];
    m.cols = shape.back();
    m.format = tensor.format;
    m.data = tensor.bytes.data();
    return m;
  }

  StoredMatrix Copied(const std::string& name, const Shape& shape) const {
    const auto loaded = std::make_shared<GgufWeights::Loaded>(weights_.Get(name));
    StoredMatrix m = View(name, loaded->tensor, shape);
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
  OpenedWeights source{ParseModelConfig(weights->config_json(), path), weights->config_json(),
                       nullptr};
  weights->set_config(source.config);
  source.weights = std::move(weights);
  return source;
}

}  // namespace reckon
