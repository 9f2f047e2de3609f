// Checkpoints from one form into another: Hugging Face folders and GGUF files, in any format that
// is written, with their tokenizers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "convert/importance.h"
#include "convert/write_checkpoint.h"

namespace reckon {

struct ConvertOptions {
  // "f32", "bf16", "q4_k", ... and "fp8" for folders; empty keeps what each tensor has.
  std::string type;
  const Importance* importance = nullptr;
  int64_t max_shard_bytes = int64_t{5} << 30;
  ThreadPool* pool = nullptr;
  std::function<void(int64_t done, int64_t total)> on_progress;  // elements
};

// Whether a path means a GGUF file rather than a folder.
bool IsGgufPath(const std::string& path);

// `from` and `to` are folders or .gguf files; `to` must not exist and appears whole or not at all.
// A folder's other files (tokenizer, template, generation config) go with it; into and out of GGUF
// the vocabulary and the chat template are carried over where GGUF has a tokenizer of that kind.
// Returns whether the tokenizer went along. Throws kInvalidArgument naming the type or path.
bool Convert(const std::string& from, const std::string& to, const ConvertOptions& options);

// A checkpoint of random weights for a config.json (see RandomRows); no tokenizer.
void Synthesize(const std::string& config_path, const std::string& to, uint64_t seed,
                const ConvertOptions& options);

}  // namespace reckon
