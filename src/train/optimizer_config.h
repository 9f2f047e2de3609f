// The keys of an optimiser and its schedule, the same in every kind of stage.
#pragma once

#include "formats/json.h"
#include "train/adamw.h"
#include "train/stage.h"

namespace reckon {

// learning_rate, min_learning_rate, schedule (constant, cosine, constant_then_decay), warmup_steps,
// decay_fraction; adam_beta1, adam_beta2, adam_epsilon, weight_decay, max_grad_norm. The values
// given are the defaults. `total_steps` is the stage's.
void ReadOptimizer(ObjectReader& reader, int64_t total_steps, AdamWConfig& optimizer,
                   LrSchedule& schedule);

}  // namespace reckon
