// The formats in which GGUF files store weights: plain floats, and ggml's block formats, in which a
// row is cut into blocks of 32 or 256 elements that share scales. The layouts are facts of ggml
// (ggml-common.h, and dequantize_row_* in ggml-quants.c; https://github.com/ggml-org/llama.cpp);
// block_formats.cc draws each one. The code here is the reference: plain, exact, the same bits
// everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace reckon {

// NOLINTBEGIN(readability-identifier-naming): the names are ggml's
enum class StorageFormat : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
};
// NOLINTEND(readability-identifier-naming)
inline constexpr int kNumStorageFormats = 16;

struct FormatInfo {
  const char* name;        // as ggml spells it: "F32", "Q4_K", ...
  int64_t block_elements;  // 1, 32 or 256; a block never spans rows
  int64_t block_bytes;
  bool can_quantize;  // QuantizeRow makes it
};
const FormatInfo& InfoOf(StorageFormat format);
const char* Name(StorageFormat format);
std::optional<StorageFormat> FormatNamed(std::string_view name);  // "q4_k" is as good as "Q4_K"

bool FitsRow(StorageFormat format, int64_t columns);      // a whole number of blocks
int64_t RowBytes(StorageFormat format, int64_t columns);  // throws unless it fits

// n elements (a whole number of blocks) to f32. Where a format scales and shifts, the product is
// rounded, then the sum, as in ggml without fused multiply-add. `row` need not be aligned.
void DequantizeRow(StorageFormat format, const std::byte* row, int64_t n, float* out);

// n elements of a row to the formats whose can_quantize says so. Scales and minima are searched for
// the least sum of weight * error^2, where weight = importance[column] * sqrt(mean(x^2) + x^2); the
// importance is the mean square of the activations that meet a column (an importance matrix), or 1
// where it is empty. F32, F16 and BF16 round to nearest. Depends on the arguments alone. Throws
// kInvalidArgument on a value that is not finite, naming its column.
void QuantizeRow(StorageFormat format, std::span<const float> row,
                 std::span<const float> importance, std::byte* out);

// `wanted` if rows of `columns` fit it, else the next larger format that they fit, as
// llama-quantize chooses: Q4_K to Q5_0, Q6_K to Q8_0, and F16 where not even blocks of 32 fit.
StorageFormat FormatForRow(StorageFormat wanted, int64_t columns);

}  // namespace reckon
