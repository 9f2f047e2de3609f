#include "tensor/block_quant.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "tensor/number_formats.h"

namespace reckon {
namespace {

constexpr float kLargestE4M3 = 448.0f, kLeastAmax = 1e-4f;

int64_t Blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

float ScaleOf(float amax, ScaleFormat format) {
  const float scale = std::max(amax, kLeastAmax) / kLargestE4M3;
  if (format == ScaleFormat::kF32) return scale;
  // 2^ceil(log2(scale)): a fraction that is not zero goes to the next exponent.
  return std::bit_cast<float>((std::bit_cast<uint32_t>(scale) + 0x7FFFFF) & 0x7F800000);
}

const uint8_t* Codes(const QuantizedMatrix& q) {
  return reinterpret_cast<const uint8_t*>(q.codes.bytes());
}

struct Block {
  int64_t row, rows, col, cols;
};

float Amax(const ConstMatrix& x, const Block& block) {
  float amax = 0;
  for (int64_t r = block.row; r < block.row + block.rows; ++r) {
    for (int64_t c = block.col; c < block.col + block.cols; ++c) {
      const float magnitude = std::fabs(x.row(r)[c]);
      if (!std::isfinite(magnitude)) {
        Throw(ErrorKind::kInvalidArgument, "block quantisation: the element at row " +
                                               std::to_string(r) + ", column " + std::to_string(c) +
                                               " is not finite");
      }
      amax = std::max(amax, magnitude);
    }
  }
  return amax;
}

QuantizedMatrix Quantize(ConstMatrix x, int64_t block_rows, ScaleFormat format) {
  const int64_t down = Blocks(x.rows, block_rows), across = Blocks(x.cols, kQuantBlock);
  QuantizedMatrix q{block_rows, Tensor(DType::kF8E4M3, {x.rows, x.cols}),
                    Tensor(DType::kF32, {down, across})};
  uint8_t* codes = reinterpret_cast<uint8_t*>(q.codes.bytes());
  for (int64_t i = 0; i < down * across; ++i) {
    const int64_t row = i / across * block_rows, col = i % across * kQuantBlock;
    const Block block{row, std::min(block_rows, x.rows - row), col,
                      std::min(kQuantBlock, x.cols - col)};
    const float scale = ScaleOf(Amax(x, block), format);
    q.scales.f32()[i] = scale;
    for (int64_t r = row; r < row + block.rows; ++r) {
      for (int64_t c = col; c < col + block.cols; ++c) {
        codes[r * x.cols + c] = E4M3FromF32(x.row(r)[c] / scale);
      }
    }
  }
  return q;
}

}  // namespace

QuantizedMatrix QuantizeActivations(ConstMatrix x, ScaleFormat format) {
  return Quantize(x, 1, format);
}

QuantizedMatrix QuantizeWeights(ConstMatrix w, ScaleFormat format) {
  return Quantize(w, kQuantBlock, format);
}

Tensor Dequantize(const QuantizedMatrix& q) {
  const std::array<float, 256>& e4m3 = E4M3Values();
  Tensor values(DType::kF32, {q.rows(), q.cols()});
  for (int64_t r = 0; r < q.rows(); ++r) {
    const float* scales = q.scales.f32() + r / q.block_rows * q.scales.dim(1);
    for (int64_t c = 0; c < q.cols(); ++c) {
      const int64_t i = r * q.cols() + c;
      values.f32()[i] = e4m3[Codes(q)[i]] * scales[c / kQuantBlock];
    }
  }
  return values;
}

Tensor MultiplyQuantized(const QuantizedMatrix& a, const QuantizedMatrix& w) {
  const int64_t in = a.cols(), blocks = Blocks(in, kQuantBlock);
  Check(w.cols() == in && a.scales.dim(1) == blocks && w.scales.dim(1) == blocks,
        "MultiplyQuantized: both operands have the same number of columns");
  const std::array<float, 256>& e4m3 = E4M3Values();
  Tensor product(DType::kF32, {a.rows(), w.rows()});
  for (int64_t i = 0; i < a.rows(); ++i) {
    const float* a_scales = a.scales.f32() + i / a.block_rows * blocks;
    for (int64_t j = 0; j < w.rows(); ++j) {
      const float* w_scales = w.scales.f32() + j / w.block_rows * blocks;
      float sum = 0;
      for (int64_t b = 0; b < blocks; ++b) {
        float inner = 0;
        for (int64_t k = b * kQuantBlock; k < std::min(in, (b + 1) * kQuantBlock); ++k) {
          inner += e4m3[Codes(a)[i * in + k]] * e4m3[Codes(w)[j * in + k]];  // exact products
        }
        sum += inner * (a_scales[b] * w_scales[b]);
      }
      product.f32()[i * w.rows() + j] = sum;
    }
  }
  return product;
}

}  // namespace reckon
