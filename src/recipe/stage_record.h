// What a finished stage leaves in stage.json, and what summary.json says of it.
#pragma once

#include <cstdint>
#include <string>

#include "cost/flops.h"
#include "formats/json.h"

namespace reckon {

struct StageRecord {
  std::string name, kind;
  int64_t steps = 0;
  double seconds = 0, evaluation_seconds = 0;
  std::string precision, data_hash, weight_hash;
  Work trained, sampled, evaluated;
  int64_t generated_tokens = 0;
  Json figures = Json::object();  // losses and the like
  Json eval;                      // of eval/evaluate.h; null without tasks

  Json ToJson() const;                                   // stage.json
  static StageRecord FromFile(const std::string& path);  // throws with the path and the key
  // Its entry in summary.json: accuracies with their 95% intervals, of all and of each task.
  Json Summary() const;
  // A held-out problem of each task it was evaluated on: [{"task", "prompt"}].
  Json Examples() const;
};

}  // namespace reckon
