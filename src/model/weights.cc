#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "formats/safetensors.h"
#include "model/layers.h"
#include "model/weight_source.h"

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

// What to do about a tensor that is missing because it belongs to an MTP module.
std::string MtpHint(const ModelConfig& config, const std::string& name) {
  for (int64_t d = 0; d < config.num_nextn_predict_layers; ++d) {
    if (!name.starts_with(fmt::format("model.layers.{}.", config.num_hidden_layers + d))) continue;
    return fmt::format(
        " (of MTP module {}; set num_nextn_predict_layers to {} in config.json to run without it)",
        d + 1, d);
  }
  return {};
}

void Require(const WeightSource& source, const ModelConfig& config, const std::string& name) {
  if (source.Has(name)) return;
  Throw(ErrorKind::kNotFound,
        fmt::format("{}: tensor {} is missing{}", source.where(), name, MtpHint(config, name)));
}

// A tensor of every layer and of every expert is there. Without this a config.json of a line could
// ask for the names of a hundred thousand million tensors.
void RequireLayers(const WeightSource& source, const ModelConfig& c) {
  for (int64_t i = 0; i < c.num_hidden_layers + c.num_nextn_predict_layers; ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    Require(source, c, prefix + "input_layernorm.weight");
    if (!c.is_moe_layer(i)) continue;
    for (int64_t e = 0; e < c.n_routed_experts; ++e) {
      Require(source, c, fmt::format("{}mlp.experts.{}.down_proj.weight", prefix, e));
    }
  }
}

void ReadAll(const StoredMatrix& matrix, float* out) {
  for (int64_t r = 0; r < matrix.rows; ++r) matrix.Read(r, 0, matrix.cols, out + r * matrix.cols);
}

void CheckCopies(Model& model, const WeightSource& source) {
  const std::vector<Model::NamedTensor> tensors = model.named_tensors();
  for (const Copy& copy : MtpCopies(model.config())) {
    if (!source.Has(copy.name)) continue;
    for (const Model::NamedTensor& tensor : tensors) {
      if (tensor.name != copy.original) continue;
      std::vector<float> values(static_cast<size_t>(NumElements(tensor.shape)));
      ReadAll(source.Get(copy.name, tensor.shape), values.data());
      if (std::memcmp(values.data(), tensor.data, values.size() * sizeof(float)) != 0) {
        Throw(ErrorKind::kUnsupported,
              fmt::format(
                  "{}: {} differs from {}; MTP modules share embedding and head with the model",
                  source.where(), copy.name, copy.original));
      }
    }
  }
}

// A tensor nobody asked for would be silently lost.
void RefuseUnknown(const WeightSource& source, const ModelConfig& config,
                   const std::vector<Model::NamedTensor>& tensors) {
  std::set<std::string> known;
  for (const Model::NamedTensor& tensor : tensors) known.insert(tensor.name);
  for (const Copy& copy : MtpCopies(config)) known.insert(copy.name);
  if (config.tie_word_embeddings) known.insert("lm_head.weight");
  for (const std::string& name : source.names()) {
    if (known.count(name) > 0) continue;
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: tensor {} has no place in the model that config.json describes",
                      source.PathOf(name), name));
  }
}

// Every tensor is there with its shape: what is allocated for them is a multiple of what the files
// hold, whatever the config says.
void CheckTensors(const WeightSource& source, const ModelConfig& config) {
  RequireLayers(source, config);
  const std::vector<Model::NamedTensor> tensors = WeightSet(config, WeightStorage::kNone).named;
  RefuseUnknown(source, config, tensors);
  for (const Model::NamedTensor& tensor : tensors) {
    Require(source, config, tensor.name);
    source.Get(tensor.name, tensor.shape);
  }
}

std::unique_ptr<Model> Fill(const OpenedWeights& opened, WeightStorage storage) {
  CheckTensors(*opened.weights, opened.config);
  auto model = std::make_unique<Model>(opened.config, storage);
  for (const Model::NamedTensor& tensor : model->named_tensors()) {
    const StoredMatrix matrix = opened.weights->Get(tensor.name, tensor.shape);
    if (tensor.data == nullptr) {
      tensor.parameter->stored().Append(matrix);
    } else {
      ReadAll(matrix, tensor.data);
    }
  }
  return model;
}

}  // namespace

std::map<std::string, Shape> TensorShapes(const ModelConfig& config) {
  std::map<std::string, Shape> shapes;
  for (const Model::NamedTensor& tensor : WeightSet(config, WeightStorage::kNone).named) {
    shapes[tensor.name] = tensor.shape;
  }
  return shapes;
}

std::unique_ptr<Model> LoadModel(const std::string& path) {
  const OpenedWeights opened = OpenWeights(path);
  auto model = Fill(opened, WeightStorage::kF32);
  CheckCopies(*model, *opened.weights);
  model->Changed();
  return model;
}

std::unique_ptr<Model> OpenModel(const std::string& path) {
  OpenedWeights opened = OpenWeights(path);
  auto model = Fill(opened, WeightStorage::kAsStored);
  model->KeepAlive(std::move(opened.weights));
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
