// One optimiser step of the policy on sampled responses.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"
#include "ops/runtime.h"
#include "rl/grpo.h"
#include "train/adamw.h"

namespace reckon {

// A response to learn from. Borrows from the rollout.
struct PolicySequence {
  std::span<const int32_t> prompt_ids, response_ids;
  std::span<const float> old_logprobs;  // [response], recorded while sampling
  std::vector<float> ref_logprobs;      // [response]; empty when beta is 0
  float advantage = 0;
};

struct PolicyUpdateStats {
  double loss = 0, balance_loss = 0;
  double kl = 0;          // sum over tokens of k3 to the reference
  double kl_sampler = 0;  // sum over tokens of k3 from the trained to the sampling policy
  int64_t tokens = 0, clipped_tokens = 0, mismatched_tokens = 0;
  Work work;
  double grad_norm = 0;
};

// Forward, backward and AdamW over `sequences` as one batch: the denominators of the loss cover all
// micro-batches. mismatched_tokens counts log-probabilities whose bits differ from old_logprobs.
PolicyUpdateStats UpdatePolicy(const Runtime& rt, Model& model, AdamW& optimizer,
                               const std::vector<const PolicySequence*>& sequences,
                               const GrpoConfig& config, double learning_rate);

// Fills ref_logprobs of every sequence from `reference`; returns what was fed.
Work FillReference(const Runtime& rt, Model& reference, const GrpoConfig& config,
                   std::vector<PolicySequence>& sequences);

}  // namespace reckon
