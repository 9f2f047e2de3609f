// A weight: trainable, with an f32 value, a gradient and the packed copies that matrix products
// read; or stored, as it lies in a checkpoint.
#pragma once

#include <cstdint>
#include <string>

#include "ops/runtime.h"
#include "tensor/stored_matrix.h"
#include "tensor/tensor.h"

namespace reckon {

// Panels of a right operand (kernels/kernel_table.h), one block of panels an expert.
struct PackedWeight {
  Tensor panels;  // F32 or BF16
  Precision precision = Precision::kF32;
  int64_t panel_stride = 0;   // elements
  int64_t matrix_stride = 0;  // elements from one expert's panels to the next
  bool valid = false;
};

class Parameter {
 public:
  // shape [n], [out, in] or [experts, out, in]; `decay` says whether AdamW's weight decay acts on
  // it.
  Parameter(std::string name, Tensor value, bool decay);

  // A matrix or a stack of matrices without a value: its rows are appended to stored().
  Parameter(std::string name, Shape shape);

  const std::string& name() const { return name_; }
  const Shape& shape() const { return shape_; }
  // Set where the weight is stored; then there is no value, no gradient and no packed copy.
  bool is_stored() const { return is_stored_; }
  StoredWeight& stored() { return stored_; }
  const StoredWeight& stored() const { return stored_; }
  Tensor& value() { return value_; }
  const Tensor& value() const { return value_; }
  bool decay() const { return decay_; }
  bool trainable() const { return trainable_; }
  void set_trainable(bool trainable) { trainable_ = trainable; }

  bool has_grad() const { return !grad_.empty(); }
  Tensor& grad();   // zero-filled on first use
  void ZeroGrad();  // keeps the buffer

  // To be called after the value has been written: the packed copies are made anew when next used.
  void Changed();
  // B = W^T, [in, out]: what y = x W^T reads.
  const PackedWeight& packed_forward(const Runtime& rt);
  // B = W, [out, in]: what dx = dy W reads.
  const PackedWeight& packed_backward(const Runtime& rt);

 private:
  const PackedWeight& Pack(const Runtime& rt, bool transposed, PackedWeight& packed);
  std::string name_;
  Shape shape_;
  Tensor value_, grad_;
  StoredWeight stored_;
  bool decay_ = false, trainable_ = true, is_stored_ = false;
  PackedWeight forward_, backward_;
};

}  // namespace reckon
