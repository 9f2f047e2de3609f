// Verifiable problems: a generator with difficulty knobs, a reference chain of thought, an answer
// extractor and a grader.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "formats/json.h"

namespace reckon {

enum class Split { kTrain, kHeldOut };

struct Problem {
  std::string task;       // "digit_sum"
  std::string prompt;     // what the model reads, e.g. "s10:4711="
  std::string reasoning;  // reference chain of thought, without tags
  std::string answer;     // reference answer
};

// The split is a property of the canonical problem (the prompt, with the operands of a sum or a
// product in order), hash(task, canonical) mod 100 < 10 being held out, so a train and a held-out
// problem can never coincide, whatever the seeds.
Split SplitOf(const Problem& problem);

class Task {
 public:
  virtual ~Task() = default;
  virtual std::string name() const = 0;
  // A problem of the given split (draws again until the hash agrees).
  Problem Generate(Rng& rng, Split split) const;
  // True if `answer` solves the problem. By value where several answers are right.
  virtual bool Grade(const Problem& problem, std::string_view answer) const;
  // All characters that prompts, chains and answers may use.
  virtual std::string alphabet() const = 0;

 protected:
  virtual Problem Draw(Rng& rng) const = 0;
};

// `json` is {"name": ..., knobs}; `path` names it in messages. Unknown names and knobs throw.
std::unique_ptr<Task> MakeTask(const Json& json, const std::string& path);
std::vector<std::string> TaskNames();

// R1's format: "<think>" reasoning "</think>" answer.
struct ParsedResponse {
  bool well_formed = false;  // exactly one <think>, first, and one </think> after it
  std::string reasoning, answer;
};
ParsedResponse ParseResponse(std::string_view response);
std::string FormatResponse(std::string_view reasoning, std::string_view answer);

}  // namespace reckon
