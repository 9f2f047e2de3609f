#include "ops/moe.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "ops/gradient.h"
#include "ops/parallel.h"

namespace reckon {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kNormEpsilon = 1e-20f;  // as in the released code

// Scores to choose by: biased, and -infinity outside the chosen groups.
class Chooser {
 public:
  Chooser(const RouterShape& shape, std::span<const float> bias)
      : shape_(shape),
        bias_(bias),
        choice_(static_cast<size_t>(shape.n_routed_experts)),
        group_(static_cast<size_t>(shape.n_group)) {}

  // The experts of one row, ascending.
  void Choose(const float* scores, int32_t* experts) {
    for (size_t e = 0; e < choice_.size(); ++e) {
      choice_[e] = scores[e] + (bias_.empty() ? 0.0f : bias_[e]);
    }
    if (shape_.topk_method != TopkMethod::kGreedy && shape_.n_group > 1) MaskGroups();
    TakeBest(choice_, shape_.num_experts_per_tok, experts);
  }

 private:
  // The k best in ascending order of index; among equals the lowest index is taken first.
  void TakeBest(const std::vector<float>& values, int64_t k, int32_t* out) {
    taken_.assign(values.size(), 0);
    for (int64_t j = 0; j < k; ++j) {
      size_t best = values.size();
      for (size_t e = 0; e < values.size(); ++e) {
        if (taken_[e] == 0 && (best == values.size() || values[e] > values[best])) best = e;
      }
      taken_[best] = 1;
    }
    for (size_t e = 0; e < values.size(); ++e) {
      if (taken_[e] != 0) *out++ = static_cast<int32_t>(e);
    }
  }

  void MaskGroups() {
    const size_t size = choice_.size() / group_.size();
    for (size_t g = 0; g < group_.size(); ++g) {
      float best = kMinusInfinity, second = kMinusInfinity;
      for (size_t e = g * size; e < (g + 1) * size; ++e) {
        if (choice_[e] > best) {
          second = best;
          best = choice_[e];
        } else if (choice_[e] > second) {
          second = choice_[e];
        }
      }
      group_[g] = shape_.topk_method == TopkMethod::kNoauxTc && size > 1 ? best + second : best;
    }
    std::vector<int32_t> chosen(static_cast<size_t>(shape_.topk_group));
    TakeBest(group_, shape_.topk_group, chosen.data());
    for (size_t g = 0; g < group_.size(); ++g) {
      if (std::find(chosen.begin(), chosen.end(), static_cast<int32_t>(g)) != chosen.end())
        continue;
      std::fill_n(choice_.begin() + static_cast<std::ptrdiff_t>(g * size), size, kMinusInfinity);
    }
  }

  const RouterShape& shape_;
  std::span<const float> bias_;
  std::vector<float> choice_, group_;
  std::vector<uint8_t> taken_;
};

bool Normalised(const RouterShape& shape) {
  return shape.norm_topk_prob && shape.num_experts_per_tok > 1;
}

float SumOfChosen(const float* scores, const int32_t* experts, int64_t k) {
  float sum = 0;
  for (int64_t j = 0; j < k; ++j) sum += scores[experts[j]];
  return sum + kNormEpsilon;
}

void RouteRow(const RouterShape& shape, Chooser& chooser, const float* scores, int32_t* experts,
              float* weights) {
  const int64_t k = shape.num_experts_per_tok;
  chooser.Choose(scores, experts);
  const float sum = Normalised(shape) ? SumOfChosen(scores, experts, k) : 1.0f;
  for (int64_t j = 0; j < k; ++j) {
    weights[j] = scores[experts[j]] / sum * shape.routed_scaling_factor;
  }
}

// Counting sort of the choices by expert; rows ascend within one.
void SortByExpert(const RouterShape& shape, Routing& routing) {
  const std::vector<int32_t>& experts = *routing.experts;
  std::vector<int64_t>& offsets = *routing.offsets;
  offsets.assign(static_cast<size_t>(shape.n_routed_experts) + 1, 0);
  for (int32_t e : experts) ++offsets[static_cast<size_t>(e) + 1];
  for (size_t e = 1; e < offsets.size(); ++e) offsets[e] += offsets[e - 1];
  std::vector<int64_t> next(offsets.begin(), offsets.end() - 1);
  routing.source->resize(experts.size());
  routing.slots->resize(experts.size());
  for (size_t i = 0; i < experts.size(); ++i) {
    const int64_t slot = next[static_cast<size_t>(experts[i])]++;
    (*routing.source)[static_cast<size_t>(slot)] = static_cast<int64_t>(i);
    (*routing.slots)[i] = slot;
  }
}

// f_i of eq. 18 (with 1 / T taken out): how often expert i is among the unbiased top k, times
// n_routed_experts / num_experts_per_tok.
std::vector<float> ChoiceFrequency(const RouterShape& shape, const Matrix& scores,
                                   const RowSpan& span) {
  RouterShape plain = shape;
  plain.topk_method = TopkMethod::kGreedy;
  Chooser chooser(plain, {});
  std::vector<int32_t> experts(static_cast<size_t>(shape.num_experts_per_tok));
  std::vector<float> frequency(static_cast<size_t>(shape.n_routed_experts), 0);
  for (int64_t r = span.begin; r < span.begin + span.count; ++r) {
    chooser.Choose(scores.row(r), experts.data());
    for (int32_t e : experts) frequency[static_cast<size_t>(e)] += 1;
  }
  const float factor =
      static_cast<float>(shape.n_routed_experts) /
      (static_cast<float>(shape.num_experts_per_tok) * static_cast<float>(span.count));
  for (float& f : frequency) f *= factor;
  return frequency;
}

struct BalanceSpan {
  RowSpan rows;
  std::vector<float> frequency;
};

float SumOfRow(const float* x, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

// sum_i f_i P_i of one span (eq. 17 to 20).
double BalanceLoss(const Matrix& scores, const BalanceSpan& span) {
  double loss = 0;
  for (int64_t r = span.rows.begin; r < span.rows.begin + span.rows.count; ++r) {
    const float* s = scores.row(r);
    const double sum = SumOfRow(s, scores.cols);
    for (int64_t e = 0; e < scores.cols; ++e)
      loss += span.frequency[static_cast<size_t>(e)] * (s[e] / sum);
  }
  return loss / static_cast<double>(span.rows.count);
}

// ds += alpha / T * (f - sum_j f_j s'_j) / sum(s)
void AddBalanceGradient(const Matrix& scores, const BalanceSpan& span, float alpha, int64_t row,
                        float* ds) {
  const float* s = scores.row(row);
  const float sum = SumOfRow(s, scores.cols);
  float mean = 0;
  for (int64_t e = 0; e < scores.cols; ++e)
    mean += span.frequency[static_cast<size_t>(e)] * (s[e] / sum);
  const float factor = alpha / static_cast<float>(span.rows.count) / sum;
  for (int64_t e = 0; e < scores.cols; ++e) {
    ds[e] += factor * (span.frequency[static_cast<size_t>(e)] - mean);
  }
}

// ds from the gradient of the weights: g_i = lambda s_i / (sum + eps).
void AddWeightGradient(const RouterShape& shape, const float* scores, const int32_t* experts,
                       const float* dweights, float* ds) {
  const int64_t k = shape.num_experts_per_tok;
  const float lambda = shape.routed_scaling_factor;
  if (!Normalised(shape)) {
    for (int64_t j = 0; j < k; ++j) ds[experts[j]] += lambda * dweights[j];
    return;
  }
  const float sum = SumOfChosen(scores, experts, k);
  float mean = 0;
  for (int64_t j = 0; j < k; ++j) mean += dweights[j] * (scores[experts[j]] / sum);
  for (int64_t j = 0; j < k; ++j) ds[experts[j]] += lambda / sum * (dweights[j] - mean);
}

struct RouteBackward {
  Runtime rt;
  Variable logits, scores, weights;
  std::shared_ptr<std::vector<int32_t>> experts;
  RouterShape shape;
  float alpha = 0;
  std::vector<BalanceSpan> spans;

  void operator()() const {
    if (!weights.has_grad() && spans.empty()) return;
    const Variable::GradTarget d = logits.grad_target();
    std::vector<const BalanceSpan*> span_of(static_cast<size_t>(logits.rows()), nullptr);
    for (const BalanceSpan& span : spans) {
      for (int64_t r = 0; r < span.rows.count; ++r)
        span_of[static_cast<size_t>(span.rows.begin + r)] = &span;
    }
    ForRowBlocks(rt, logits.rows(), 8 * logits.cols(), [&](int64_t begin, int64_t end) {
      std::vector<float> ds(static_cast<size_t>(logits.cols()));
      for (int64_t r = begin; r < end; ++r) {
        Row(r, span_of[static_cast<size_t>(r)], ds);
        Give(rt, d.accumulate, ds.data(), logits.cols(), d.matrix.row(r));
      }
    });
  }

  // The gradient of one row's logits.
  void Row(int64_t r, const BalanceSpan* span, std::vector<float>& ds) const {
    const int64_t k = shape.num_experts_per_tok;
    const float* s = scores.value().row(r);
    std::fill(ds.begin(), ds.end(), 0.0f);
    if (weights.has_grad()) {
      AddWeightGradient(shape, s, experts->data() + r * k, weights.grad().row(r), ds.data());
    }
    if (span != nullptr) AddBalanceGradient(scores.value(), *span, alpha, r, ds.data());
    if (shape.scoring_func == ScoringFunc::kSoftmax) {
      rt.kernels->softmax_backward(s, ds.data(), 1.0f, logits.cols(), ds.data());
      return;
    }
    for (size_t e = 0; e < ds.size(); ++e) ds[e] *= s[e] * (1.0f - s[e]);
  }
};

}  // namespace

Routing Route(const Runtime& rt, Tape* tape, const Variable& logits,
              std::span<const float> correction_bias, const RouterShape& shape, float balance_alpha,
              const std::vector<RowSpan>& spans) {
  const int64_t rows = logits.rows(), k = shape.num_experts_per_tok;
  Check(logits.cols() == shape.n_routed_experts, "Route: one logit an expert");
  Check(correction_bias.empty() ||
            static_cast<int64_t>(correction_bias.size()) == shape.n_routed_experts,
        "Route: one correction bias an expert");
  Routing routing;
  routing.experts = std::make_shared<std::vector<int32_t>>(static_cast<size_t>(rows * k));
  routing.offsets = std::make_shared<std::vector<int64_t>>();
  routing.source = std::make_shared<std::vector<int64_t>>();
  routing.slots = std::make_shared<std::vector<int64_t>>();
  routing.weights = Variable(rows, k);
  routing.scores = Variable(rows, logits.cols());
  ForRowBlocks(rt, rows, 16 * logits.cols(), [&](int64_t begin, int64_t end) {
    Chooser chooser(shape, correction_bias);
    for (int64_t r = begin; r < end; ++r) {
      float* scores = routing.scores.value().row(r);
      if (shape.scoring_func == ScoringFunc::kSigmoid) {
        rt.kernels->sigmoid(logits.value().row(r), logits.cols(), scores);
      } else {
        rt.kernels->softmax(logits.value().row(r), 1.0f, logits.cols(), scores);
      }
      RouteRow(shape, chooser, scores, routing.experts->data() + r * k,
               routing.weights.value().row(r));
    }
  });
  SortByExpert(shape, routing);
  std::vector<BalanceSpan> balance;
  if (balance_alpha > 0) {
    for (const RowSpan& span : spans) {
      if (span.count > 0)
        balance.push_back({span, ChoiceFrequency(shape, routing.scores.value(), span)});
    }
  }
  for (const BalanceSpan& span : balance) {
    routing.balance_loss += balance_alpha * BalanceLoss(routing.scores.value(), span);
  }
  if (tape != nullptr) {
    tape->Record(RouteBackward{rt, logits, routing.scores, routing.weights, routing.experts, shape,
                               balance_alpha, std::move(balance)});
  }
  return routing;
}

Variable Dispatch(const Runtime& rt, Tape* tape, const Variable& x, const Routing& routing) {
  Check(x.rows() == routing.weights.rows(), "Dispatch: one routing a row");
  const int64_t k = routing.weights.cols(), slots = x.rows() * k;
  Variable y(slots, x.cols());
  ForRowBlocks(rt, slots, x.cols(), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      std::memcpy(y.value().row(s), x.value().row((*routing.source)[static_cast<size_t>(s)] / k),
                  static_cast<size_t>(x.cols()) * sizeof(float));
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, x, y, k, slot_of = routing.slots] {
      if (!y.has_grad()) return;
      const Variable::GradTarget dx = x.grad_target();
      const Matrix dy = y.grad();
      ForRowBlocks(rt, x.rows(), k * x.cols(), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t j = 0; j < k; ++j) {
            const float* from = dy.row((*slot_of)[static_cast<size_t>(r * k + j)]);
            float* to = dx.matrix.row(r);
            Give(rt, j > 0 || dx.accumulate, from, dy.cols, to);
          }
        }
      });
    });
  }
  return y;
}

Variable Combine(const Runtime& rt, Tape* tape, const Variable& expert_out,
                 const Routing& routing) {
  const int64_t k = routing.weights.cols(), rows = routing.weights.rows();
  Check(expert_out.rows() == rows * k, "Combine: one row a choice");
  Variable y(rows, expert_out.cols());
  const auto slot_of = routing.slots;
  const Variable weights = routing.weights;
  ForRowBlocks(rt, rows, k * y.cols(), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t j = 0; j < k; ++j) {
        const float* from = expert_out.value().row((*slot_of)[static_cast<size_t>(r * k + j)]);
        const float w = weights.value().row(r)[j];
        (j == 0 ? rt.kernels->scale : rt.kernels->axpy)(w, from, y.cols(), y.value().row(r));
      }
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, expert_out, weights, slot_of, y, k] {
      if (!y.has_grad()) return;
      const Matrix dy = y.grad(), out = expert_out.value();
      Check(!expert_out.has_grad() && !weights.has_grad(), "Combine: its inputs have one reader");
      const Matrix dout = expert_out.grad_target().matrix, dw = weights.grad_target().matrix;
      ForRowBlocks(rt, y.rows(), 2 * k * y.cols(), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t j = 0; j < k; ++j) {
            const int64_t slot = (*slot_of)[static_cast<size_t>(r * k + j)];
            dw.row(r)[j] = rt.kernels->dot(dy.row(r), out.row(slot), y.cols());
            rt.kernels->scale(weights.value().row(r)[j], dy.row(r), y.cols(), dout.row(slot));
          }
        }
      });
    });
  }
  return y;
}

}  // namespace reckon
