// Reverse-mode differentiation over coarse operators. An operator computes its value and, given a
// tape, records a closure that adds to the gradients of its inputs. Without a tape nothing is kept.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace reckon {

// An f32 activation [rows, cols] with a gradient that is allocated when first written. A handle:
// copies share the value. Freed when the last handle (a closure's included) goes.
class Variable {
 public:
  Variable() = default;
  Variable(int64_t rows, int64_t cols);      // uninitialised value
  static Variable FromTensor(Tensor value);  // f32, taken over

  bool defined() const { return node_ != nullptr; }
  int64_t rows() const { return value().rows; }
  int64_t cols() const { return value().cols; }
  Matrix value() const;

  bool has_grad() const;
  Matrix grad() const;  // allocated and zero-filled on first use
  // For a backward that covers every element: the buffer, and whether to add to what is there
  // (false on first use: the buffer is uninitialised and must be overwritten).
  struct GradTarget {
    Matrix matrix;
    bool accumulate;
  };
  GradTarget grad_target() const;
  void drop_grad() const;

 private:
  struct Node {
    Tensor value, grad;
  };
  std::shared_ptr<Node> node_;
};

class Tape {
 public:
  // `backward` reads the gradient of the outputs it captured and adds to those of its inputs.
  void Record(std::function<void()> backward) { steps_.push_back(std::move(backward)); }
  // Runs the closures last to first, freeing each as it has run. The caller has seeded the
  // gradient of the final variables. A closure whose output has no gradient must return at once.
  void Backward();
  size_t size() const { return steps_.size(); }

 private:
  std::vector<std::function<void()>> steps_;
};

}  // namespace reckon
