#include "ops/parameter.h"

#include <cstring>

#include "base/error.h"

namespace reckon {

Parameter::Parameter(std::string name, Tensor value, bool decay)
    : name_(std::move(name)), shape_(value.shape()), value_(std::move(value)), decay_(decay) {
  Check(value_.dtype() == DType::kF32, "a Parameter holds f32");
}

Parameter::Parameter(std::string name, Shape shape)
    : name_(std::move(name)), shape_(std::move(shape)), trainable_(false), is_stored_(true) {
  Check(shape_.size() == 2 || shape_.size() == 3, "only matrices are stored");
}

Tensor& Parameter::grad() {
  if (grad_.empty()) grad_ = Tensor::Zeros(DType::kF32, value_.shape());
  return grad_;
}

void Parameter::ZeroGrad() {
  if (!grad_.empty()) std::memset(grad_.bytes(), 0, grad_.num_bytes());
}

void Parameter::Changed() { forward_.valid = backward_.valid = false; }

const PackedWeight& Parameter::packed_forward(const Runtime& rt) {
  return Pack(rt, true, forward_);
}
const PackedWeight& Parameter::packed_backward(const Runtime& rt) {
  return Pack(rt, false, backward_);
}

const PackedWeight& Parameter::Pack(const Runtime& rt, bool transposed, PackedWeight& packed) {
  if (packed.valid && packed.precision == rt.precision) return packed;
  const Shape& shape = value_.shape();
  Check(shape.size() == 2 || shape.size() == 3, "only matrices are packed");
  const int64_t experts = shape.size() == 3 ? shape[0] : 1;
  const int64_t out = shape[shape.size() - 2], in = shape[shape.size() - 1];
  const int64_t k = transposed ? in : out, n = transposed ? out : in;
  const int64_t panels = (n + kPanelCols - 1) / kPanelCols;
  const bool bf16 = rt.precision == Precision::kBF16;
  const DType dtype = bf16 ? DType::kBF16 : DType::kF32;
  const int64_t panel_stride = (k + 1) / 2 * 2 * kPanelCols;
  if (packed.panels.empty() || packed.panels.dtype() != dtype) {
    packed.panels = Tensor(dtype, {experts, panels, panel_stride});
  }
  packed.panel_stride = panel_stride;
  packed.matrix_stride = panels * panel_stride;
  packed.precision = rt.precision;
  std::byte* target = packed.panels.bytes();
  const float* source = value_.f32();
  const auto pack = bf16 ? rt.kernels->pack_bf16 : rt.kernels->pack_f32;
  rt.pool->ParallelFor(experts * panels, [&](int64_t task) {
    const int64_t begin = task % panels * kPanelCols;
    PackArgs args;
    args.k = k;
    args.n = std::min(kPanelCols, n - begin);
    args.row_stride = transposed ? 1 : in;
    args.col_stride = transposed ? in : 1;
    args.b = source + task / panels * out * in + begin * args.col_stride;
    args.panels = target + task * panel_stride * static_cast<int64_t>(SizeOf(dtype));
    args.panel_stride = panel_stride;
    pack(args);
  });
  packed.valid = true;
  return packed;
}

}  // namespace reckon
