#include <fmt/format.h>

#include "base/error.h"
#include "base/hash.h"
#include "data/source.h"

namespace reckon {
namespace {

void Append(Example& example, const std::vector<int32_t>& ids, uint8_t mask) {
  example.token_ids.insert(example.token_ids.end(), ids.begin(), ids.end());
  example.loss_mask.insert(example.loss_mask.end(), ids.size(), mask);
}

class TaskSource : public ExampleSource {
 public:
  TaskSource(const TaskSourceConfig& config, const Tokenizer& tokenizer, int32_t bos_token_id,
             int32_t eos_token_id)
      : config_(config), tokenizer_(tokenizer), bos_(bos_token_id), eos_(eos_token_id) {
    if (config.mix.empty())
      Throw(ErrorKind::kInvalidArgument, "a task source needs at least one task");
    for (const TaskMix& part : config.mix) total_weight_ += part.weight;
    Check(total_weight_ > 0, "the weights of a task mix must be positive");
  }

  std::vector<Example> Step(int64_t step) const override {
    std::vector<Example> examples;
    for (int64_t i = 0; i < config_.batch_size; ++i) {
      Rng rng(config_.seed, {StreamName("task-source"), config_.split == Split::kTrain ? 0u : 1u,
                             static_cast<uint64_t>(step), static_cast<uint64_t>(i)});
      examples.push_back(Draw(rng));
    }
    return examples;
  }

  std::string ContentHash() const override {
    std::string text = fmt::format("seed {} prompt {}\n", config_.seed, config_.train_on_prompt);
    for (const TaskMix& part : config_.mix) {
      // The first problems stand for the task's knobs.
      Rng rng(config_.seed, {StreamName("task-hash")});
      text += fmt::format("{} {} {} {}\n", part.task->name(), part.weight, part.long_probability,
                          part.corrupt_probability);
      for (int i = 0; i < 16; ++i) text += part.task->Generate(rng, config_.split).prompt + "\n";
    }
    return Sha256Hex(text);
  }

 private:
  const TaskMix& Choose(Rng& rng) const {
    double left = rng.Uniform() * total_weight_;
    for (const TaskMix& part : config_.mix) {
      left -= part.weight;
      if (left < 0) return part;
    }
    return config_.mix.back();
  }

  Example Draw(Rng& rng) const {
    const TaskMix& part = Choose(rng);
    Problem problem = part.task->Generate(rng, config_.split);
    const bool with_chain = rng.Bernoulli(part.long_probability);
    if (rng.Bernoulli(part.corrupt_probability)) {
      // A noisy teacher: chain and answer of another problem.
      const Problem other = part.task->Generate(rng, config_.split);
      problem.reasoning = other.reasoning;
      problem.answer = other.answer;
    }
    Example example;
    Append(example, PromptIds(tokenizer_, bos_, problem), config_.train_on_prompt ? 1 : 0);
    const std::string response =
        FormatResponse(with_chain ? problem.reasoning : std::string(), problem.answer);
    Append(example, tokenizer_.Encode(response), 1);
    Append(example, {eos_}, 1);
    example.loss_mask[0] = 0;
    return example;
  }

  TaskSourceConfig config_;
  const Tokenizer& tokenizer_;
  int32_t bos_, eos_;
  double total_weight_ = 0;
};

}  // namespace

std::unique_ptr<ExampleSource> MakeTaskSource(const TaskSourceConfig& config,
                                              const Tokenizer& tokenizer, int32_t bos_token_id,
                                              int32_t eos_token_id) {
  return std::make_unique<TaskSource>(config, tokenizer, bos_token_id, eos_token_id);
}

std::vector<int32_t> PromptIds(const Tokenizer& tokenizer, int32_t bos_token_id,
                               const Problem& problem) {
  std::vector<int32_t> ids;
  if (bos_token_id >= 0) ids.push_back(bos_token_id);
  const std::vector<int32_t> prompt = tokenizer.Encode(problem.prompt);
  ids.insert(ids.end(), prompt.begin(), prompt.end());
  return ids;
}

}  // namespace reckon
