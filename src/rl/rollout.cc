#include "rl/rollout.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "data/source.h"

namespace reckon {
namespace {

struct DrawnProblem {
  const Task* task;
  Problem problem;
  std::vector<int32_t> prompt_ids;
};

DrawnProblem DrawProblem(const GrpoConfig& config, const Tokenizer& tokenizer, int32_t bos_token_id,
                         int64_t step, int64_t index) {
  Rng rng(config.seed,
          {StreamName("grpo-problem"), static_cast<uint64_t>(step), static_cast<uint64_t>(index)});
  double total = 0;
  for (const TaskShare& share : config.tasks) total += share.weight;
  double place = rng.Uniform() * total;
  size_t chosen = 0;
  while (chosen + 1 < config.tasks.size() && place >= config.tasks[chosen].weight) {
    place -= config.tasks[chosen++].weight;
  }
  const Task* task = config.tasks[chosen].task.get();
  DrawnProblem drawn{task, task->Generate(rng, Split::kTrain), {}};
  drawn.prompt_ids = PromptIds(tokenizer, bos_token_id, drawn.problem);
  return drawn;
}

// The responses to problems [first, first + count) of a step, num_generations to each.
std::vector<GenerateRequest> MakeRequests(const GrpoConfig& config, int32_t eos_token_id,
                                          int64_t step, int64_t first,
                                          const std::vector<DrawnProblem>& problems) {
  std::vector<GenerateRequest> requests;
  requests.reserve(problems.size() * static_cast<size_t>(config.num_generations));
  for (size_t i = 0; i < problems.size(); ++i) {
    GenerateRequest request;
    request.prompt_ids = problems[i].prompt_ids;
    request.max_new_tokens = config.max_completion_length;
    request.sampling.temperature = static_cast<float>(config.temperature);
    request.stop_ids = {eos_token_id};
    request.seed = config.seed;
    for (int64_t sample = 0; sample < config.num_generations; ++sample) {
      request.stream =
          Rng(config.seed, {StreamName("grpo-sample"), static_cast<uint64_t>(step),
                            static_cast<uint64_t>(first) + i, static_cast<uint64_t>(sample)})
              .Next();
      requests.push_back(request);
    }
  }
  return requests;
}

RolloutSample Judge(const GrpoConfig& config, const Tokenizer& tokenizer, const DrawnProblem& drawn,
                    GenerateResult response) {
  RolloutSample sample;
  const bool truncated = response.finish != FinishReason::kStop;
  std::span<const int32_t> ids = response.token_ids;
  if (!truncated) ids = ids.first(ids.size() - 1);  // without the end token
  const ParsedResponse parsed = ParseResponse(tokenizer.Decode(ids));
  sample.well_formed = !truncated && parsed.well_formed;
  sample.has_reasoning = parsed.well_formed && !parsed.reasoning.empty();
  sample.correct = sample.well_formed && drawn.task->Grade(drawn.problem, parsed.answer);
  sample.reward = RewardOf(config, sample.correct, sample.well_formed, truncated,
                           static_cast<int64_t>(response.token_ids.size()));
  sample.response = std::move(response);
  return sample;
}

void Count(const RolloutGroup& group, RolloutTotals& totals) {
  const auto prompt = static_cast<int64_t>(group.prompt_ids.size());
  totals.work += SequenceWork(0, prompt, 1);
  for (const RolloutSample& sample : group.samples) {
    ++totals.samples;
    totals.correct += sample.correct ? 1 : 0;
    totals.well_formed += sample.well_formed ? 1 : 0;
    totals.has_reasoning += sample.has_reasoning ? 1 : 0;
    totals.truncated += sample.response.finish != FinishReason::kStop ? 1 : 0;
    const auto tokens = static_cast<int64_t>(sample.response.token_ids.size());
    totals.response_tokens += tokens;
    totals.work += SequenceWork(prompt, tokens - 1, tokens - 1);  // the last one is not fed
    totals.reward += sample.reward;
    for (float entropy : sample.response.entropy) totals.entropy += entropy;
  }
}

bool RewardsDiffer(const RolloutGroup& group) {
  std::vector<float> rewards;
  for (const RolloutSample& sample : group.samples) rewards.push_back(sample.reward);
  return HasSignal(rewards);
}

}  // namespace

float RewardOf(const GrpoConfig& config, bool correct, bool well_formed, bool truncated,
               int64_t tokens) {
  double reward = 0;
  if (!truncated && correct) reward += config.accuracy_weight;
  if (!truncated && well_formed) reward += config.format_weight;
  if (config.soft_overlong_cache > 0) {
    const int64_t over = tokens - (config.max_completion_length - config.soft_overlong_cache);
    const double share = static_cast<double>(std::max<int64_t>(0, over)) /
                         static_cast<double>(config.soft_overlong_cache);
    reward -= config.overlong_weight * (truncated ? 1.0 : std::min(1.0, share));
  }
  return static_cast<float>(reward);
}

Rollout SampleRollout(const Runtime& rt, Model& model, const Tokenizer& tokenizer,
                      const GrpoConfig& config, int64_t step) {
  Rollout rollout;
  GenerateOptions options;
  options.max_batch = config.rollout_batch;
  const auto bos = static_cast<int32_t>(model.config().bos_token_id);
  const auto eos = static_cast<int32_t>(model.config().eos_token_id);
  const int64_t rounds = config.resample_groups ? 1 + config.max_resample_rounds : 1;
  int64_t next = 0;  // index of the next problem of this step
  for (int64_t round = 0; round < rounds; ++round) {
    const int64_t missing = config.prompts_per_step - static_cast<int64_t>(rollout.groups.size());
    if (missing == 0) break;
    std::vector<DrawnProblem> problems;
    for (int64_t i = 0; i < missing; ++i) {
      problems.push_back(DrawProblem(config, tokenizer, bos, step, next + i));
    }
    std::vector<GenerateResult> results =
        Generate(rt, model, MakeRequests(config, eos, step, next, problems), options);
    next += missing;
    auto result = results.begin();
    for (const DrawnProblem& problem : problems) {
      RolloutGroup group{problem.prompt_ids, {}};
      for (int64_t i = 0; i < config.num_generations; ++i, ++result) {
        if (result->finish == FinishReason::kCancelled) {
          rollout.cancelled = true;
          return rollout;
        }
        group.samples.push_back(Judge(config, tokenizer, problem, std::move(*result)));
      }
      Count(group, rollout.totals);
      if (RewardsDiffer(group)) {
        rollout.groups.push_back(std::move(group));
      } else {
        ++rollout.totals.groups_dropped;
      }
    }
  }
  return rollout;
}

}  // namespace reckon
