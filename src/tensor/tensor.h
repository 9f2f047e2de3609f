// Owning buffers with a dtype and a shape, and borrowed views of f32 rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace reckon {

// Storage types that occur in checkpoints. Names as in safetensors.
enum class DType {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI8,
  kU8,
  kI32,
  kU32,
  kI64,
  kF64,
  kBool,
  kI16,
  kU16,
  kU64
};

size_t SizeOf(DType dtype);     // bytes an element
const char* Name(DType dtype);  // "F32", "BF16", ...

using Shape = std::vector<int64_t>;
int64_t NumElements(const Shape& shape);   // checked product; throws on overflow or negative
std::string ToString(const Shape& shape);  // "[2, 3]"

// A borrowed row-major f32 matrix; row r starts at data + r * row_stride.
struct Matrix {
  float* data = nullptr;
  int64_t rows = 0, cols = 0, row_stride = 0;
  float* row(int64_t r) const { return data + r * row_stride; }
};
struct ConstMatrix {
  const float* data = nullptr;
  int64_t rows = 0, cols = 0, row_stride = 0;
  ConstMatrix() = default;
  ConstMatrix(const float* d, int64_t r, int64_t c, int64_t s)
      : data(d), rows(r), cols(c), row_stride(s) {}
  ConstMatrix(const Matrix& m)  // NOLINT(google-explicit-constructor)
      : data(m.data), rows(m.rows), cols(m.cols), row_stride(m.row_stride) {}
  const float* row(int64_t r) const { return data + r * row_stride; }
};

// Owns a 64-byte aligned buffer; move-only, contiguous, row-major. Uninitialised unless said.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape);
  static Tensor Zeros(DType dtype, Shape shape);
  static Tensor FromFloats(Shape shape, std::span<const float> values);
  Tensor Clone() const;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t dim(int i) const { return shape_[static_cast<size_t>(i)]; }
  int64_t num_elements() const { return num_elements_; }
  size_t num_bytes() const { return static_cast<size_t>(num_elements_) * SizeOf(dtype_); }
  bool empty() const { return buffer_ == nullptr; }

  std::byte* bytes() { return buffer_.get(); }
  const std::byte* bytes() const { return buffer_.get(); }
  // f32 only (checked).
  float* f32();
  const float* f32() const;
  std::span<float> floats() { return {f32(), static_cast<size_t>(num_elements_)}; }
  std::span<const float> floats() const { return {f32(), static_cast<size_t>(num_elements_)}; }
  // The tensor as [product of all but the last dimension, last dimension].
  Matrix matrix();
  ConstMatrix matrix() const;

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  DType dtype_ = DType::kF32;
  Shape shape_;
  int64_t num_elements_ = 0;
  std::unique_ptr<std::byte[], Free> buffer_;
};

}  // namespace reckon
