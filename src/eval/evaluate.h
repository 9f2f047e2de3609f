// How well a model solves held-out problems: greedy, sampled, with k tries, by majority.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "eval/statistics.h"
#include "formats/json.h"
#include "infer/generate.h"
#include "model/model.h"
#include "tasks/task.h"
#include "text/tokenizer.h"

namespace reckon {

struct EvalConfig {
  std::vector<std::shared_ptr<const Task>> tasks;
  int64_t problems = 128;  // of each task
  int64_t samples = 4;     // sampled responses a problem; 0: greedy only
  int64_t k = 4;           // of pass@k and maj@k; at most samples
  double temperature = 1;
  int64_t max_completion_length = 64;
  int64_t max_batch = 256;
  int64_t transcripts = 6;  // greedy responses kept, spread over the tasks
  uint64_t seed = 0;
  Split split = Split::kHeldOut;
};

// Reads "tasks" (a list of task objects) and the other keys above; the caller calls Finish.
// `tasks` may be absent where `fallback` is not empty.
EvalConfig ParseEvalConfig(ObjectReader& reader,
                           const std::vector<std::shared_ptr<const Task>>& fallback = {});

struct TaskScore {
  std::string task;  // "all" for the whole
  int64_t problems = 0;
  double pass1_greedy = 0, pass1_sampled = 0, pass_at_k = 0, maj_at_k = 0;
  Interval pass1_greedy_interval, pass1_sampled_interval, pass_at_k_interval, maj_at_k_interval;
  double mean_response_tokens = 0;  // of the sampled responses (of the greedy ones without)
  double well_formed_share = 0, long_share = 0;
};

struct Transcript {
  std::string task, prompt, response;
  bool correct = false;
};

struct EvalResult {
  TaskScore all;
  std::vector<TaskScore> tasks;
  std::vector<Transcript> transcripts;
  int64_t k = 0;
  double seconds = 0;
  int64_t prompt_tokens = 0, generated_tokens = 0;
  int64_t attention_pairs = 0;  // of what was generated, for the receipt
};

EvalResult Evaluate(const Runtime& rt, Model& model, const Tokenizer& tokenizer,
                    const EvalConfig& config,
                    const std::function<void(int64_t done, int64_t total)>& on_progress = {});
Json ToJson(const EvalResult& result);

}  // namespace reckon
