// AdamW with decoupled weight decay (arXiv:1711.05101) and clipping by global norm.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/parameter.h"
#include "ops/runtime.h"

namespace reckon {

struct AdamWConfig {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
  double max_grad_norm = 1.0;  // 0: no clipping
};

class AdamW {
 public:
  AdamW(std::vector<Parameter*> parameters, AdamWConfig config);

  // One step from the gradients in the parameters; returns the global gradient norm before
  // clipping. A non-finite norm throws Error{kInternal} naming the first bad parameter and changes
  // nothing.
  double Step(const Runtime& rt, double learning_rate);
  int64_t step() const { return step_; }

  // State under "<parameter>.exp_avg", "<parameter>.exp_avg_sq" and the step count.
  void Save(const std::string& path) const;
  void Load(const std::string& path);

 private:
  std::vector<Parameter*> parameters_;
  AdamWConfig config_;
  std::vector<Tensor> first_, second_;
  int64_t step_ = 0;
};

double GlobalGradNorm(const Runtime& rt, const std::vector<Parameter*>& parameters);

}  // namespace reckon
