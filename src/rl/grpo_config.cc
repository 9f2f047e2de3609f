#include <fmt/format.h>

#include "base/error.h"
#include "rl/grpo.h"
#include "train/optimizer_config.h"

namespace reckon {
namespace {

constexpr int64_t kManySteps = 100'000'000;

std::vector<TaskShare> ParseTasks(ObjectReader& reader) {
  const Json& list = reader.Get("tasks");
  const std::string path = reader.PathOf("tasks");
  if (!list.is_array() || list.empty()) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: must be a list of at least one {{\"task\": ..., \"weight\": 1}}", path));
  }
  std::vector<TaskShare> tasks;
  for (size_t i = 0; i < list.size(); ++i) {
    ObjectReader entry(list[i], fmt::format("{}[{}]", path, i));
    TaskShare share;
    share.task = MakeTask(entry.Get("task"), entry.PathOf("task"));
    share.weight = entry.Number("weight", 1e-9, 1e9, 1.0);
    entry.Finish();
    tasks.push_back(std::move(share));
  }
  return tasks;
}

void ParseSampling(ObjectReader& reader, GrpoConfig& config) {
  config.prompts_per_step = reader.Int("prompts_per_step", 1, 1 << 20, config.prompts_per_step);
  config.num_generations = reader.Int("num_generations", 2, 1 << 16, config.num_generations);
  config.max_completion_length =
      reader.Int("max_completion_length", 1, 1 << 20, config.max_completion_length);
  config.temperature = reader.Number("temperature", 0.01, 100, config.temperature);
  config.rollout_batch = reader.Int("rollout_batch", 1, 1 << 20, config.rollout_batch);
  config.resample_groups = reader.Bool("resample_groups", config.resample_groups);
  config.max_resample_rounds =
      reader.Int("max_resample_rounds", 1, 1000, config.max_resample_rounds);
}

void ParseRewards(ObjectReader& reader, GrpoConfig& config) {
  config.accuracy_weight = reader.Number("accuracy_weight", -1e6, 1e6, config.accuracy_weight);
  config.format_weight = reader.Number("format_weight", -1e6, 1e6, config.format_weight);
  config.overlong_weight = reader.Number("overlong_weight", 0, 1e6, config.overlong_weight);
  config.soft_overlong_cache =
      reader.Int("soft_overlong_cache", 0, config.max_completion_length, 0);
  const std::string scale =
      reader.Choice("scale_rewards", {"group", "population", "none"}, "group");
  config.scale_rewards = scale == "group"        ? AdvantageScale::kSampleStd
                         : scale == "population" ? AdvantageScale::kPopulationStd
                                                 : AdvantageScale::kNone;
  config.advantage_epsilon = reader.Number("advantage_epsilon", 0, 1, config.advantage_epsilon);
}

void ParseLoss(ObjectReader& reader, GrpoConfig& config) {
  config.loss.epsilon = reader.Number("epsilon", 0, 1, config.loss.epsilon);
  config.loss.epsilon_high = reader.Number("epsilon_high", 0, 1e6, config.loss.epsilon_high);
  config.loss.beta = reader.Number("beta", 0, 1e3, config.loss.beta);
  const std::string type = reader.Choice("loss_type", {"grpo", "dapo", "dr_grpo"}, "dapo");
  config.loss_type = type == "grpo"   ? LossAggregation::kSequenceMean
                     : type == "dapo" ? LossAggregation::kTokenMean
                                      : LossAggregation::kConstant;
  config.num_iterations = reader.Int("num_iterations", 1, 1000, config.num_iterations);
  config.num_mini_batches = reader.Int("num_mini_batches", 1, 1 << 20, config.num_mini_batches);
  config.ref_model_sync_steps =
      reader.Int("ref_model_sync_steps", 0, kManySteps, config.ref_model_sync_steps);
}

void ParseOptimizer(ObjectReader& reader, GrpoConfig& config) {
  ReadOptimizer(reader, config.steps, config.optimizer, config.schedule);
  config.balance_alpha = reader.Number("balance_alpha", 0, 100, config.balance_alpha);
  config.bias_update_speed = reader.Number("bias_update_speed", 0, 1, config.bias_update_speed);
  config.max_rows_per_micro_batch =
      reader.Int("max_rows_per_micro_batch", 1, 1 << 24, config.max_rows_per_micro_batch);
}

}  // namespace

GrpoConfig ParseGrpoConfig(ObjectReader& reader) {
  GrpoConfig config;
  config.tasks = ParseTasks(reader);
  config.steps = reader.Int("steps", 1, kManySteps, config.steps);
  ParseSampling(reader, config);
  ParseRewards(reader, config);
  ParseLoss(reader, config);
  ParseOptimizer(reader, config);
  config.target_accuracy = reader.Number("target_accuracy", 0, 1, config.target_accuracy);
  config.target_window_steps =
      reader.Int("target_window_steps", 1, 100'000, config.target_window_steps);
  const int64_t samples = config.prompts_per_step * config.num_generations;
  if (config.num_mini_batches > samples) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: {} mini-batches cannot be made of {} samples (prompts_per_step * "
                      "num_generations); lower num_mini_batches",
                      reader.PathOf("num_mini_batches"), config.num_mini_batches, samples));
  }
  return config;
}

}  // namespace reckon
