#include "ops/log_prob.h"

#include <fmt/format.h>

#include "base/error.h"
#include "ops/parallel.h"

namespace reckon {

LogProbs TokenLogProbs(const Runtime& rt, Tape* tape, const Variable& logits,
                       std::span<const int32_t> targets, float temperature) {
  Check(static_cast<int64_t>(targets.size()) == logits.rows(), "TokenLogProbs: one target a row");
  Check(temperature > 0, "TokenLogProbs: the temperature must be positive");
  for (int32_t target : targets) {
    if (target < 0 || target >= logits.cols()) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("target id {} is outside the vocabulary of {}", target, logits.cols()));
    }
  }
  const float scale = 1.0f / temperature;
  const int64_t rows = logits.rows(), vocab_size = logits.cols();
  LogProbs result;
  result.values = Variable(rows, 1);
  result.entropy.resize(targets.size());
  std::vector<float> log_sum_exp(targets.size());
  ForRowBlocks(rt, rows, 4 * vocab_size, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const size_t i = static_cast<size_t>(r);
      const SoftmaxStats stats =
          rt.kernels->softmax_stats(logits.value().row(r), scale, vocab_size);
      log_sum_exp[i] = stats.log_sum_exp;
      result.entropy[i] = stats.entropy;
      result.values.value().row(r)[0] =
          scale * logits.value().row(r)[targets[i]] - stats.log_sum_exp;
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, logits, scale, values = result.values, lse = std::move(log_sum_exp),
                  saved = std::vector<int32_t>(targets.begin(), targets.end())] {
      if (!values.has_grad()) return;
      Check(!logits.has_grad(), "TokenLogProbs: the logits may have one reader only");
      const Matrix dx = logits.grad_target().matrix, d = values.grad();
      ForRowBlocks(rt, dx.rows, 4 * dx.cols, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const size_t i = static_cast<size_t>(r);
          rt.kernels->log_prob_backward(logits.value().row(r), scale, lse[i], saved[i], d.row(r)[0],
                                        dx.cols, dx.row(r));
        }
      });
    });
  }
  return result;
}

}  // namespace reckon
