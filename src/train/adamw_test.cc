#include "train/adamw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "formats/safetensors.h"

namespace reckon {
namespace {

using testing::HasSubstr;

std::vector<float> Random(const std::string& name, int64_t step, int64_t count, double scale) {
  Rng rng(2, {StreamName(name), static_cast<uint64_t>(step)});
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.Normal() * scale);
  return values;
}

// A matrix that decays, a norm that does not.
class AdamWTest : public testing::Test {
 protected:
  AdamWTest() { Reset(); }
  void Reset() {
    store_.clear();
    store_.emplace_back("matrix", Tensor::FromFloats({5, 7}, Random("matrix", 0, 35, 1)), true);
    store_.emplace_back("norm", Tensor::FromFloats({9}, Random("norm", 0, 9, 1)), false);
  }
  std::vector<Parameter*> Parameters() { return {&store_[0], &store_[1]}; }
  void Gradients(int64_t step, double scale) {
    for (Parameter& parameter : store_) {
      const std::vector<float> gradient =
          Random("gradient of " + parameter.name(), step, parameter.value().num_elements(), scale);
      std::memcpy(parameter.grad().f32(), gradient.data(), gradient.size() * sizeof(float));
    }
  }
  std::vector<float> Values() {
    std::vector<float> all;
    for (const Parameter& parameter : store_) {
      const std::span<const float> values = parameter.value().floats();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
  std::deque<Parameter> store_;
  ThreadPool pool_{1}, two_{2};
  Runtime rt_{&pool_, FindKernelTable(Isa::kScalar), Precision::kF32};
};

// AdamW (arXiv:1711.05101, alg. 2, eps outside the bias-corrected root) in double.
struct Reference {
  AdamWConfig config;
  std::vector<double> values, first, second;
  std::vector<bool> decays;

  void Step(const std::vector<double>& gradient, int64_t step, double learning_rate) {
    double squares = 0;
    for (double g : gradient) squares += g * g;
    const double norm = std::sqrt(squares);
    const bool clip = config.max_grad_norm > 0 && norm > config.max_grad_norm;
    const double scale = clip ? config.max_grad_norm / (norm + 1e-6) : 1;
    for (size_t i = 0; i < values.size(); ++i) {
      const double g = gradient[i] * scale, t = static_cast<double>(step);
      first[i] = config.beta1 * first[i] + (1 - config.beta1) * g;
      second[i] = config.beta2 * second[i] + (1 - config.beta2) * g * g;
      const double m = first[i] / (1 - std::pow(config.beta1, t));
      const double v = second[i] / (1 - std::pow(config.beta2, t));
      if (decays[i]) values[i] -= learning_rate * config.weight_decay * values[i];
      values[i] -= learning_rate * m / (std::sqrt(v) + config.epsilon);
    }
  }
};

TEST_F(AdamWTest, FollowsTheDoubleReference) {
  constexpr double kLearningRate = 0.01;
  for (const double max_grad_norm : {0.0, 1.0}) {
    Reset();
    const AdamWConfig config{0.9, 0.95, 1e-8, 0.1, max_grad_norm};
    AdamW optimizer(Parameters(), config);
    Reference reference{config, {}, std::vector<double>(44), std::vector<double>(44), {}};
    for (float value : Values()) reference.values.push_back(value);
    reference.decays.assign(44, false);
    std::fill_n(reference.decays.begin(), 35, true);
    for (int64_t step = 1; step <= 20; ++step) {
      Gradients(step, step % 2 == 0 ? 3 : 0.01);  // norms of about 20 and 0.07
      std::vector<double> gradient;
      for (Parameter& parameter : store_) {
        for (float g : parameter.grad().floats()) gradient.push_back(g);
      }
      optimizer.Step(rt_, kLearningRate);
      reference.Step(gradient, step, kLearningRate);
    }
    EXPECT_EQ(optimizer.step(), 20);
    const std::vector<float> values = Values();
    for (size_t i = 0; i < values.size(); ++i) {
      // A step rounds a weight of order 1 twice (2^-24 each) and moves it by about the learning
      // rate, with a relative error of some 20 roundings: f32 betas, moments, root and quotient.
      EXPECT_NEAR(values[i], reference.values[i], 20 * (2 + 20 * kLearningRate) * 3 * 0x1p-24)
          << i << " clipped at " << max_grad_norm;
    }
  }
}

TEST_F(AdamWTest, DecaysMatricesOnly) {
  AdamW optimizer(Parameters(), {0.9, 0.95, 1e-8, 0.5, 1.0});
  const std::vector<float> before = Values();
  Gradients(1, 0);
  optimizer.Step(rt_, 0.5);
  const std::vector<float> after = Values();
  for (size_t i = 0; i < after.size(); ++i) {
    // 1 - 0.5 * 0.5 is exact; the product is rounded once or twice.
    const float want = i < 35 ? 0.75f * before[i] : before[i];
    EXPECT_NEAR(after[i], want, i < 35 ? std::fabs(want) * 0x1p-22 : 0) << i;
  }
}

TEST_F(AdamWTest, ReturnsTheNormBeforeClipping) {
  AdamW optimizer(Parameters(), {0.9, 0.95, 1e-8, 0, 1.0});
  for (Parameter& parameter : store_) parameter.ZeroGrad();
  store_[0].grad().f32()[3] = 3;
  store_[1].grad().f32()[8] = -4;
  EXPECT_EQ(GlobalGradNorm(rt_, Parameters()), 5);
  EXPECT_EQ(optimizer.Step(rt_, 0.1), 5);
}

TEST_F(AdamWTest, NonFiniteGradientChangesNothingAndNamesTheParameter) {
  AdamW optimizer(Parameters(), {});
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Gradients(1, 1);
    store_[1].grad().f32()[4] = bad;
    const std::vector<float> before = Values();
    try {
      optimizer.Step(rt_, 0.1);
      ADD_FAILURE() << "a step with a gradient of " << bad;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("gradient of norm"));
      EXPECT_THAT(error.what(), HasSubstr("step 1"));
    }
    EXPECT_EQ(Values(), before);
    EXPECT_EQ(optimizer.step(), 0);
  }
  // Nor did the moments: a good step is that of a new optimiser.
  Gradients(2, 1);
  optimizer.Step(rt_, 0.1);
  const std::vector<float> after = Values();
  Reset();
  AdamW fresh(Parameters(), {});
  Gradients(2, 1);
  fresh.Step(rt_, 0.1);
  EXPECT_EQ(Values(), after);
}

TEST_F(AdamWTest, HasTheSameBitsOnEveryInstructionSetAndNumberOfThreads) {
  std::vector<float> first;
  double first_norm = 0;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    const KernelTable* table = FindKernelTable(isa);
    if (table == nullptr) continue;
    for (ThreadPool* pool : {&pool_, &two_}) {
      Reset();
      // More than one chunk of 65,536 elements, the unit of the norm's order.
      store_.emplace_back("large", Tensor::FromFloats({3, 50001}, Random("large", 0, 150003, 1)),
                          true);
      std::vector<Parameter*> parameters = Parameters();
      parameters.push_back(&store_[2]);
      AdamW optimizer(parameters, {});
      double norm = 0;
      for (int64_t step = 1; step <= 3; ++step) {
        Gradients(step, 1);
        norm = optimizer.Step({pool, table, Precision::kF32}, 0.01);
      }
      const std::vector<float> values = Values();
      if (first.empty()) {
        first = values;
        first_norm = norm;
      }
      EXPECT_EQ(norm, first_norm) << Name(isa);
      EXPECT_EQ(std::memcmp(values.data(), first.data(), values.size() * 4), 0) << Name(isa);
    }
  }
}

TEST_F(AdamWTest, GoesOnFromAFileAsIfItHadNotStopped) {
  const std::string path = testing::TempDir() + "adamw_test.safetensors";
  AdamW whole(Parameters(), {});
  for (int64_t step = 1; step <= 6; ++step) {
    Gradients(step, 1);
    whole.Step(rt_, 0.01);
  }
  const std::vector<float> want = Values();
  Reset();
  AdamW first(Parameters(), {}), second(Parameters(), {});
  for (int64_t step = 1; step <= 6; ++step) {
    if (step == 4) {
      first.Save(path);
      second.Load(path);
      EXPECT_EQ(second.step(), 3);
    }
    Gradients(step, 1);
    (step < 4 ? first : second).Step(rt_, 0.01);
  }
  EXPECT_EQ(Values(), want);
}

TEST_F(AdamWTest, RefusesAFileOfAnotherModelAndADamagedOne) {
  const std::string path = testing::TempDir() + "adamw_test_damaged.safetensors";
  const auto load_error = [&](std::vector<Parameter*> parameters) -> std::string {
    AdamW optimizer(std::move(parameters), {});
    try {
      optimizer.Load(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "loaded";
  };
  AdamW(Parameters(), {}).Save(path);
  EXPECT_EQ(load_error(Parameters()), "loaded");
  Parameter other("other", Tensor::Zeros(DType::kF32, {2}), false);
  Parameter shape("norm", Tensor::Zeros(DType::kF32, {2}), false);
  EXPECT_THAT(load_error({&other}), HasSubstr("other.exp_avg"));
  EXPECT_THAT(load_error({&shape}), HasSubstr("norm.exp_avg is F32 [9], expected F32 [2]"));
  for (const char* step : {"", "many", "-1", "3 steps", "99999999999999999999"}) {
    const SafetensorsFile file(path);
    std::vector<NamedBytes> tensors;
    for (const auto& [name, view] : file.tensors()) {
      tensors.push_back({name, view.dtype, view.shape, view.bytes});
    }
    WriteSafetensors(path + "-step", tensors, {{"step", step}});
    AdamW optimizer(Parameters(), {});
    EXPECT_THROW(optimizer.Load(path + "-step"), Error) << step;
  }
}

}  // namespace
}  // namespace reckon
