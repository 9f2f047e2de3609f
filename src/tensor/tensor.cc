#include "tensor/tensor.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace reckon {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

std::byte* Allocate(size_t bytes) {
  const bool large = bytes >= 2 * kHugePage;
  const size_t alignment = large ? kHugePage : kAlignment;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) {
    Throw(ErrorKind::kIo, "out of memory: " + std::to_string(bytes) + " bytes for a tensor");
  }
  if (large) madvise(memory, rounded, MADV_HUGEPAGE);
  return static_cast<std::byte*>(memory);
}

}  // namespace

size_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
    case DType::kU64:
      return 8;
    case DType::kF32:
    case DType::kI32:
    case DType::kU32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
    case DType::kU16:
      return 2;
    default:
      return 1;
  }
}

const char* Name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    case DType::kBF16:
      return "BF16";
    case DType::kF8E4M3:
      return "F8_E4M3";
    case DType::kF8E5M2:
      return "F8_E5M2";
    case DType::kI8:
      return "I8";
    case DType::kU8:
      return "U8";
    case DType::kI32:
      return "I32";
    case DType::kU32:
      return "U32";
    case DType::kI64:
      return "I64";
    case DType::kF64:
      return "F64";
    case DType::kBool:
      return "BOOL";
    case DType::kI16:
      return "I16";
    case DType::kU16:
      return "U16";
    case DType::kU64:
      return "U64";
  }
  return "?";
}

int64_t NumElements(const Shape& shape) {
  int64_t product = 1;
  for (int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(product, dim, &product)) {
      Throw(ErrorKind::kInvalidArgument, "shape " + ToString(shape) + " is negative or too large");
    }
  }
  return product;
}

std::string ToString(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)), num_elements_(NumElements(shape_)) {
  if (num_elements_ > std::numeric_limits<int64_t>::max() / 8) {
    Throw(ErrorKind::kInvalidArgument, "shape " + ToString(shape_) + " is too large");
  }
  buffer_.reset(Allocate(std::max<size_t>(num_bytes(), 1)));
}

Tensor Tensor::Zeros(DType dtype, Shape shape) {
  Tensor tensor(dtype, std::move(shape));
  std::memset(tensor.bytes(), 0, tensor.num_bytes());
  return tensor;
}

Tensor Tensor::FromFloats(Shape shape, std::span<const float> values) {
  Tensor tensor(DType::kF32, std::move(shape));
  Check(static_cast<int64_t>(values.size()) == tensor.num_elements(),
        "FromFloats: as many values as elements");
  if (!values.empty()) std::memcpy(tensor.bytes(), values.data(), tensor.num_bytes());
  return tensor;
}

Tensor Tensor::Clone() const {
  if (empty()) return {};
  Tensor copy(dtype_, shape_);
  std::memcpy(copy.bytes(), bytes(), num_bytes());
  return copy;
}

float* Tensor::f32() {
  Check(dtype_ == DType::kF32, "an F32 tensor is wanted here");
  return reinterpret_cast<float*>(buffer_.get());
}
const float* Tensor::f32() const {
  Check(dtype_ == DType::kF32, "an F32 tensor is wanted here");
  return reinterpret_cast<const float*>(buffer_.get());
}

Matrix Tensor::matrix() {
  const int64_t cols = shape_.empty() ? 1 : shape_.back();
  return {f32(), cols == 0 ? 0 : num_elements_ / cols, cols, cols};
}
ConstMatrix Tensor::matrix() const {
  const int64_t cols = shape_.empty() ? 1 : shape_.back();
  return {f32(), cols == 0 ? 0 : num_elements_ / cols, cols, cols};
}

void Tensor::Free::operator()(std::byte* p) const { std::free(p); }

}  // namespace reckon
