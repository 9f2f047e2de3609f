// Expert routing, dispatch and combination (DeepSeek-V3, arXiv:2412.19437, eq. 12 to 20).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/parameter.h"
#include "ops/tape.h"

namespace reckon {

enum class ScoringFunc { kSigmoid, kSoftmax };
enum class TopkMethod { kNoauxTc, kGreedy, kGroupLimitedGreedy };

struct RouterShape {
  int64_t n_routed_experts = 0, num_experts_per_tok = 0, n_group = 1, topk_group = 1;
  float routed_scaling_factor = 1;
  bool norm_topk_prob = true;
  ScoringFunc scoring_func = ScoringFunc::kSigmoid;
  TopkMethod topk_method = TopkMethod::kNoauxTc;
};

// Rows of one sequence, for the sequence-wise balance loss.
struct RowSpan {
  int64_t begin = 0, count = 0;
};

struct Routing {
  // Chosen experts of a row, ascending id: [rows * num_experts_per_tok].
  std::shared_ptr<std::vector<int32_t>> experts;
  Variable weights;  // [rows, num_experts_per_tok], after normalisation and scaling
  Variable scores;   // [rows, n_routed_experts], before any bias
  // Rows of the dispatched order: expert e owns slots [offsets[e], offsets[e+1]); slot s came from
  // choice source[s] = row * num_experts_per_tok + j. Within an expert rows ascend.
  std::shared_ptr<std::vector<int64_t>> offsets, source;
  std::shared_ptr<std::vector<int64_t>> slots;  // the inverse: slot of choice row * k + j
  double balance_loss = 0;                      // sum over the spans, times balance_alpha
};

// logits [rows, n_routed_experts] (f32 product with the gate); correction_bias [n_routed_experts],
// may be empty. Ties: the lowest index wins. Groups rank by the sum of their two best biased scores
// (noaux_tc) or their best (group_limited_greedy); experts outside the chosen groups are -inf.
// balance_alpha > 0 adds balance_alpha * sum_i f_i P_i (eq. 17 to 20) of every span to the gradient
// of the logits. A mean over the sequences of a step is the caller's division: only it knows their
// number, and a sequence has the same bits in any micro-batch. The caller adds balance_loss to the
// loss it reports.
Routing Route(const Runtime& rt, Tape* tape, const Variable& logits,
              std::span<const float> correction_bias, const RouterShape& shape,
              float balance_alpha = 0, const std::vector<RowSpan>& spans = {});

// Rows of x in dispatched order: [rows * num_experts_per_tok, hidden].
Variable Dispatch(const Runtime& rt, Tape* tape, const Variable& x, const Routing& routing);

// y[row] = sum_j weights[row, j] * expert_out[slot of (row, j)], j ascending; [rows, hidden].
Variable Combine(const Runtime& rt, Tape* tape, const Variable& expert_out, const Routing& routing);

}  // namespace reckon
