// FP8 with a scale for each block, as DeepSeek-V3 was trained (arXiv:2412.19437, sec. 3.3),
// emulated in f32. Activations share a scale by 1 x 128 elements, weights by 128 x 128 (sec. 3.3.2,
// fig. 7a).
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace reckon {

inline constexpr int64_t kQuantBlock = 128;

enum class ScaleFormat {
  kF32,    // the quotient itself
  kUe8m0,  // rounded up to a power of two (DeepSeek-V3.1's scale_fmt)
};

// value(r, c) = e4m3(codes[r, c]) * scales[r / block_rows, c / 128]
struct QuantizedMatrix {
  int64_t block_rows = 1;  // 1 for activations, 128 for weights
  Tensor codes;            // F8_E4M3 [rows, cols]
  Tensor scales;           // F32 [ceil(rows / block_rows), ceil(cols / 128)]
  int64_t rows() const { return codes.dim(0); }
  int64_t cols() const { return codes.dim(1); }
};

// scale = max(largest |x| of the block, 1e-4) / 448, code = e4m3(x / scale): the largest element
// takes the largest code. The floor is that of act_quant in DeepSeek's inference code. A block at
// an edge has fewer elements. Throws on an element that is not finite.
QuantizedMatrix QuantizeActivations(ConstMatrix x,  // [rows, cols]
                                    ScaleFormat format = ScaleFormat::kF32);
QuantizedMatrix QuantizeWeights(ConstMatrix w,  // [out, in]
                                ScaleFormat format = ScaleFormat::kF32);

// The values, each with one rounding; F32 [rows, cols].
Tensor Dequantize(const QuantizedMatrix& q);

// c[i, j] = sum_b a.scale[i, b] * w.scale[j / 128, b] * sum_{k in block b} a[i, k] * w[j, k]:
// each block of 128 is summed in f32, then scaled and added in f32 (sec. 3.3.2, "Increasing
// Accumulation Precision", with N_C = 128; fig. 7b). Hopper's tensor cores keep about 14 bits of
// the inner sum, the emulation all 24. Chains, k ascending.
Tensor MultiplyQuantized(const QuantizedMatrix& a,   // [rows, in], activations
                         const QuantizedMatrix& w);  // [out, in]; returns F32 [rows, out]

}  // namespace reckon
