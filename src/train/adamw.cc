#include "train/adamw.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "formats/safetensors.h"

namespace reckon {
namespace {

// Elements of one task; also the unit of the norm's fixed summation order.
constexpr int64_t kChunk = 65536;

struct Chunk {
  size_t parameter;
  int64_t begin, count;
};

std::vector<Chunk> Chunks(const std::vector<Parameter*>& parameters) {
  std::vector<Chunk> chunks;
  for (size_t p = 0; p < parameters.size(); ++p) {
    const int64_t n = parameters[p]->value().num_elements();
    for (int64_t begin = 0; begin < n; begin += kChunk) {
      chunks.push_back({p, begin, std::min(kChunk, n - begin)});
    }
  }
  return chunks;
}

NamedBytes AsNamedBytes(const std::string& name, const Tensor& tensor) {
  return {name, tensor.dtype(), tensor.shape(), {tensor.bytes(), tensor.num_bytes()}};
}

void LoadInto(const SafetensorsFile& file, const std::string& name, Tensor& tensor) {
  const TensorView& view = file.Get(name);
  if (view.dtype != DType::kF32 || view.shape != tensor.shape()) {
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}: {} is {} {}, expected F32 {}", file.path(), name, Name(view.dtype),
                      ToString(view.shape), ToString(tensor.shape())));
  }
  ConvertToF32(view, tensor.f32());
}

int64_t StepOf(const SafetensorsFile& file) {
  const auto found = file.metadata().find("step");
  const std::string text = found == file.metadata().end() ? "" : found->second;
  int64_t step = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc() || end != text.data() + text.size() || step < 0) {
    Throw(
        ErrorKind::kCorrupt,
        fmt::format("{}: the metadata's step \"{}\" is not a number of steps", file.path(), text));
  }
  return step;
}

}  // namespace

double GlobalGradNorm(const Runtime& rt, const std::vector<Parameter*>& parameters) {
  const std::vector<Chunk> chunks = Chunks(parameters);
  std::vector<const float*> gradients;
  for (Parameter* parameter : parameters) gradients.push_back(parameter->grad().f32());
  std::vector<double> sums(chunks.size());
  rt.pool->ParallelFor(static_cast<int64_t>(chunks.size()), [&](int64_t i) {
    const Chunk& chunk = chunks[static_cast<size_t>(i)];
    sums[static_cast<size_t>(i)] =
        rt.kernels->sum_squares(gradients[chunk.parameter] + chunk.begin, chunk.count);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return std::sqrt(total);
}

AdamW::AdamW(std::vector<Parameter*> parameters, AdamWConfig config)
    : parameters_(std::move(parameters)), config_(config) {
  for (const Parameter* parameter : parameters_) {
    first_.push_back(Tensor::Zeros(DType::kF32, parameter->value().shape()));
    second_.push_back(Tensor::Zeros(DType::kF32, parameter->value().shape()));
  }
}

double AdamW::Step(const Runtime& rt, double learning_rate) {
  const double norm = GlobalGradNorm(rt, parameters_);
  if (!std::isfinite(norm)) {
    for (Parameter* parameter : parameters_) {
      const Tensor& grad = parameter->grad();
      if (std::isfinite(rt.kernels->sum_squares(grad.f32(), grad.num_elements()))) continue;
      Throw(ErrorKind::kInternal,
            fmt::format("the gradient of {} is not finite at step {}; lower the learning rate or "
                        "max_grad_norm",
                        parameter->name(), step_ + 1));
    }
  }
  ++step_;
  AdamWArgs shared;
  const bool clip = config_.max_grad_norm > 0;
  shared.gradient_scale =
      clip ? static_cast<float>(std::min(1.0, config_.max_grad_norm / (norm + 1e-6))) : 1.0f;
  shared.learning_rate = static_cast<float>(learning_rate);
  shared.beta1 = static_cast<float>(config_.beta1);
  shared.beta2 = static_cast<float>(config_.beta2);
  shared.epsilon = static_cast<float>(config_.epsilon);
  double power1 = 1, power2 = 1;  // by squaring: no libm
  double base1 = config_.beta1, base2 = config_.beta2;
  for (int64_t n = step_; n > 0; n /= 2, base1 *= base1, base2 *= base2) {
    if (n % 2 == 0) continue;
    power1 *= base1;
    power2 *= base2;
  }
  shared.bias_correction1 = static_cast<float>(1 - power1);
  shared.sqrt_bias_correction2 = static_cast<float>(std::sqrt(1 - power2));
  const std::vector<Chunk> chunks = Chunks(parameters_);
  rt.pool->ParallelFor(static_cast<int64_t>(chunks.size()), [&](int64_t i) {
    const Chunk& chunk = chunks[static_cast<size_t>(i)];
    Parameter& parameter = *parameters_[chunk.parameter];
    AdamWArgs args = shared;
    args.n = chunk.count;
    args.parameter = parameter.value().f32() + chunk.begin;
    args.gradient = parameter.grad().f32() + chunk.begin;
    args.first_moment = first_[chunk.parameter].f32() + chunk.begin;
    args.second_moment = second_[chunk.parameter].f32() + chunk.begin;
    args.weight_decay = parameter.decay() ? static_cast<float>(config_.weight_decay) : 0.0f;
    rt.kernels->adamw(args);
  });
  for (Parameter* parameter : parameters_) parameter->Changed();
  return norm;
}

void AdamW::Save(const std::string& path) const {
  std::vector<NamedBytes> all;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    all.push_back(AsNamedBytes(parameters_[i]->name() + ".exp_avg", first_[i]));
    all.push_back(AsNamedBytes(parameters_[i]->name() + ".exp_avg_sq", second_[i]));
  }
  WriteSafetensors(path, all, {{"format", "pt"}, {"step", std::to_string(step_)}});
}

void AdamW::Load(const std::string& path) {
  const SafetensorsFile file(path);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    LoadInto(file, parameters_[i]->name() + ".exp_avg", first_[i]);
    LoadInto(file, parameters_[i]->name() + ".exp_avg_sq", second_[i]);
  }
  step_ = StepOf(file);
}

}  // namespace reckon
