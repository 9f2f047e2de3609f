// How DeepSeek's FP8 checkpoints lie in files (arXiv:2412.19437, section 3.3.2): matrices as e4m3
// codes, and beside NAME a tensor NAME_scale_inv with the scale of each block of 128 x 128.
#pragma once

#include <string_view>

#include "tensor/tensor.h"

namespace reckon {

inline constexpr char kFp8ScaleSuffix[] = "_scale_inv";

// [ceil(rows / 128), ceil(columns / 128)] of a matrix.
Shape Fp8ScaleShape(const Shape& matrix);

// Whether a tensor of that Hugging Face name is stored so: the projections of attention and
// feed-forward blocks; not embedding, head, router and norms.
bool IsFp8Matrix(std::string_view name);

}  // namespace reckon
