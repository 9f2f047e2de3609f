#include "formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>

#include "base/error.h"
#include "formats/mapped_file.h"

namespace reckon {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr size_t kMaxNameBytes = 65535;  // of keys, by the specification; here of tensors too
constexpr int kMaxArrayDepth = 4;        // arrays of arrays: no known file has one
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32, kMaxAlignment = uint64_t{1} << 24;
// The least bytes of a key (length, type, one byte of value) and of a tensor's description.
constexpr uint64_t kMinKeyBytes = 8 + 4 + 1, kMinTensorBytes = 8 + 4 + 4 + 8;

[[noreturn]] void Corrupt(const std::string& where, const std::string& cause) {
  Throw(ErrorKind::kCorrupt, where + ": " + cause);
}

size_t ScalarBytes(GgufType type) {  // 0: string or array
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    default:
      return 0;
  }
}

template <typename T>
T LoadAs(const std::byte* bytes) {  // nothing in the file need be aligned
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// Names come from the file: a message shows a bounded piece, its odd bytes as '?'.
std::string Printable(std::string_view name) {
  std::string text(name.substr(0, 100));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
  }
  return name.size() > 100 ? text + "..." : text;
}

// Walks the bytes of a file. `where` (file, then the key or tensor being read) begins messages.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string path)
      : bytes_(bytes), where_(std::move(path)) {}

  void set_where(std::string where) { where_ = std::move(where); }
  const std::string& where() const { return where_; }
  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> Take(uint64_t count, const char* what) {
    if (count > left()) {
      Corrupt(where_, fmt::format("{} of {} bytes at byte {} of {}; the file is cut short or the "
                                  "length is wrong",
                                  what, count, position_, bytes_.size()));
    }
    const auto taken = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += taken.size();
    return taken;
  }
  template <typename T>
  T Read(const char* what) {
    return LoadAs<T>(Take(sizeof(T), what).data());
  }
  std::string_view ReadString(const char* what, uint64_t limit) {
    const auto length = Read<uint64_t>(what);
    if (length > limit) {
      Corrupt(where_, fmt::format("{} of {} bytes; at most {} are allowed", what, length, limit));
    }
    const auto taken = Take(length, what);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  GgufType ReadType() {
    const auto number = Read<uint32_t>("type");
    if (number > static_cast<uint32_t>(GgufType::kF64)) {
      Corrupt(where_, fmt::format("value type {} is not known", number));
    }
    return static_cast<GgufType>(number);
  }

  // Steps over a value of this type and returns it.
  GgufValue ReadValue(GgufType type, int depth) {
    GgufValue value;
    value.type = type;
    if (type == GgufType::kArray) {
      if (depth >= kMaxArrayDepth) {
        Corrupt(where_, fmt::format("arrays nested more than {} deep", kMaxArrayDepth));
      }
      value.element_type = ReadType();
      value.count = Read<uint64_t>("array length");
    }
    const size_t begin = position_;
    if (type == GgufType::kArray) {
      SkipElements(value, depth);
    } else if (type == GgufType::kString) {
      ReadString("string", std::numeric_limits<uint64_t>::max());
    } else {
      const auto bytes = Take(ScalarBytes(type), "value");
      if (type == GgufType::kBool) CheckBools(bytes);
    }
    value.bytes = bytes_.subspan(begin, position_ - begin);
    return value;
  }

 private:
  void CheckBools(std::span<const std::byte> bytes) const {
    for (const std::byte b : bytes) {
      if (static_cast<uint8_t>(b) > 1) {
        Corrupt(where_, fmt::format("bool of value {}", static_cast<int>(b)));
      }
    }
  }
  // Each element takes at least one byte, so a count beyond the bytes left ends in an error soon,
  // and before that nothing is allocated.
  void SkipElements(const GgufValue& array, int depth) {
    const size_t size = ScalarBytes(array.element_type);
    const size_t least = size > 0 ? size : array.element_type == GgufType::kString ? 8 : 12;
    if (array.count > left() / least) {
      Corrupt(where_, fmt::format("array of {} elements ({}) with {} bytes left in the file",
                                  array.count, Name(array.element_type), left()));
    }
    if (size > 0) {
      const auto bytes = Take(array.count * size, "array");
      if (array.element_type == GgufType::kBool) CheckBools(bytes);
      return;
    }
    for (uint64_t i = 0; i < array.count; ++i) ReadValue(array.element_type, depth + 1);
  }

  std::span<const std::byte> bytes_;
  std::string where_;
  size_t position_ = 0;
};

uint64_t RoundUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

struct TensorInfo {
  std::string_view name;
  StorageFormat format = StorageFormat::kF32;
  Shape shape;
  uint64_t offset = 0, bytes = 0;
};

Shape ReadShape(Cursor& cursor) {
  const auto dimensions = cursor.Read<uint32_t>("number of dimensions");
  if (dimensions > kMaxDimensions) {
    Corrupt(cursor.where(),
            fmt::format("{} dimensions; at most {} are allowed", dimensions, kMaxDimensions));
  }
  Shape shape(dimensions);
  for (size_t i = shape.size(); i > 0; --i) {  // ggml lists the fastest dimension first
    const auto dim = cursor.Read<uint64_t>("dimension");
    if (dim == 0 || dim > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      Corrupt(cursor.where(), fmt::format("a dimension of {}", dim));
    }
    shape[i - 1] = static_cast<int64_t>(dim);
  }
  return shape;
}

uint64_t CheckedBytes(const TensorInfo& tensor, const std::string& where) {
  const FormatInfo& info = InfoOf(tensor.format);
  const int64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (!FitsRow(tensor.format, columns)) {
    Corrupt(where, fmt::format("rows of {} elements are not whole blocks of {} ({} elements each)",
                               columns, info.name, info.block_elements));
  }
  int64_t bytes = columns / info.block_elements;
  bool overflow = __builtin_mul_overflow(bytes, info.block_bytes, &bytes);
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) {
    overflow = __builtin_mul_overflow(bytes, tensor.shape[i], &bytes) || overflow;
  }
  if (overflow) Corrupt(where, fmt::format("shape {} overflows", ToString(tensor.shape)));
  return static_cast<uint64_t>(bytes);
}

TensorInfo ReadTensorInfo(Cursor& cursor, const std::string& path) {
  TensorInfo tensor;
  tensor.name = cursor.ReadString("tensor name", kMaxNameBytes);
  cursor.set_where(fmt::format("{}: tensor \"{}\"", path, Printable(tensor.name)));
  tensor.shape = ReadShape(cursor);
  const auto type = cursor.Read<uint32_t>("tensor type");
  const std::optional<StorageFormat> format = FormatOfGgmlType(type);
  if (!format) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: ggml type {} is not one that reckon reads (F32, F16, BF16, Q8_0, Q4_0, "
                      "Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL, IQ4_XS, MXFP4)",
                      cursor.where(), type));
  }
  tensor.format = *format;
  tensor.bytes = CheckedBytes(tensor, cursor.where());
  tensor.offset = cursor.Read<uint64_t>("tensor offset");
  return tensor;
}

// Tensors are aligned and follow each other without overlap and without holes, in any order.
void CheckLayout(std::vector<TensorInfo>& tensors, uint64_t alignment, uint64_t data_bytes,
                 const std::string& path) {
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.offset < b.offset; });
  uint64_t end = 0;
  for (const TensorInfo& tensor : tensors) {
    const std::string where = fmt::format("{}: tensor \"{}\"", path, Printable(tensor.name));
    if (tensor.offset % alignment != 0) {
      Corrupt(where, fmt::format("offset {} is not a multiple of the alignment, {}", tensor.offset,
                                 alignment));
    }
    if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset) {
      Corrupt(where, fmt::format("{} bytes at {} in {} bytes of data; the file is cut short",
                                 tensor.bytes, tensor.offset, data_bytes));
    }
    if (tensor.offset < end) Corrupt(where, "overlaps the tensor before it");
    if (tensor.offset - end >= alignment) {
      Corrupt(where, fmt::format("leaves a hole of {} bytes before it", tensor.offset - end));
    }
    end = tensor.offset + tensor.bytes;
  }
}

}  // namespace

int64_t StoredTensor::rows() const {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

const std::byte* StoredTensor::row(int64_t r) const {
  return bytes.data() + r * RowBytes(format, columns());
}

struct GgufFile::Impl {
  explicit Impl(const std::string& file_path) : path(file_path), file(file_path) {}

  void ReadHeader(Cursor& cursor);
  void ReadMetadata(Cursor& cursor);
  void ReadTensors(Cursor& cursor);
  uint64_t Alignment() const;
  const GgufValue* Find(std::string_view key) const;

  std::string path;
  MappedFile file;
  uint32_t version = 0;
  uint64_t num_tensors = 0, num_keys = 0;
  std::vector<std::pair<std::string_view, GgufValue>> metadata;
  std::vector<uint32_t> by_key;  // indices into metadata, ascending by key
  std::map<std::string, StoredTensor, std::less<>> tensors;
};

void GgufFile::Impl::ReadHeader(Cursor& cursor) {
  if (cursor.left() < 24) {
    Corrupt(path, fmt::format("{} bytes; too short for a GGUF header of 24", cursor.left()));
  }
  if (cursor.Read<uint32_t>("magic") != kMagic) Corrupt(path, "does not begin with \"GGUF\"");
  version = cursor.Read<uint32_t>("version");
  if (version != 2 && version != 3) {
    const bool swapped = __builtin_bswap32(version) <= 16;
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: {}; versions 2 and 3, little-endian, are read", path,
                      swapped ? "a big-endian file" : fmt::format("GGUF version {}", version)));
  }
  num_tensors = cursor.Read<uint64_t>("number of tensors");
  num_keys = cursor.Read<uint64_t>("number of keys");
  if (num_keys > cursor.left() / kMinKeyBytes || num_tensors > cursor.left() / kMinTensorBytes) {
    Corrupt(path,
            fmt::format("{} keys and {} tensors in {} bytes; the file is cut short or a count "
                        "is wrong",
                        num_keys, num_tensors, file.bytes().size()));
  }
}

void GgufFile::Impl::ReadMetadata(Cursor& cursor) {
  for (uint64_t i = 0; i < num_keys; ++i) {
    cursor.set_where(fmt::format("{}: key {} of {}", path, i + 1, num_keys));
    const std::string_view key = cursor.ReadString("key", kMaxNameBytes);
    cursor.set_where(fmt::format("{}: key \"{}\"", path, Printable(key)));
    const GgufType type = cursor.ReadType();
    metadata.emplace_back(key, cursor.ReadValue(type, 0));
  }
  by_key.resize(metadata.size());
  for (size_t i = 0; i < by_key.size(); ++i) by_key[i] = static_cast<uint32_t>(i);
  std::sort(by_key.begin(), by_key.end(),
            [&](uint32_t a, uint32_t b) { return metadata[a].first < metadata[b].first; });
  for (size_t i = 1; i < by_key.size(); ++i) {
    if (metadata[by_key[i - 1]].first == metadata[by_key[i]].first) {
      Corrupt(fmt::format("{}: key \"{}\"", path, Printable(metadata[by_key[i]].first)),
              "is there twice");
    }
  }
}

const GgufValue* GgufFile::Impl::Find(std::string_view key) const {
  const auto found =
      std::lower_bound(by_key.begin(), by_key.end(), key,
                       [&](uint32_t i, std::string_view k) { return metadata[i].first < k; });
  if (found == by_key.end() || metadata[*found].first != key) return nullptr;
  return &metadata[*found].second;
}

uint64_t GgufFile::Impl::Alignment() const {
  const GgufValue* value = Find("general.alignment");
  if (value == nullptr) return kDefaultAlignment;
  const std::string where = path + ": key \"general.alignment\"";
  if (value->type != GgufType::kU32) {
    Corrupt(where, fmt::format("is {} where u32 is wanted", Name(value->type)));
  }
  const uint64_t alignment = LoadAs<uint32_t>(value->bytes.data());
  if (!std::has_single_bit(alignment) || alignment > kMaxAlignment) {
    Corrupt(where, fmt::format("{} is not a power of two of at most {}", alignment, kMaxAlignment));
  }
  return alignment;
}

void GgufFile::Impl::ReadTensors(Cursor& cursor) {
  std::vector<TensorInfo> infos;
  for (uint64_t i = 0; i < num_tensors; ++i) {
    cursor.set_where(fmt::format("{}: tensor {} of {}", path, i + 1, num_tensors));
    infos.push_back(ReadTensorInfo(cursor, path));
  }
  const uint64_t alignment = Alignment(), size = file.bytes().size();
  const uint64_t data_begin = std::min(RoundUp(cursor.position(), alignment), size);
  CheckLayout(infos, alignment, size - data_begin, path);
  const auto data = file.bytes().subspan(static_cast<size_t>(data_begin));
  for (TensorInfo& info : infos) {
    const auto view =
        data.subspan(static_cast<size_t>(info.offset), static_cast<size_t>(info.bytes));
    const bool is_new =
        tensors.emplace(info.name, StoredTensor{info.format, std::move(info.shape), view}).second;
    if (!is_new) {
      Corrupt(fmt::format("{}: tensor \"{}\"", path, Printable(info.name)), "is there twice");
    }
  }
}

GgufFile::GgufFile(const std::string& path) : impl_(std::make_unique<Impl>(path)) {
  Cursor cursor(impl_->file.bytes(), path);
  impl_->ReadHeader(cursor);
  impl_->ReadMetadata(cursor);
  impl_->ReadTensors(cursor);
}

GgufFile::~GgufFile() = default;
GgufFile::GgufFile(GgufFile&&) noexcept = default;

const std::string& GgufFile::path() const { return impl_->path; }
uint32_t GgufFile::version() const { return impl_->version; }
const std::vector<std::pair<std::string_view, GgufValue>>& GgufFile::metadata() const {
  return impl_->metadata;
}
const GgufValue* GgufFile::Find(std::string_view key) const { return impl_->Find(key); }

const std::map<std::string, StoredTensor, std::less<>>& GgufFile::tensors() const {
  return impl_->tensors;
}
bool GgufFile::Has(std::string_view name) const {
  return impl_->tensors.find(name) != impl_->tensors.end();
}
const StoredTensor& GgufFile::Get(std::string_view name) const {
  const auto found = impl_->tensors.find(name);
  if (found == impl_->tensors.end()) {
    Throw(ErrorKind::kNotFound,
          fmt::format("{}: has no tensor \"{}\"", impl_->path, Printable(name)));
  }
  return found->second;
}

namespace {

// What the typed getters share.
const GgufValue* FindAs(const GgufFile& file, std::string_view key, bool optional) {
  const GgufValue* value = file.Find(key);
  if (value == nullptr && !optional) {
    Throw(ErrorKind::kNotFound, fmt::format("{}: has no key \"{}\"", file.path(), Printable(key)));
  }
  return value;
}

[[noreturn]] void WrongType(const GgufFile& file, std::string_view key, const GgufValue& value,
                            const char* wanted) {
  const bool array = value.type == GgufType::kArray;
  Corrupt(fmt::format("{}: key \"{}\"", file.path(), Printable(key)),
          fmt::format("is {}{} where {} is wanted", array ? "an array of " : "",
                      Name(array ? value.element_type : value.type), wanted));
}

std::optional<int64_t> LoadInt(GgufType type, const std::byte* bytes) {
  switch (type) {
    case GgufType::kU8:
      return LoadAs<uint8_t>(bytes);
    case GgufType::kI8:
      return LoadAs<int8_t>(bytes);
    case GgufType::kU16:
      return LoadAs<uint16_t>(bytes);
    case GgufType::kI16:
      return LoadAs<int16_t>(bytes);
    case GgufType::kU32:
      return LoadAs<uint32_t>(bytes);
    case GgufType::kI32:
      return LoadAs<int32_t>(bytes);
    case GgufType::kI64:
      return LoadAs<int64_t>(bytes);
    case GgufType::kU64: {
      const auto value = LoadAs<uint64_t>(bytes);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return {};
      return static_cast<int64_t>(value);
    }
    default:
      return {};
  }
}

std::optional<double> LoadNumber(GgufType type, const std::byte* bytes) {
  if (type == GgufType::kF32) return LoadAs<float>(bytes);
  if (type == GgufType::kF64) return LoadAs<double>(bytes);
  const std::optional<int64_t> value = LoadInt(type, bytes);
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

// `load(type, bytes)` for each element of an array of scalars.
template <typename T, typename Load>
std::vector<T> LoadArray(const GgufFile& file, std::string_view key, bool optional,
                         const char* wanted, const Load& load) {
  const GgufValue* value = FindAs(file, key, optional);
  if (value == nullptr) return {};
  const size_t size = ScalarBytes(value->element_type);
  if (value->type != GgufType::kArray || size == 0) WrongType(file, key, *value, wanted);
  std::vector<T> elements;
  elements.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto element = load(value->element_type, value->bytes.data() + i * size);
    if (!element) WrongType(file, key, *value, wanted);
    elements.push_back(static_cast<T>(*element));
  }
  return elements;
}

std::string_view StringAt(const std::byte* bytes) {  // bounds were checked on opening
  return {reinterpret_cast<const char*>(bytes) + 8, LoadAs<uint64_t>(bytes)};
}

}  // namespace

std::string_view GgufFile::String(std::string_view key,
                                  std::optional<std::string_view> fallback) const {
  const GgufValue* value = FindAs(*this, key, fallback.has_value());
  if (value == nullptr) return *fallback;
  if (value->type != GgufType::kString) WrongType(*this, key, *value, "a string");
  return StringAt(value->bytes.data());
}

int64_t GgufFile::Int(std::string_view key, std::optional<int64_t> fallback) const {
  const GgufValue* value = FindAs(*this, key, fallback.has_value());
  if (value == nullptr) return *fallback;
  const std::optional<int64_t> number = LoadInt(value->type, value->bytes.data());
  if (!number) WrongType(*this, key, *value, "an integer of 63 bits");
  return *number;
}

double GgufFile::Number(std::string_view key, std::optional<double> fallback) const {
  const GgufValue* value = FindAs(*this, key, fallback.has_value());
  if (value == nullptr) return *fallback;
  const std::optional<double> number = LoadNumber(value->type, value->bytes.data());
  if (!number) WrongType(*this, key, *value, "a number");
  return *number;
}

bool GgufFile::Bool(std::string_view key, std::optional<bool> fallback) const {
  const GgufValue* value = FindAs(*this, key, fallback.has_value());
  if (value == nullptr) return *fallback;
  if (value->type != GgufType::kBool) WrongType(*this, key, *value, "a bool");
  return LoadAs<uint8_t>(value->bytes.data()) != 0;
}

size_t GgufFile::ArraySize(std::string_view key) const {
  const GgufValue* value = Find(key);
  return value != nullptr && value->type == GgufType::kArray ? value->count : 0;
}

std::vector<std::string_view> GgufFile::Strings(std::string_view key, bool optional) const {
  const GgufValue* value = FindAs(*this, key, optional);
  if (value == nullptr) return {};
  if (value->type != GgufType::kArray || value->element_type != GgufType::kString) {
    WrongType(*this, key, *value, "an array of strings");
  }
  std::vector<std::string_view> strings;
  strings.reserve(value->count);
  const std::byte* at = value->bytes.data();
  for (uint64_t i = 0; i < value->count; ++i) {
    strings.push_back(StringAt(at));
    at += 8 + strings.back().size();
  }
  return strings;
}

std::vector<int64_t> GgufFile::Ints(std::string_view key, bool optional) const {
  return LoadArray<int64_t>(*this, key, optional, "an array of integers", LoadInt);
}

std::vector<float> GgufFile::Floats(std::string_view key, bool optional) const {
  return LoadArray<float>(*this, key, optional, "an array of numbers", LoadNumber);
}

}  // namespace reckon
