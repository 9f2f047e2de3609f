#include "ops/tape.h"

#include <cstring>

#include "base/error.h"

namespace reckon {

Variable::Variable(int64_t rows, int64_t cols) : node_(std::make_shared<Node>()) {
  node_->value = Tensor(DType::kF32, {rows, cols});
}

Variable Variable::FromTensor(Tensor value) {
  Check(value.dtype() == DType::kF32, "a Variable holds f32");
  Variable variable;
  variable.node_ = std::make_shared<Node>();
  variable.node_->value = std::move(value);
  return variable;
}

Matrix Variable::value() const {
  Check(node_ != nullptr, "an undefined Variable has no value");
  return node_->value.matrix();
}

bool Variable::has_grad() const { return node_ != nullptr && !node_->grad.empty(); }

Matrix Variable::grad() const {
  if (!has_grad()) node_->grad = Tensor::Zeros(DType::kF32, node_->value.shape());
  return node_->grad.matrix();
}

Variable::GradTarget Variable::grad_target() const {
  const bool accumulate = has_grad();
  if (!accumulate) node_->grad = Tensor(DType::kF32, node_->value.shape());
  return {node_->grad.matrix(), accumulate};
}

void Variable::drop_grad() const { node_->grad = Tensor(); }

void Tape::Backward() {
  while (!steps_.empty()) {
    steps_.back()();
    steps_.pop_back();
  }
}

}  // namespace reckon
