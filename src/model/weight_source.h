// Where a model's weights come from: tensors under their Hugging Face names, read where they lie.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "tensor/stored_matrix.h"
#include "tensor/tensor.h"

namespace reckon {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual const std::string& where() const = 0;  // for messages
  virtual bool Has(const std::string& name) const = 0;
  virtual const std::string& PathOf(const std::string& name) const = 0;  // of the file that has it
  virtual Shape ShapeOf(const std::string& name) const = 0;              // throws as Get does
  // [shape[0], shape[1]], or [1, shape[0]] of a vector. The bytes are this source's. Throws naming
  // the tensor that is missing, or of another shape, or of a type that is no weight's.
  virtual StoredMatrix Get(const std::string& name, const Shape& shape) const = 0;
  // Every tensor that the model must have a place for.
  virtual std::vector<std::string> names() const = 0;
};

// A Hugging Face folder: model.safetensors or its shards; F32, F16, BF16, and DeepSeek's FP8.
std::unique_ptr<WeightSource> OpenSafetensorsSource(const std::string& folder);

struct OpenedWeights {
  ModelConfig config;
  Json config_json;  // as the folder has it, or as ConfigFromGguf makes it
  std::unique_ptr<WeightSource> weights;
};
// A GGUF file, or any file of a set, of architecture deepseek2, qwen2 or llama.
OpenedWeights OpenGgufSource(const std::string& path);
// Either: a path that ends in .gguf is a file, any other a folder.
OpenedWeights OpenWeights(const std::string& path);

}  // namespace reckon
