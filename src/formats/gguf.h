// GGUF files: a header, key-value metadata, tensor descriptions, then tensor bytes
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Versions 2 and 3, little-endian, are
// read; version 3 is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "tensor/block_formats.h"
#include "tensor/tensor.h"

namespace reckon {

// As numbered in files.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
const char* Name(GgufType type);

// A value as it lies in the file, bounds checked when the file was opened.
struct GgufValue {
  GgufType type = GgufType::kU8;
  GgufType element_type = GgufType::kU8;  // of an array
  uint64_t count = 0;                     // of an array
  // What follows the type in the file; of an array, what follows element type and count.
  std::span<const std::byte> bytes;
};

// A tensor whose rows are stored in `format`.
struct StoredTensor {
  StorageFormat format = StorageFormat::kF32;
  Shape shape;                       // row-major: the reverse of ggml's ne
  std::span<const std::byte> bytes;  // in the mapping of its file

  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const;  // the product of all dimensions but the last
  const std::byte* row(int64_t r) const;
};

// A memory-mapped file. The parser is strict: every count and length is checked against the bytes
// that are left before anything is allocated, no key and no tensor twice, known types, tensors
// aligned, without overlap and within the file. Throws Error{kCorrupt or kUnsupported} naming the
// file and the key or tensor. Bytes after the last tensor are ignored, as other readers do.
class GgufFile {
 public:
  explicit GgufFile(const std::string& path);
  ~GgufFile();
  GgufFile(GgufFile&&) noexcept;
  const std::string& path() const;
  uint32_t version() const;

  // In the order of the file. Keys are views of it.
  const std::vector<std::pair<std::string_view, GgufValue>>& metadata() const;
  const GgufValue* Find(std::string_view key) const;  // null if absent
  bool HasKey(std::string_view key) const { return Find(key) != nullptr; }
  // A key that is absent takes the fallback; without one it is kNotFound. A value of another type
  // is kCorrupt. Both messages name file and key. Integers and floats are accepted in any width;
  // an integer where a float is wanted too.
  std::string_view String(std::string_view key,
                          std::optional<std::string_view> fallback = {}) const;
  int64_t Int(std::string_view key, std::optional<int64_t> fallback = {}) const;
  double Number(std::string_view key, std::optional<double> fallback = {}) const;
  bool Bool(std::string_view key, std::optional<bool> fallback = {}) const;
  // Arrays; an absent one is empty where `optional`.
  size_t ArraySize(std::string_view key) const;  // 0 if absent or no array
  std::vector<std::string_view> Strings(std::string_view key, bool optional = false) const;
  std::vector<int64_t> Ints(std::string_view key, bool optional = false) const;
  std::vector<float> Floats(std::string_view key, bool optional = false) const;

  const std::map<std::string, StoredTensor, std::less<>>& tensors() const;
  bool Has(std::string_view name) const;
  const StoredTensor& Get(std::string_view name) const;  // throws kNotFound naming the file

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A model in one file or in a set "<name>-00001-of-000NN.gguf", opened by any file of the set.
// Throws naming a missing file, a file of another set, a tensor that is in two.
class GgufModel {
 public:
  explicit GgufModel(const std::string& path);
  const GgufFile& metadata() const { return files_.front(); }  // the first file holds it all
  const std::vector<GgufFile>& files() const { return files_; }
  bool Has(std::string_view name) const;
  const StoredTensor& Get(std::string_view name) const;
  std::vector<std::string> names() const;  // ascending

 private:
  std::vector<GgufFile> files_;
  std::map<std::string, size_t, std::less<>> file_of_;
};

// Metadata to be written, in the order of the calls. A key twice is kInvalidArgument.
class GgufMetadata {
 public:
  void AddU32(std::string_view key, uint32_t value);
  void AddI32(std::string_view key, int32_t value);
  void AddU64(std::string_view key, uint64_t value);
  void AddF32(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddString(std::string_view key, std::string_view value);
  void AddStrings(std::string_view key, std::span<const std::string_view> values);
  void AddFloats(std::string_view key, std::span<const float> values);
  void AddInts(std::string_view key, std::span<const int32_t> values);
  // A copy from a file; but general.alignment becomes 32, which is what the writer keeps to.
  void Add(std::string_view key, const GgufValue& value);
  bool Has(std::string_view key) const { return keys_.count(key) > 0; }
  uint64_t count() const { return keys_.size(); }
  const std::string& bytes() const { return bytes_; }  // as in the file
  std::optional<uint32_t> alignment() const { return alignment_; }

 private:
  void Begin(std::string_view key, GgufType type);
  void BeginArray(std::string_view key, GgufType element, uint64_t count);
  std::set<std::string, std::less<>> keys_;
  std::string bytes_;
  std::optional<uint32_t> alignment_;
};

struct GgufTensorSpec {
  std::string name;
  StorageFormat format = StorageFormat::kF32;
  Shape shape;  // row-major, up to 4 dimensions
};
int64_t StoredBytes(const GgufTensorSpec& tensor);  // throws unless rows are whole blocks

// Tensors are written in the order of `tensors`; `fill` is asked for the bytes of one after the
// other and writes them in any pieces, so that no more than a piece need be in memory. Alignment 32
// (or general.alignment, where the metadata has it as U32). Writes aside, fsyncs, renames; on any
// failure removes what it wrote.
using FillTensor = std::function<void(size_t index, const WriteBytes& write)>;
void WriteGguf(const std::string& path, const GgufMetadata& metadata,
               const std::vector<GgufTensorSpec>& tensors, const FillTensor& fill);

// The number by which files call a format, and back (enum ggml_type); throws where there is none.
uint32_t GgmlTypeOf(StorageFormat format);
std::optional<StorageFormat> FormatOfGgmlType(uint32_t type);

}  // namespace reckon
