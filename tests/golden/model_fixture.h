// A model of the shared fixtures beside its expected values: what the tests of all of them need.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "model/weights.h"
#include "ops/log_prob.h"
#include "tests/golden/shared.h"

namespace reckon {

// Tolerances of the fixtures' READMEs, which derive them from what transformers shows in float32.
inline constexpr double kLogitTolerance = 3e-4, kLossTolerance = 2e-5, kRouterTolerance = 2e-5;
inline constexpr double kGradientTolerance = 5e-5, kNormTolerance = 2e-4;

class ModelFixture : public testing::Test {
 protected:
  // Skips the test where the folder or the instruction set is not there.
  void Prepare(const std::string& folder, Isa isa) {
    folder_ = SharedPath(folder);
    if (!FileExists(folder_ + "/config.json")) GTEST_SKIP() << "nothing at " << folder_;
    const KernelTable* table = FindKernelTable(isa);
    if (table == nullptr) GTEST_SKIP() << "this CPU has no " << Name(isa);
    rt_ = {&pool_, table, Precision::kF32};
    expected_ = std::make_unique<SafetensorsFile>(folder_ + "/expected.safetensors");
  }
  void Open(const std::string& name, Isa isa, bool stored = false) {
    Prepare("fixtures/" + name, isa);
    if (IsSkipped()) return;
    model_ = stored ? OpenModel(folder_) : LoadModel(folder_);
    batch_ = expected_->Get("input_ids").shape[0];
    length_ = expected_->Get("input_ids").shape[1];
  }

  std::vector<int32_t> Ids(const std::string& name = "input_ids") const {
    const std::vector<int64_t> wide = expected_->LoadInts(name);
    return {wide.begin(), wide.end()};
  }

  Batch WholeBatch() const {
    const std::vector<int32_t> ids = Ids();
    Batch batch;
    for (int64_t b = 0; b < batch_; ++b) {
      batch.Append({ids.data() + b * length_, static_cast<size_t>(length_)});
    }
    return batch;
  }

  Variable Logits(const Batch& batch) {
    return model_->Logits(rt_, nullptr, model_->Forward(rt_, nullptr, batch));
  }

  // What the model says after the prompt, the likeliest token each time.
  std::vector<int32_t> Greedy(std::vector<int32_t> next, size_t count) {
    KvCache cache(model_->config(), static_cast<int64_t>(next.size() + count));
    std::vector<int32_t> tokens;
    while (tokens.size() < count) {
      Batch batch;
      batch.Append(next, cache.length(), &cache);
      const Variable logits = Logits(batch);
      tokens.push_back(static_cast<int32_t>(
          rt_.kernels->argmax(logits.value().row(logits.rows() - 1), logits.cols())));
      next = {tokens.back()};
    }
    return tokens;
  }

  // `values` [rows, cols] against rows of the expected tensor, which begin at element `offset`.
  void ExpectNear(const Matrix& values, const std::string& name, double tolerance,
                  int64_t offset = 0) const {
    const Tensor want = expected_->LoadF32(name);
    for (int64_t r = 0; r < values.rows; ++r) {
      for (int64_t c = 0; c < values.cols; ++c) {
        ASSERT_NEAR(values.row(r)[c], want.f32()[offset + r * values.cols + c], tolerance)
            << name << " row " << r << " column " << c;
      }
    }
  }

  void ExpectRouting(const Routing& routing, const std::string& prefix, double scaling = 1) const {
    const std::vector<int64_t> want = expected_->LoadInts(prefix + ".topk_indices");
    ASSERT_EQ(std::vector<int64_t>(routing.experts->begin(), routing.experts->end()), want)
        << prefix;
    ExpectNear(routing.weights.value(), prefix + ".topk_weights", kRouterTolerance * scaling);
  }

  // Mean cross-entropy of the rows that have a target; seeds d loss / d logprob when on a tape.
  double Loss(Tape* tape, const Variable& hidden, const std::vector<int64_t>& rows,
              const std::vector<int32_t>& targets, double weight = 1) {
    const Variable chosen = GatherRows(rt_, tape, hidden, rows);
    const LogProbs logprobs = TokenLogProbs(rt_, tape, model_->Logits(rt_, tape, chosen), targets);
    return Seed(tape, logprobs, weight);
  }

  static double Seed(Tape* tape, const LogProbs& logprobs, double weight) {
    double sum = 0;
    const int64_t count = logprobs.values.rows();
    for (int64_t i = 0; i < count; ++i) {
      sum -= logprobs.values.value().row(i)[0];
      if (tape != nullptr) {
        logprobs.values.grad().row(i)[0] = static_cast<float>(-weight / static_cast<double>(count));
      }
    }
    return sum / static_cast<double>(count);
  }

  struct Targets {
    std::vector<int64_t> rows;
    std::vector<int32_t> ids;
  };
  // Row b * stride + i predicts ids[b, i + shift].
  Targets NextTokens(int64_t stride, int64_t shift) const {
    const std::vector<int32_t> ids = Ids();
    Targets targets;
    for (int64_t b = 0; b < batch_; ++b) {
      for (int64_t i = 0; i + shift < length_; ++i) {
        targets.rows.push_back(b * stride + i);
        targets.ids.push_back(ids[static_cast<size_t>(b * length_ + i + shift)]);
      }
    }
    return targets;
  }

  double MainLoss(Tape* tape) {
    const Variable hidden = model_->Forward(rt_, tape, WholeBatch());
    const Targets targets = NextTokens(length_, 1);
    return Loss(tape, hidden, targets.rows, targets.ids);
  }

  std::string folder_;
  int64_t batch_ = 0, length_ = 0;
  ThreadPool pool_{2};
  Runtime rt_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<SafetensorsFile> expected_;
};

}  // namespace reckon
