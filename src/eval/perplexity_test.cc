#include "eval/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/tiny_model.h"

namespace reckon {
namespace {

using Ids = std::vector<int32_t>;
using testing::HasSubstr;

constexpr int32_t kBos = 1;

class PerplexityOf : public testing::Test {
 protected:
  void SetUp() override {
    model_.Initialize(5);
    for (int32_t i = 0; i < 50; ++i) ids_.push_back((i * i + 3 * i) % 29);
  }

  // -log softmax(logits)[target] of every token after the first, in double.
  double DirectSum(const Ids& window) {
    Batch batch;
    batch.Append(window);
    const Variable logits = model_.Logits(rt_, nullptr, model_.Forward(rt_, nullptr, batch));
    double sum = 0;
    for (size_t i = 0; i + 1 < window.size(); ++i) {
      const float* row = logits.value().row(static_cast<int64_t>(i));
      double total = 0;
      for (int64_t v = 0; v < logits.cols(); ++v) total += std::exp(double{row[v]});
      sum += std::log(total) - double{row[window[i + 1]]};
    }
    return sum;
  }

  PerplexityOptions Options(int64_t context, int32_t bos = kBos) {
    PerplexityOptions options;
    options.context = context;
    options.bos_token_id = bos;
    return options;
  }
  PerplexityResult Measure(const PerplexityOptions& options) {
    return MeasurePerplexity(rt_, model_, ids_, options);
  }

  RuntimeOwner two_threads_{2};
  const Runtime& rt_ = two_threads_.get();
  Model model_{TinyConfig()};
  Ids ids_;
};

// Log-probabilities in f32: an error of some 2^-22 of numbers below 16 each.
constexpr double kTolerance = 1e-5;

TEST_F(PerplexityOf, PiecesBehindABosIsTheDirectSum) {
  // 50 ids in pieces of 19: 19, 19 and 12.
  double sum = 0;
  for (size_t begin = 0; begin < ids_.size(); begin += 19) {
    Ids window = {kBos};
    for (size_t i = begin; i < std::min(begin + 19, ids_.size()); ++i) window.push_back(ids_[i]);
    sum += DirectSum(window);
  }
  const PerplexityResult result = Measure(Options(20));
  EXPECT_EQ(result.n_windows, 3);
  EXPECT_EQ(result.n_predicted, 50);
  EXPECT_NEAR(result.mean_nll, sum / 50, kTolerance);
  EXPECT_DOUBLE_EQ(result.perplexity, std::exp(result.mean_nll));
}

TEST_F(PerplexityOf, PiecesWithoutABosLeavesTheFirstTokenOfEachOut) {
  // Pieces of 7 tokens: seven of them, and one token that predicts nothing.
  double sum = 0;
  for (size_t w = 0; w < 7; ++w) {
    const auto begin = ids_.begin() + static_cast<std::ptrdiff_t>(7 * w);
    sum += DirectSum(Ids(begin, begin + 7));
  }
  const PerplexityResult result = Measure(Options(7, -1));
  EXPECT_EQ(result.n_windows, 7);
  EXPECT_EQ(result.n_predicted, 42);
  EXPECT_NEAR(result.mean_nll, sum / 42, kTolerance);
}

TEST_F(PerplexityOf, ATextIsTheSameBitsForAnyBatchAndThreads) {
  for (const int64_t context : {9, 51}) {
    const PerplexityResult once = Measure(Options(context));
    for (const int64_t rows : {1, 3, 8, 20, 49}) {
      PerplexityOptions options = Options(context);
      options.rows_per_forward = rows;
      EXPECT_EQ(Measure(options).mean_nll, once.mean_nll) << context << " " << rows;
    }
    const RuntimeOwner one(1);
    EXPECT_EQ(MeasurePerplexity(one.get(), model_, ids_, Options(context)).mean_nll, once.mean_nll);
  }
}

TEST_F(PerplexityOf, AsManyWindowsAsAskedForEndsThere) {
  PerplexityOptions options = Options(11);
  options.max_windows = 2;
  int64_t last_done = -1, last_total = 0;
  options.on_progress = [&](int64_t done, int64_t total) {
    EXPECT_GE(done, last_done);
    last_done = done;
    last_total = total;
  };
  const PerplexityResult result = Measure(options);
  EXPECT_EQ(result.n_windows, 2);
  EXPECT_EQ(result.n_predicted, 20);
  EXPECT_EQ(last_done, 20);
  EXPECT_EQ(last_total, 20);
  ids_.resize(20);
  EXPECT_EQ(Measure(Options(11)).mean_nll, result.mean_nll);
}

std::string FailureOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST_F(PerplexityOf, WhatCannotBeMeasuredIsRefused) {
  EXPECT_THAT(FailureOf([&] { Measure(Options(1)); }), HasSubstr("a context of 1 tokens"));
  EXPECT_THAT(FailureOf([&] { Measure(Options(129)); }), HasSubstr("max_position_embeddings, 128"));
  ids_.resize(1);
  EXPECT_THAT(FailureOf([&] { Measure(Options(8, -1)); }), HasSubstr("a text of 1 tokens"));
  ids_.clear();
  EXPECT_THAT(FailureOf([&] { Measure(Options(8)); }), HasSubstr("a text of 0 tokens"));
}

}  // namespace
}  // namespace reckon
