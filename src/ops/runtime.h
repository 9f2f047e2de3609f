// What every operator needs besides its operands.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "tensor/tensor.h"

namespace reckon {

// Precision of matrix products with weights. kBF16 rounds both operands to bf16 and accumulates in
// f32; everything else (norms, router, softmax, attention, residual stream) stays f32.
enum class Precision { kF32, kBF16 };

class Parameter;

// Sees what a matrix product with a weight is given: rows [offsets[e], offsets[e + 1]) of x meet
// the weight's matrix e. Called by the thread that runs the forward, before the product.
using WatchInputs =
    std::function<void(const Parameter& weight, ConstMatrix x, std::span<const int64_t> offsets)>;

struct Runtime {
  ThreadPool* pool = nullptr;
  const KernelTable* kernels = nullptr;
  Precision precision = Precision::kF32;
  const WatchInputs* watch_inputs = nullptr;  // may be null
};

// Owns a pool and chooses the table (RECKON_ISA honoured; throws Error naming the choices).
class RuntimeOwner {
 public:
  explicit RuntimeOwner(int num_threads, Precision precision = Precision::kF32);
  const Runtime& get() const { return runtime_; }

 private:
  std::unique_ptr<ThreadPool> pool_;
  Runtime runtime_;
};

}  // namespace reckon
