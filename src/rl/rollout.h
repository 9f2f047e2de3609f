// The samples of one GRPO step: problems drawn, answered in groups, and rewarded.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/generate.h"
#include "rl/grpo.h"

namespace reckon {

struct RolloutSample {
  GenerateResult response;
  float reward = 0;
  bool correct = false, well_formed = false, has_reasoning = false;
};

// The responses to one problem.
struct RolloutGroup {
  std::vector<int32_t> prompt_ids;
  std::vector<RolloutSample> samples;  // [num_generations]
};

// Sums over every response sampled in a step, those of dropped groups included.
struct RolloutTotals {
  int64_t samples = 0, correct = 0, well_formed = 0, has_reasoning = 0, truncated = 0;
  int64_t groups_dropped = 0;
  int64_t response_tokens = 0;
  Work work;                       // prompts once a group, and the tokens fed back
  double reward = 0, entropy = 0;  // entropy: nats, summed over response tokens
};

struct Rollout {
  std::vector<RolloutGroup> groups;  // those with signal
  RolloutTotals totals;
  bool cancelled = false;  // interrupted: to be thrown away
};

// Problems and draws are functions of (config.seed, step, index of the prompt, index of the
// sample).
Rollout SampleRollout(const Runtime& rt, Model& model, const Tokenizer& tokenizer,
                      const GrpoConfig& config, int64_t step);

// Reward of a response of `tokens` tokens (grpo.h says how it is made up).
float RewardOf(const GrpoConfig& config, bool correct, bool well_formed, bool truncated,
               int64_t tokens);

}  // namespace reckon
