#include "rl/policy_loss.h"

#include "base/error.h"
#include "base/math.h"

namespace reckon {

TokenPolicyLoss PolicyLossOfToken(double new_logprob, double old_logprob, double ref_logprob,
                                  double advantage, const PolicyLossConfig& config) {
  TokenPolicyLoss out;
  out.ratio = Exp(new_logprob - old_logprob);
  const double low = 1 - config.epsilon, high = 1 + config.epsilon_high;
  // The minimum of the two surrogates is the clipped one just where clipping makes it smaller.
  out.clipped = (advantage > 0 && out.ratio > high) || (advantage < 0 && out.ratio < low);
  const double bounded = advantage > 0 ? high : low;
  const double surrogate = (out.clipped ? bounded : out.ratio) * advantage;
  out.loss = -surrogate;
  out.d_logprob = out.clipped ? 0 : -out.ratio * advantage;
  if (config.beta > 0) {
    const double difference = ref_logprob - new_logprob, inverse = Exp(difference);
    out.k3 = inverse - difference - 1;
    out.loss += config.beta * out.k3;
    out.d_logprob += config.beta * (1 - inverse);
  }
  return out;
}

std::vector<double> AggregationWeights(std::span<const int64_t> lengths,
                                       LossAggregation aggregation, int64_t max_length) {
  int64_t tokens = 0;
  for (int64_t length : lengths) {
    Check(length >= 1 && length <= max_length, "AggregationWeights: a length is out of range");
    tokens += length;
  }
  const auto sequences = static_cast<double>(lengths.size());
  std::vector<double> weights;
  weights.reserve(lengths.size());
  for (int64_t length : lengths) {
    switch (aggregation) {
      case LossAggregation::kSequenceMean:
        weights.push_back(1 / (sequences * static_cast<double>(length)));
        break;
      case LossAggregation::kTokenMean:
        weights.push_back(1 / static_cast<double>(tokens));
        break;
      case LossAggregation::kConstant:
        weights.push_back(1 / (sequences * static_cast<double>(max_length)));
        break;
    }
  }
  return weights;
}

}  // namespace reckon
