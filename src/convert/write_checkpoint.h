// Checkpoints written tensor by tensor in bounded memory: GGUF files and Hugging Face folders.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "convert/importance.h"
#include "convert/row_source.h"
#include "formats/gguf.h"

namespace reckon {

class ThreadPool;

struct WriteOptions {
  // None keeps the format that each tensor has now.
  std::optional<StorageFormat> format;
  const Importance* importance = nullptr;  // of the columns, where a block format is written
  ThreadPool* pool = nullptr;              // the bytes do not depend on it
  std::function<void(int64_t done, int64_t total)> on_progress;  // elements
};

// A GGUF file with `metadata` beyond general.* and the hyper-parameters: most often a vocabulary.
// Matrices take the format that GgufFormatFor chooses.
void WriteCheckpointAsGguf(const RowSource& source, const std::string& path,
                           const GgufMetadata& metadata, const WriteOptions& options);

// GGUF to GGUF: the metadata as it is, tensors whose format stays byte for byte.
void RequantizeGguf(const GgufModel& source, const std::string& path, const WriteOptions& options);

enum class FolderType { kAsStored, kF32, kF16, kBF16, kFp8 };

// config.json and safetensors into an existing folder. FP8: matrices of attention and feed-forward
// blocks as e4m3 with scales of 128 x 128 (arXiv:2412.19437, section 3.3.2), the rest BF16, as
// DeepSeek releases them. The router's correction bias stays F32. Block formats are kept as F32.
void WriteCheckpointAsFolder(const RowSource& source, const std::string& folder, FolderType type,
                             int64_t max_shard_bytes, const WriteOptions& options);

}  // namespace reckon
