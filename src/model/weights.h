// Model weights from a Hugging Face folder (config.json, model.safetensors or shards) or a GGUF
// file, and to a Hugging Face folder.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "model/model.h"

namespace reckon {

// Every tensor of a checkpoint of this model, by its Hugging Face name; no memory for values.
std::map<std::string, Shape> TensorShapes(const ModelConfig& config);

// Throws naming the missing, unexpected-shape or ill-typed tensor and the file.
std::unique_ptr<Model> LoadModel(const std::string& path);
// The same for running only: matrices stay as they are stored, in the mapped files (F32, F16, BF16,
// FP8 with its block scales, GGUF's block formats), and are read as f32 a few rows at a time;
// opening touches none of them (but for a kv_b that a GGUF file has in two parts). In f32 precision
// every result has the bits of LoadModel's.
std::unique_ptr<Model> OpenModel(const std::string& path);
// Writes config.json and model.safetensors into an existing folder, f32. MTP modules are written as
// layers num_hidden_layers.. with their copies of embedding and head, as released.
void SaveModel(Model& model, const std::string& folder);
// SHA-256 over names, shapes and bytes of all tensors in ascending order of name.
std::string WeightHash(Model& model);

}  // namespace reckon
