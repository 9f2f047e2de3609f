// GRPO (arXiv:2402.03300) with the variants that later work added: DAPO's separate upper clip
// bound, token mean and resampling (arXiv:2503.14476), Dr. GRPO's constant denominator and unscaled
// advantages (arXiv:2503.20783). Sampling and training run in one process on the same weights by
// the same forward, so the log-probabilities recorded while sampling are those of the trainer, bit
// for bit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cost/flops.h"
#include "formats/json.h"
#include "model/model.h"
#include "rl/advantages.h"
#include "rl/policy_loss.h"
#include "tasks/task.h"
#include "text/tokenizer.h"
#include "train/adamw.h"
#include "train/stage.h"

namespace reckon {

struct TaskShare {
  std::shared_ptr<const Task> task;
  double weight = 1;
};

// Names are TRL's (GRPOConfig) where it has one.
struct GrpoConfig {
  std::vector<TaskShare> tasks;
  uint64_t seed = 0;
  int64_t steps = 100;
  int64_t prompts_per_step = 32;
  int64_t num_generations = 8;         // responses a prompt: the group
  int64_t max_completion_length = 64;  // tokens, the end token included
  double temperature = 1;              // of sampling and of the trained distribution
  int64_t rollout_batch = 256;         // sequences decoded at once; does not change results

  // Reward = accuracy_weight * right + format_weight * well_formed + overlong_weight * penalty,
  // with the penalty of arXiv:2503.14476, eq. 13: 0 up to max_completion_length -
  // soft_overlong_cache tokens, then down to -1. A response that was cut off at the limit earns
  // neither of the first two.
  double accuracy_weight = 1, format_weight = 0.1, overlong_weight = 0;
  int64_t soft_overlong_cache = 0;

  AdvantageScale scale_rewards = AdvantageScale::kSampleStd;
  double advantage_epsilon = 1e-4;
  bool resample_groups = false;  // replace groups without signal by further prompts
  int64_t max_resample_rounds = 3;

  PolicyLossConfig loss{0.2, 0.28, 0};
  LossAggregation loss_type = LossAggregation::kTokenMean;
  int64_t num_iterations = 1;        // passes over the samples of a step
  int64_t num_mini_batches = 1;      // optimiser steps a pass
  int64_t ref_model_sync_steps = 0;  // 0: the reference stays as it was at the beginning

  AdamWConfig optimizer{0.9, 0.99, 1e-8, 0.0, 1.0};
  LrSchedule schedule{ScheduleKind::kConstant, 2e-4, 0, 0, 1, 0.2};
  double balance_alpha = 0, bias_update_speed = 0;
  int64_t max_rows_per_micro_batch = 4096;

  double target_accuracy = 0;       // 0: off; else stop once the mean accuracy of the last
  int64_t target_window_steps = 5;  // target_window_steps steps reaches it
};

// Reads the keys of a "grpo" object and leaves others to the caller, who calls Finish. `tasks` is
// an array of {"task": {"name": ..., knobs}, "weight": 1}.
GrpoConfig ParseGrpoConfig(ObjectReader& reader);

struct GrpoResult {
  int64_t steps = 0;   // done, those of earlier runs of the stage included
  double seconds = 0;  // so too
  double rollout_seconds = 0, update_seconds = 0;
  int64_t response_tokens = 0;    // sampled
  Work sampled, reference;        // forward passes: prompts once a group and responses; reference
  Work trained;                   // forward and backward passes
  int64_t mismatched_tokens = 0;  // sampled log-probability != trained, over all steps: 0
  double accuracy = 0;            // mean over the last target_window_steps steps
  bool reached_target = false;
};

// Runs or resumes the stage. Interrupted: writes a checkpoint, throws Error{kCancelled}.
GrpoResult RunGrpo(StageContext& context, Model& model, const Tokenizer& tokenizer,
                   const GrpoConfig& config);

}  // namespace reckon
