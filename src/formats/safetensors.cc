#include "formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "formats/json.h"
#include "formats/mapped_file.h"
#include "tensor/number_formats.h"

namespace reckon {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

// The limit of the reference implementation.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kLengthBytes = 8;
constexpr const char* kMetadataKey = "__metadata__";

constexpr DType kAllDTypes[] = {DType::kF32,    DType::kF16, DType::kBF16, DType::kF8E4M3,
                                DType::kF8E5M2, DType::kI8,  DType::kU8,   DType::kI32,
                                DType::kU32,    DType::kI64, DType::kF64,  DType::kBool,
                                DType::kI16,    DType::kU16, DType::kU64};

[[noreturn]] void Corrupt(const std::string& where, const std::string& cause) {
  Throw(ErrorKind::kCorrupt, where + ": " + cause);
}

DType ParseDType(const Json& json, const std::string& where) {
  if (!json.is_string()) Corrupt(where, "dtype is not a string");
  const auto& name = json.get_ref<const std::string&>();
  for (DType dtype : kAllDTypes) {
    if (name == Name(dtype)) return dtype;
  }
  Throw(ErrorKind::kUnsupported, fmt::format("{}: dtype \"{}\" is not known", where, name));
}

std::optional<int64_t> NonNegative(const Json& json) {
  if (!json.is_number_integer()) return {};
  if (json.is_number_unsigned()) {
    const auto value = json.get<uint64_t>();
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return {};
    return static_cast<int64_t>(value);
  }
  const auto value = json.get<int64_t>();
  return value < 0 ? std::nullopt : std::optional<int64_t>(value);
}

// The text of the header; writers pad it with spaces so that the data is aligned.
std::string_view HeaderText(std::span<const std::byte> file, const std::string& path) {
  if (file.size() < kLengthBytes) {
    Corrupt(path, fmt::format("{} bytes; too short for a header length of 8 bytes", file.size()));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    Corrupt(path,
            fmt::format("header of {} bytes; at most {} are allowed", length, kMaxHeaderBytes));
  }
  if (length > file.size() - kLengthBytes) {
    Corrupt(path, fmt::format("header of {} bytes in a file of {}; the file is cut short", length,
                              file.size()));
  }
  const auto* text = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  if (length == 0 || text[0] != '{') Corrupt(path, "the header does not begin with '{'");
  return {text, static_cast<size_t>(length)};
}

struct Entry {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  int64_t begin = 0, end = 0;  // bytes from the start of the data
};

Entry ParseEntry(const std::string& name, const Json& json, const std::string& path) {
  const std::string where = fmt::format("{}: tensor \"{}\"", path, name);
  if (!json.is_object()) Corrupt(where, "its header entry is not an object");
  for (auto item = json.begin(); item != json.end(); ++item) {
    if (item.key() != "dtype" && item.key() != "shape" && item.key() != "data_offsets") {
      Corrupt(where, fmt::format("unknown header key \"{}\"", item.key()));
    }
  }
  if (json.size() != 3) Corrupt(where, "wants dtype, shape and data_offsets");
  Entry entry;
  entry.name = name;
  entry.dtype = ParseDType(json["dtype"], where);
  if (!json["shape"].is_array()) Corrupt(where, "shape is not an array");
  int64_t bytes = static_cast<int64_t>(SizeOf(entry.dtype));
  bool overflow = false;
  for (const Json& element : json["shape"]) {
    const std::optional<int64_t> dim = NonNegative(element);
    if (!dim) Corrupt(where, fmt::format("shape {} has a bad dimension", json["shape"].dump()));
    entry.shape.push_back(*dim);
    overflow = __builtin_mul_overflow(bytes, *dim, &bytes) || overflow;
  }
  if (overflow) Corrupt(where, fmt::format("shape {} overflows", ToString(entry.shape)));
  const Json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !NonNegative(offsets[0]) ||
      !NonNegative(offsets[1]) || *NonNegative(offsets[0]) > *NonNegative(offsets[1])) {
    Corrupt(where, "data_offsets is not [begin, end] with begin <= end");
  }
  entry.begin = *NonNegative(offsets[0]);
  entry.end = *NonNegative(offsets[1]);
  if (entry.end - entry.begin != bytes) {
    Corrupt(where,
            fmt::format("shape {} of {} takes {} bytes, data_offsets give {}",
                        ToString(entry.shape), Name(entry.dtype), bytes, entry.end - entry.begin));
  }
  return entry;
}

// Every byte of the data belongs to exactly one tensor.
void CheckLayout(std::vector<Entry>& entries, int64_t data_bytes, const std::string& path) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t end = 0;
  for (const Entry& entry : entries) {
    const std::string where = fmt::format("{}: tensor \"{}\"", path, entry.name);
    if (entry.end > data_bytes) {
      Corrupt(where, fmt::format("ends at byte {} of {} bytes of data; the file is cut short",
                                 entry.end, data_bytes));
    }
    if (entry.begin < end) Corrupt(where, "overlaps the tensor before it");
    if (entry.begin > end) {
      Corrupt(where, fmt::format("leaves a hole of {} bytes before it", entry.begin - end));
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    Corrupt(path, fmt::format("{} bytes of data belong to no tensor", data_bytes - end));
  }
}

template <typename T>
T LoadAs(const std::byte* bytes, size_t index) {  // tensor data need not be aligned
  T value;
  std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

struct SafetensorsFile::Impl {
  explicit Impl(const std::string& file_path) : path(file_path), file(file_path) {}
  std::string path;
  MappedFile file;
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> metadata;
};

SafetensorsFile::SafetensorsFile(const std::string& path) : impl_(std::make_unique<Impl>(path)) {
  const std::span<const std::byte> bytes = impl_->file.bytes();
  const std::string_view header = HeaderText(bytes, path);
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + header.size());
  const Json json = ParseJson(header, path + ": header", 4);
  std::vector<Entry> entries;
  for (auto item = json.begin(); item != json.end(); ++item) {
    if (item.key() != kMetadataKey) {
      entries.push_back(ParseEntry(item.key(), item.value(), path));
      continue;
    }
    if (!item.value().is_object()) Corrupt(path, "__metadata__ is not an object");
    for (auto pair = item.value().begin(); pair != item.value().end(); ++pair) {
      if (!pair.value().is_string()) Corrupt(path, "__metadata__ has a value that is no string");
      impl_->metadata[pair.key()] = pair.value().get<std::string>();
    }
  }
  CheckLayout(entries, static_cast<int64_t>(data.size()), path);
  for (Entry& entry : entries) {
    const auto view = data.subspan(static_cast<size_t>(entry.begin),
                                   static_cast<size_t>(entry.end - entry.begin));
    impl_->tensors.emplace(entry.name, TensorView{entry.dtype, std::move(entry.shape), view});
  }
}

SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;

const std::string& SafetensorsFile::path() const { return impl_->path; }
const std::map<std::string, TensorView>& SafetensorsFile::tensors() const { return impl_->tensors; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return impl_->metadata;
}
bool SafetensorsFile::Has(const std::string& name) const { return impl_->tensors.count(name) > 0; }

const TensorView& SafetensorsFile::Get(const std::string& name) const {
  const auto found = impl_->tensors.find(name);
  if (found == impl_->tensors.end()) {
    Throw(ErrorKind::kNotFound, fmt::format("{}: has no tensor \"{}\"", impl_->path, name));
  }
  return found->second;
}

Tensor SafetensorsFile::LoadF32(const std::string& name) const {
  const TensorView& view = Get(name);
  Tensor tensor(DType::kF32, view.shape);
  try {
    ConvertToF32(view, tensor.f32());
  } catch (const Error& error) {
    Throw(error.kind(), fmt::format("{}: tensor \"{}\": {}", impl_->path, name, error.what()));
  }
  return tensor;
}

std::vector<int64_t> SafetensorsFile::LoadInts(const std::string& name) const {
  const TensorView& view = Get(name);
  const size_t count = view.bytes.size() / SizeOf(view.dtype);
  std::vector<int64_t> values(count);
  for (size_t i = 0; i < count; ++i) {
    if (view.dtype == DType::kI64) {
      values[i] = LoadAs<int64_t>(view.bytes.data(), i);
    } else if (view.dtype == DType::kI32) {
      values[i] = LoadAs<int32_t>(view.bytes.data(), i);
    } else {
      Throw(ErrorKind::kUnsupported, fmt::format("{}: tensor \"{}\": {} where I64 or I32 is wanted",
                                                 impl_->path, name, Name(view.dtype)));
    }
  }
  return values;
}

void ConvertToF32(const TensorView& view, float* out) {
  const size_t count = view.bytes.size() / SizeOf(view.dtype);
  switch (view.dtype) {
    case DType::kF32:
      if (count > 0) std::memcpy(out, view.bytes.data(), view.bytes.size());
      return;
    case DType::kBF16:
      for (size_t i = 0; i < count; ++i) {
        out[i] = F32FromBF16(LoadAs<uint16_t>(view.bytes.data(), i));
      }
      return;
    case DType::kF16:
      for (size_t i = 0; i < count; ++i) {
        out[i] = F32FromF16(LoadAs<uint16_t>(view.bytes.data(), i));
      }
      return;
    default:
      Throw(ErrorKind::kUnsupported,
            fmt::format("{} where F32, BF16 or F16 is wanted", Name(view.dtype)));
  }
}

SafetensorsFolder::SafetensorsFolder(const std::string& folder) : folder_(folder) {
  const std::string single = folder + "/model.safetensors";
  const std::string index_path = folder + "/model.safetensors.index.json";
  std::map<std::string, std::vector<std::string>> names_of;  // shard file name to tensor names
  if (FileExists(single)) {
    names_of["model.safetensors"] = {};
  } else if (FileExists(index_path)) {
    const Json index = ReadJsonFile(index_path);
    if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
      Corrupt(index_path, "has no object \"weight_map\"");
    }
    const Json& weight_map = index["weight_map"];
    for (auto item = weight_map.begin(); item != weight_map.end(); ++item) {
      const std::string shard = item.value().is_string() ? item.value().get<std::string>() : "";
      if (shard.empty() || shard.find('/') != shard.npos) {
        Corrupt(index_path, fmt::format("weight_map[\"{}\"] is not a file name", item.key()));
      }
      names_of[shard].push_back(item.key());
    }
  } else {
    Throw(
        ErrorKind::kNotFound,
        fmt::format("{}: has neither model.safetensors nor model.safetensors.index.json", folder));
  }
  for (const auto& [shard, names] : names_of) {
    const std::string path = folder + "/" + shard;
    if (!FileExists(path)) {
      Throw(ErrorKind::kNotFound,
            fmt::format("{}: missing, though {} names it for {} tensors, the first \"{}\"", path,
                        index_path, names.size(), names.empty() ? "" : names.front()));
    }
    files_.emplace_back(path);
    for (const auto& [name, view] : files_.back().tensors()) {
      const auto [at, is_new] = file_of_.emplace(name, files_.size() - 1);
      if (!is_new) {
        Corrupt(path, fmt::format("tensor \"{}\" is also in {}", name, files_[at->second].path()));
      }
    }
    for (const std::string& name : names) {
      if (!files_.back().Has(name)) {
        Corrupt(path, fmt::format("has no tensor \"{}\", though {} says so", name, index_path));
      }
    }
  }
}

bool SafetensorsFolder::Has(const std::string& name) const { return file_of_.count(name) > 0; }

const SafetensorsFile& SafetensorsFolder::FileOf(const std::string& name) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end()) {
    Throw(ErrorKind::kNotFound, fmt::format("{}: has no tensor \"{}\"", folder_, name));
  }
  return files_[found->second];
}

const TensorView& SafetensorsFolder::Get(const std::string& name) const {
  return FileOf(name).Get(name);
}
const std::string& SafetensorsFolder::PathOf(const std::string& name) const {
  return FileOf(name).path();
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : file_of_) names.push_back(name);
  return names;
}

}  // namespace reckon
