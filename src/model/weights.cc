#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "formats/safetensors.h"
#include "tensor/block_quant.h"
#include "tensor/number_formats.h"

namespace reckon {
namespace {

// The released checkpoints repeat embedding and head in every MTP module.
struct Copy {
  std::string name, original;
};

std::vector<Copy> MtpCopies(const ModelConfig& c) {
  std::vector<Copy> copies;
  for (int64_t d = 0; d < c.num_nextn_predict_layers; ++d) {
    const std::string prefix = fmt::format("model.layers.{}.", c.num_hidden_layers + d);
    copies.push_back({prefix + "embed_tokens.weight", "model.embed_tokens.weight"});
    copies.push_back({prefix + "shared_head.head.weight",
                      c.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"});
  }
  return copies;
}

std::span<const std::byte> Bytes(const Model::NamedTensor& tensor) {
  return std::as_bytes(
      std::span<const float>(tensor.data, static_cast<size_t>(NumElements(tensor.shape))));
}

const TensorView& Find(const SafetensorsFolder& files, const Model::NamedTensor& tensor,
                       const ModelConfig& config, const std::string& folder) {
  if (!files.Has(tensor.name)) {
    std::string hint;
    for (int64_t d = 0; d < config.num_nextn_predict_layers; ++d) {
      if (tensor.name.rfind(fmt::format("model.layers.{}.", config.num_hidden_layers + d), 0) != 0)
        continue;
      hint = fmt::format(
          " (of MTP module {}; set num_nextn_predict_layers to {} in config.json to run without "
          "it)",
          d + 1, d);
    }
    Throw(ErrorKind::kNotFound,
          fmt::format("{}: tensor {} is missing{}", folder, tensor.name, hint));
  }
  const TensorView& view = files.Get(tensor.name);
  if (view.shape != tensor.shape) {
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}: tensor {} has shape {}, the config asks for {}", folder, tensor.name,
                      ToString(view.shape), ToString(tensor.shape)));
  }
  return view;
}

constexpr char kScaleSuffix[] = "_scale_inv";  // NAME.weight_scale_inv of DeepSeek's FP8

// DeepSeek's FP8 checkpoints: e4m3 times the scale of its block of 128 x 128 (arXiv:2412.19437,
// section 3.3.2); blocks at the lower and right edges may be partial.
void ConvertFp8(const TensorView& view, const TensorView& scale, float* out) {
  const int64_t rows = view.shape[0], cols = view.shape[1];
  const Shape blocks = {(rows + kQuantBlock - 1) / kQuantBlock,
                        (cols + kQuantBlock - 1) / kQuantBlock};
  if (scale.dtype != DType::kF32 || scale.shape != blocks) {
    Throw(ErrorKind::kCorrupt,
          fmt::format("its scales are {} {}, blocks of {} x {} need F32 {}", Name(scale.dtype),
                      ToString(scale.shape), kQuantBlock, kQuantBlock, ToString(blocks)));
  }
  std::vector<float> scales(scale.bytes.size() / sizeof(float));
  std::memcpy(scales.data(), scale.bytes.data(), scale.bytes.size());
  const auto* codes = reinterpret_cast<const uint8_t*>(view.bytes.data());
  for (int64_t r = 0; r < rows; ++r) {
    const float* row_scales = scales.data() + r / kQuantBlock * blocks[1];
    for (int64_t c = 0; c < cols; ++c) {
      out[r * cols + c] = F32FromE4M3(codes[r * cols + c]) * row_scales[c / kQuantBlock];
    }
  }
}

// What a tensor needs besides itself: the scales of an FP8 matrix, else null.
const TensorView* ScaleOf(const SafetensorsFolder& files, const TensorView& view,
                          const std::string& name) {
  if (view.dtype != DType::kF8E4M3) return nullptr;
  if (view.shape.size() != 2 || !files.Has(name + kScaleSuffix)) {
    Throw(ErrorKind::kNotFound, fmt::format("it is F8_E4M3 {} and {}{} is missing",
                                            ToString(view.shape), name, kScaleSuffix));
  }
  return &files.Get(name + kScaleSuffix);
}

void Convert(const SafetensorsFolder& files, const TensorView& view, const std::string& name,
             const std::string& folder, float* out) {
  try {
    if (const TensorView* scale = ScaleOf(files, view, name)) {
      ConvertFp8(view, *scale, out);
    } else {
      ConvertToF32(view, out);
    }
  } catch (const Error& error) {
    Throw(error.kind(), fmt::format("{}: tensor {}: {}", folder, name, error.what()));
  }
}

void CheckCopies(Model& model, const SafetensorsFolder& files, const std::string& folder) {
  const std::vector<Model::NamedTensor> tensors = model.named_tensors();
  for (const Copy& copy : MtpCopies(model.config())) {
    if (!files.Has(copy.name)) continue;
    for (const Model::NamedTensor& tensor : tensors) {
      if (tensor.name != copy.original) continue;
      const TensorView& view = files.Get(copy.name);
      std::vector<float> values(static_cast<size_t>(NumElements(tensor.shape)));
      if (view.shape == tensor.shape) Convert(files, view, copy.name, folder, values.data());
      if (view.shape != tensor.shape ||
          std::memcmp(values.data(), tensor.data, values.size() * sizeof(float)) != 0) {
        Throw(ErrorKind::kUnsupported,
              fmt::format(
                  "{}: {} differs from {}; MTP modules share embedding and head with the model",
                  folder, copy.name, copy.original));
      }
    }
  }
}

// A tensor nobody asked for would be silently lost.
void RefuseUnknown(Model& model, const SafetensorsFolder& files, const std::string& folder) {
  std::set<std::string> known;
  for (const Model::NamedTensor& tensor : model.named_tensors()) known.insert(tensor.name);
  for (const Copy& copy : MtpCopies(model.config())) known.insert(copy.name);
  for (const std::string& name : files.names()) {
    const bool buffer = name.find("rotary_emb.inv_freq") != std::string::npos;
    const bool scale = name.ends_with(kScaleSuffix) &&
                       known.count(name.substr(0, name.size() - (sizeof kScaleSuffix - 1))) > 0;
    const bool tied_head = model.config().tie_word_embeddings && name == "lm_head.weight";
    if (!known.count(name) && !buffer && !scale && !tied_head) {
      Throw(ErrorKind::kUnsupported,
            fmt::format("{}: tensor {} has no place in the model that config.json describes",
                        folder, name));
    }
  }
}

}  // namespace

std::unique_ptr<Model> LoadModel(const std::string& folder) {
  const std::string path = folder + "/config.json";
  auto model = std::make_unique<Model>(ParseModelConfig(ReadJsonFile(path), path));
  const SafetensorsFolder files(folder);
  RefuseUnknown(*model, files, folder);
  for (const Model::NamedTensor& tensor : model->named_tensors()) {
    const TensorView& view = Find(files, tensor, model->config(), folder);
    Convert(files, view, tensor.name, folder, tensor.data);
  }
  CheckCopies(*model, files, folder);
  model->Changed();
  return model;
}

void SaveModel(Model& model, const std::string& folder) {
  const std::vector<Model::NamedTensor> tensors = model.named_tensors();
  std::vector<NamedBytes> all;
  for (const Model::NamedTensor& tensor : tensors) {
    all.push_back({tensor.name, DType::kF32, tensor.shape, Bytes(tensor)});
  }
  for (const Copy& copy : MtpCopies(model.config())) {
    for (const Model::NamedTensor& tensor : tensors) {
      if (tensor.name == copy.original)
        all.push_back({copy.name, DType::kF32, tensor.shape, Bytes(tensor)});
    }
  }
  WriteSafetensors(folder + "/model.safetensors", all);
  WriteJsonFile(folder + "/config.json", ToJson(model.config()));
}

std::string WeightHash(Model& model) {
  std::vector<Model::NamedTensor> tensors = model.named_tensors();
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  Sha256 hash;
  for (const Model::NamedTensor& tensor : tensors) {
    hash.Update(tensor.name + " " + ToString(tensor.shape) + "\n");
    hash.Update(Bytes(tensor));
  }
  return hash.HexDigest();
}

}  // namespace reckon
