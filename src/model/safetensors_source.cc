#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "formats/fp8_checkpoint.h"
#include "formats/safetensors.h"
#include "model/weight_source.h"
#include "tensor/block_quant.h"

namespace reckon {
namespace {

std::string WithoutSuffix(const std::string& name, const std::string& suffix) {
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : std::string();
}

class SafetensorsSource : public WeightSource {
 public:
  explicit SafetensorsSource(const std::string& folder) : folder_(folder), files_(folder) {}
  const std::string& where() const override { return folder_; }
  bool Has(const std::string& name) const override { return files_.Has(name); }
  const std::string& PathOf(const std::string& name) const override { return files_.PathOf(name); }

  Shape ShapeOf(const std::string& name) const override { return Find(name).shape; }

  StoredMatrix Get(const std::string& name, const Shape& shape) const override {
    const TensorView& view = Find(name);
    if (view.shape != shape) {
      Refuse(ErrorKind::kCorrupt, name,
             fmt::format("has shape {}, the config asks for {}", ToString(view.shape),
                         ToString(shape)));
    }
    StoredMatrix m;
    m.rows = shape.size() == 1 ? 1 : shape[0];
    m.cols = shape.back();
    m.data = view.bytes.data();
    switch (view.dtype) {
      case DType::kF32:
        m.format = StorageFormat::kF32;
        break;
      case DType::kF16:
        m.format = StorageFormat::kF16;
        break;
      case DType::kBF16:
        m.format = StorageFormat::kBF16;
        break;
      case DType::kF8E4M3:
        m.fp8_scales = Scales(name, m);
        break;
      default:
        Refuse(ErrorKind::kUnsupported, name,
               fmt::format("is {}; a weight is F32, F16, BF16 or F8_E4M3", Name(view.dtype)));
    }
    return m;
  }

  // Scales belong to their weights; the frequencies that old checkpoints keep are computed.
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const std::string& name : files_.names()) {
      const std::string weight = WithoutSuffix(name, kFp8ScaleSuffix);
      const bool scale = !weight.empty() && files_.Has(weight);
      if (!scale && name.find("rotary_emb.inv_freq") == std::string::npos) names.push_back(name);
    }
    return names;
  }

 private:
  const TensorView& Find(const std::string& name) const {
    if (!files_.Has(name)) Refuse(ErrorKind::kNotFound, name, "is missing");
    return files_.Get(name);
  }

  [[noreturn]] void Refuse(ErrorKind kind, const std::string& name,
                           const std::string& message) const {
    const std::string& where = files_.Has(name) ? files_.PathOf(name) : folder_;
    Throw(kind, fmt::format("{}: tensor {} {}", where, name, message));
  }

  std::shared_ptr<const std::vector<float>> Scales(const std::string& name,
                                                   const StoredMatrix& m) const {
    if (!files_.Has(name + kFp8ScaleSuffix)) {
      Refuse(ErrorKind::kNotFound, name + kFp8ScaleSuffix,
             "is missing, the scales of an FP8 weight");
    }
    const TensorView& view = files_.Get(name + kFp8ScaleSuffix);
    const Shape blocks = Fp8ScaleShape({m.rows, m.cols});
    if (view.dtype != DType::kF32 || view.shape != blocks) {
      Refuse(ErrorKind::kCorrupt, name + kFp8ScaleSuffix,
             fmt::format("is {} {}; blocks of {} x {} need F32 {}", Name(view.dtype),
                         ToString(view.shape), kQuantBlock, kQuantBlock, ToString(blocks)));
    }
    auto scales = std::make_shared<std::vector<float>>(view.bytes.size() / sizeof(float));
    std::memcpy(scales->data(), view.bytes.data(), view.bytes.size());
    return scales;
  }

  std::string folder_;
  SafetensorsFolder files_;
};

}  // namespace

std::unique_ptr<WeightSource> OpenSafetensorsSource(const std::string& folder) {
  return std::make_unique<SafetensorsSource>(folder);
}

OpenedWeights OpenWeights(const std::string& path) {
  if (path.ends_with(".gguf")) return OpenGgufSource(path);
  const std::string config = path + "/config.json";
  OpenedWeights opened;
  opened.config_json = ReadJsonFile(config);
  opened.config = ParseModelConfig(opened.config_json, config);
  opened.weights = OpenSafetensorsSource(path);
  return opened;
}

}  // namespace reckon
