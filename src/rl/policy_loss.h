// The clipped policy-gradient loss of GRPO (arXiv:2402.03300, eq. 3 and 4) with DAPO's separate
// upper bound (arXiv:2503.14476, eq. 10) and the k3 estimate of the KL divergence to a reference
// policy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reckon {

// How the losses of tokens become one number.
enum class LossAggregation {
  kSequenceMean,  // mean over sequences of the mean over their tokens (GRPO)
  kTokenMean,     // sum over all tokens / number of tokens (DAPO)
  kConstant,      // sum over all tokens / (sequences * longest possible response) (Dr. GRPO)
};

struct PolicyLossConfig {
  double epsilon = 0.2;       // ratio is clipped below at 1 - epsilon
  double epsilon_high = 0.2;  // and above at 1 + epsilon_high
  double beta = 0;            // weight of the KL term
};

struct TokenPolicyLoss {
  double loss = 0;       // -(min(ratio A, clip(ratio) A) - beta k3)
  double d_logprob = 0;  // d loss / d new_logprob
  double ratio = 1;      // exp(new - old)
  double k3 = 0;         // exp(ref - new) - (ref - new) - 1; 0 when beta is 0
  bool clipped = false;  // the clip removes the gradient of the surrogate
};

// Log-probabilities in nats; ref_logprob is not read when beta is 0.
TokenPolicyLoss PolicyLossOfToken(double new_logprob, double old_logprob, double ref_logprob,
                                  double advantage, const PolicyLossConfig& config);

// Weight of each token of sequence i in the sum that is the loss; lengths [sequences] count the
// tokens that are learnt from. Over one optimiser step, whatever its micro-batches.
std::vector<double> AggregationWeights(std::span<const int64_t> lengths,
                                       LossAggregation aggregation, int64_t max_length);

}  // namespace reckon
