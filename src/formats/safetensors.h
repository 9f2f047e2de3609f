// Safetensors files: an 8-byte little-endian header length, a JSON header, then tensor bytes
// (https://github.com/huggingface/safetensors#format).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "tensor/tensor.h"

namespace reckon {

struct TensorView {
  DType dtype;
  Shape shape;
  std::span<const std::byte> bytes;  // in the mapping of its SafetensorsFile
};

// A memory-mapped file. The parser is strict: header length within the file, no overlap, no hole,
// no duplicate, shape times dtype equals the byte range; throws Error{kCorrupt} naming file and
// tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  const std::string& path() const;
  const std::map<std::string, TensorView>& tensors() const;
  const std::map<std::string, std::string>& metadata() const;
  bool Has(const std::string& name) const;
  const TensorView& Get(const std::string& name) const;          // throws kNotFound naming the file
  Tensor LoadF32(const std::string& name) const;                 // F32, BF16, F16 converted
  std::vector<int64_t> LoadInts(const std::string& name) const;  // I64, I32

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// All tensors of a Hugging Face folder: model.safetensors, or the shards that
// model.safetensors.index.json names. Throws naming a missing shard.
class SafetensorsFolder {
 public:
  explicit SafetensorsFolder(const std::string& folder);
  bool Has(const std::string& name) const;
  const TensorView& Get(const std::string& name) const;
  const std::string& PathOf(const std::string& name) const;  // of the file that has it
  std::vector<std::string> names() const;

 private:
  const SafetensorsFile& FileOf(const std::string& name) const;

  std::string folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, size_t> file_of_;
};

struct NamedBytes {
  std::string name;
  DType dtype;
  Shape shape;
  std::span<const std::byte> bytes;
};
// Writes aside, fsyncs, renames; on any failure removes what it wrote and throws Error{kIo} with
// the path and the system's reason.
void WriteSafetensors(const std::string& path, const std::vector<NamedBytes>& tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

struct SafetensorsSpec {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};
// Writes into an existing folder: model.safetensors, or, where all tensors take more than
// max_shard_bytes, model-00001-of-000NN.safetensors and so on with model.safetensors.index.json.
// Tensors fill the shards in the order given; one that is larger than a shard has its own. `fill`
// is asked for the bytes of one tensor after the other, each once, and writes them in any pieces,
// so that no more than a piece need be in memory; it must not depend on the order in which it is
// asked. On any failure every file of this call is removed.
void WriteSafetensorsFolder(const std::string& folder, const std::vector<SafetensorsSpec>& tensors,
                            int64_t max_shard_bytes,
                            const std::function<void(size_t index, const WriteBytes& write)>& fill,
                            const std::map<std::string, std::string>& metadata = {
                                {"format", "pt"}});

void ConvertToF32(const TensorView& view, float* out);

}  // namespace reckon
