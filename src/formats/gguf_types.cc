// Names and numbers of GGUF's types.
#include <array>

#include "base/error.h"
#include "formats/gguf.h"

namespace reckon {
namespace {

struct Numbered {
  uint32_t number;
  StorageFormat format;
};
// enum ggml_type of ggml.h.
constexpr std::array<Numbered, kNumStorageFormats> kNumbers = {{
    {0, StorageFormat::kF32},
    {1, StorageFormat::kF16},
    {2, StorageFormat::kQ4_0},
    {3, StorageFormat::kQ4_1},
    {6, StorageFormat::kQ5_0},
    {7, StorageFormat::kQ5_1},
    {8, StorageFormat::kQ8_0},
    {10, StorageFormat::kQ2_K},
    {11, StorageFormat::kQ3_K},
    {12, StorageFormat::kQ4_K},
    {13, StorageFormat::kQ5_K},
    {14, StorageFormat::kQ6_K},
    {20, StorageFormat::kIQ4_NL},
    {23, StorageFormat::kIQ4_XS},
    {30, StorageFormat::kBF16},
    {39, StorageFormat::kMXFP4},
}};

}  // namespace

const char* Name(GgufType type) {
  constexpr std::array kNames = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                 "bool", "string", "array", "u64", "i64", "f64"};
  const auto index = static_cast<size_t>(type);
  return index < kNames.size() ? kNames[index] : "?";
}

uint32_t GgmlTypeOf(StorageFormat format) {
  for (const Numbered& entry : kNumbers) {
    if (entry.format == format) return entry.number;
  }
  Throw(ErrorKind::kInternal, "a format without a number");
}

std::optional<StorageFormat> FormatOfGgmlType(uint32_t type) {
  for (const Numbered& entry : kNumbers) {
    if (entry.number == type) return entry.format;
  }
  return {};
}

}  // namespace reckon
