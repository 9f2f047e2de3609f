#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <set>

#include "base/error.h"
#include "formats/gguf.h"

namespace reckon {
namespace {

constexpr uint64_t kDefaultAlignment = 32;

template <typename T>
void Append(std::string& bytes, T value) {
  const auto* begin = reinterpret_cast<const char*>(&value);
  bytes.append(begin, sizeof(value));
}

void AppendString(std::string& bytes, std::string_view text) {
  Append<uint64_t>(bytes, text.size());
  bytes += text;
}

uint64_t RoundUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

// Descriptions of the tensors, in the order and at the offsets in which their bytes will follow.
std::string DescribeTensors(const std::string& path, const std::vector<GgufTensorSpec>& tensors,
                            uint64_t alignment) {
  std::string bytes;
  std::set<std::string_view> seen;
  uint64_t offset = 0;
  for (const GgufTensorSpec& tensor : tensors) {
    if (!seen.insert(tensor.name).second) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: tensor \"{}\": the name is taken", path, tensor.name));
    }
    AppendString(bytes, tensor.name);
    Append<uint32_t>(bytes, static_cast<uint32_t>(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i > 0; --i) Append<int64_t>(bytes, tensor.shape[i - 1]);
    Append<uint32_t>(bytes, GgmlTypeOf(tensor.format));
    Append<uint64_t>(bytes, offset);
    offset += RoundUp(static_cast<uint64_t>(StoredBytes(tensor)), alignment);
  }
  return bytes;
}

uint64_t AlignmentOf(const GgufMetadata& metadata) {
  const std::optional<uint32_t> wanted = metadata.alignment();
  if (!wanted) return kDefaultAlignment;
  if (!std::has_single_bit(*wanted)) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("general.alignment {} is not a power of two", *wanted));
  }
  return *wanted;
}

void WritePadding(const WriteBytes& write, uint64_t position, uint64_t alignment) {
  constexpr std::array<char, 4096> kZeros = {};
  for (uint64_t left = RoundUp(position, alignment) - position; left > 0;) {
    const uint64_t piece = std::min<uint64_t>(left, kZeros.size());
    write(AsBytes({kZeros.data(), static_cast<size_t>(piece)}));
    left -= piece;
  }
}

}  // namespace

void GgufMetadata::Begin(std::string_view key, GgufType type) {
  if (key.empty() || key.size() > 65535) {
    Throw(ErrorKind::kInvalidArgument, fmt::format("a GGUF key of {} bytes", key.size()));
  }
  if (!keys_.emplace(key).second) {
    Throw(ErrorKind::kInvalidArgument, fmt::format("GGUF key \"{}\" is set twice", key));
  }
  AppendString(bytes_, key);
  Append(bytes_, static_cast<uint32_t>(type));
}

void GgufMetadata::BeginArray(std::string_view key, GgufType element, uint64_t count) {
  Begin(key, GgufType::kArray);
  Append(bytes_, static_cast<uint32_t>(element));
  Append(bytes_, count);
}

void GgufMetadata::AddU32(std::string_view key, uint32_t value) {
  Begin(key, GgufType::kU32);
  Append(bytes_, value);
  if (key == "general.alignment") alignment_ = value;
}
void GgufMetadata::AddI32(std::string_view key, int32_t value) {
  Begin(key, GgufType::kI32);
  Append(bytes_, value);
}
void GgufMetadata::AddU64(std::string_view key, uint64_t value) {
  Begin(key, GgufType::kU64);
  Append(bytes_, value);
}
void GgufMetadata::AddF32(std::string_view key, float value) {
  Begin(key, GgufType::kF32);
  Append(bytes_, value);
}
void GgufMetadata::AddBool(std::string_view key, bool value) {
  Begin(key, GgufType::kBool);
  Append<uint8_t>(bytes_, value ? 1 : 0);
}
void GgufMetadata::AddString(std::string_view key, std::string_view value) {
  Begin(key, GgufType::kString);
  AppendString(bytes_, value);
}
void GgufMetadata::AddStrings(std::string_view key, std::span<const std::string_view> values) {
  BeginArray(key, GgufType::kString, values.size());
  for (const std::string_view value : values) AppendString(bytes_, value);
}
void GgufMetadata::AddFloats(std::string_view key, std::span<const float> values) {
  BeginArray(key, GgufType::kF32, values.size());
  for (const float value : values) Append(bytes_, value);
}
void GgufMetadata::AddInts(std::string_view key, std::span<const int32_t> values) {
  BeginArray(key, GgufType::kI32, values.size());
  for (const int32_t value : values) Append(bytes_, value);
}

void GgufMetadata::Add(std::string_view key, const GgufValue& value) {
  if (key == "general.alignment") {  // of the file it came from, not of the one to be written
    AddU32(key, static_cast<uint32_t>(kDefaultAlignment));
    return;
  }
  if (value.type == GgufType::kArray) {
    BeginArray(key, value.element_type, value.count);
  } else {
    Begin(key, value.type);
  }
  bytes_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

int64_t StoredBytes(const GgufTensorSpec& tensor) {
  if (tensor.shape.size() > 4 || NumElements(tensor.shape) == 0) {
    Throw(ErrorKind::kInvalidArgument, fmt::format("tensor \"{}\": GGUF has no tensors of shape {}",
                                                   tensor.name, ToString(tensor.shape)));
  }
  const int64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  try {
    int64_t bytes = 0;
    if (__builtin_mul_overflow(RowBytes(tensor.format, columns),
                               NumElements(tensor.shape) / columns, &bytes)) {
      Throw(ErrorKind::kInvalidArgument, "shape " + ToString(tensor.shape) + " is too large");
    }
    return bytes;
  } catch (const Error& error) {
    Throw(error.kind(), fmt::format("tensor \"{}\": {}", tensor.name, error.what()));
  }
}

void WriteGguf(const std::string& path, const GgufMetadata& metadata,
               const std::vector<GgufTensorSpec>& tensors, const FillTensor& fill) {
  const uint64_t alignment = AlignmentOf(metadata);
  std::string header = "GGUF";
  Append<uint32_t>(header, 3);
  Append<uint64_t>(header, tensors.size());
  Append<uint64_t>(header, metadata.count());
  const std::string descriptions = DescribeTensors(path, tensors, alignment);
  WriteFileAtomically(path, [&](const WriteBytes& write) {
    for (const std::string_view part :
         {std::string_view(header), std::string_view(metadata.bytes()),
          std::string_view(descriptions)}) {
      write(AsBytes(part));
    }
    WritePadding(write, header.size() + metadata.bytes().size() + descriptions.size(), alignment);
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto wanted = static_cast<uint64_t>(StoredBytes(tensors[i]));
      WriteExactly(write, wanted, fmt::format("{}: tensor \"{}\"", path, tensors[i].name),
                   [&](const WriteBytes& counted) { fill(i, counted); });
      WritePadding(write, wanted, alignment);
    }
  });
}

}  // namespace reckon
