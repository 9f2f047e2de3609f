// How well a model predicts a text: the mean negative log-probability of its tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "eval/windows.h"
#include "model/model.h"
#include "ops/runtime.h"

namespace reckon {

// Without a bos the first token of a window is not predicted.
struct PerplexityOptions : WindowOptions {
  // Rows fed at once; bounds the memory. The result does not depend on it.
  int64_t rows_per_forward = 1024;
  std::function<void(int64_t done, int64_t total)> on_progress;  // predicted tokens
};

struct PerplexityResult {
  int64_t n_windows = 0, n_predicted = 0;
  double mean_nll = 0;    // nats a token
  double perplexity = 1;  // exp(mean_nll)
};

// Cuts the ids of a text into consecutive pieces of context - 1, each behind one bos (of context,
// where there is none), at positions 0, 1, ... The last piece may be shorter. Every token after the
// bos is predicted from those before it in its window. Throws kInvalidArgument for a context below
// 2 or above the model's max_position_embeddings and for ids that leave nothing to predict,
// kCancelled when the user interrupts.
PerplexityResult MeasurePerplexity(const Runtime& rt, Model& model, std::span<const int32_t> ids,
                                   const PerplexityOptions& options);

}  // namespace reckon
