#include "train/optimizer_config.h"

namespace reckon {

void ReadOptimizer(ObjectReader& reader, int64_t total_steps, AdamWConfig& optimizer,
                   LrSchedule& schedule) {
  schedule.learning_rate = reader.Number("learning_rate", 0, 10, schedule.learning_rate);
  schedule.min_learning_rate =
      reader.Number("min_learning_rate", 0, schedule.learning_rate, schedule.min_learning_rate);
  const std::vector<std::string> kinds = {"constant", "cosine", "constant_then_decay"};
  const std::string kind =
      reader.Choice("schedule", kinds, kinds[static_cast<size_t>(schedule.kind)]);
  schedule.kind = kind == "constant" ? ScheduleKind::kConstant
                  : kind == "cosine" ? ScheduleKind::kCosine
                                     : ScheduleKind::kConstantThenDecay;
  schedule.warmup_steps = reader.Int("warmup_steps", 0, total_steps, schedule.warmup_steps);
  schedule.decay_fraction = reader.Number("decay_fraction", 0, 1, schedule.decay_fraction);
  schedule.total_steps = total_steps;
  optimizer.beta1 = reader.Number("adam_beta1", 0, 0.99999, optimizer.beta1);
  optimizer.beta2 = reader.Number("adam_beta2", 0, 0.999999, optimizer.beta2);
  optimizer.epsilon = reader.Number("adam_epsilon", 1e-30, 1, optimizer.epsilon);
  optimizer.weight_decay = reader.Number("weight_decay", 0, 10, optimizer.weight_decay);
  optimizer.max_grad_norm = reader.Number("max_grad_norm", 0, 1e6, optimizer.max_grad_norm);
}

}  // namespace reckon
