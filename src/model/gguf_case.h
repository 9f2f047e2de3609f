// For tests: a model written as a GGUF file, F32.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "formats/gguf_config.h"
#include "formats/gguf_weights.h"
#include "model/model.h"

namespace reckon {

inline void WriteGgufOf(Model& model, const std::string& path,
                        const std::string& chat_template = "") {
  const Json config = ToJson(model.config());
  std::map<std::string, Shape> shapes;
  std::map<std::string, const float*> values;
  for (const Model::NamedTensor& tensor : model.named_tensors()) {
    shapes[tensor.name] = tensor.shape;
    values[tensor.name] = tensor.data;
  }
  const std::vector<GgufPlanned> plan = PlanGguf(config, shapes);
  std::vector<GgufTensorSpec> specs;
  for (const GgufPlanned& planned : plan) specs.push_back(planned.spec);
  const ReadRow read = [&](const std::string& name, int64_t row, std::span<float> out) {
    std::memcpy(out.data(), values.at(name) + row * static_cast<int64_t>(out.size()),
                out.size_bytes());
  };
  GgufMetadata metadata = MetadataFromConfig(config, "test");
  const ModelConfig& c = model.config();
  if (c.bos_token_id >= 0) {
    metadata.AddU32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(c.bos_token_id));
  }
  if (c.eos_token_id >= 0) {
    metadata.AddU32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(c.eos_token_id));
  }
  if (!chat_template.empty()) metadata.AddString("tokenizer.chat_template", chat_template);
  WriteGguf(path, metadata, specs, [&](size_t i, const WriteBytes& write) {
    FillPlanned(plan[i], config, read, {}, write);
  });
}

}  // namespace reckon
