#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "formats/safetensors.h"

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

void Convert(const TensorView& view, const std::string& name, const std::string& folder,
             float* out) {
  try {
    ConvertToF32(view, out);
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
      if (view.shape == tensor.shape) Convert(view, copy.name, folder, values.data());
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
    const bool tied_head = model.config().tie_word_embeddings && name == "lm_head.weight";
    if (!known.count(name) && !buffer && !tied_head) {
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
    Convert(view, tensor.name, folder, tensor.data);
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
