// Where training examples come from: a batch is a pure function of the step, so a resumed run sees
// exactly what an undisturbed one would, and no cursor has to be kept.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "formats/json.h"
#include "tasks/task.h"
#include "text/tokenizer.h"

namespace reckon {

// A document to learn from: token i is a target of the loss if loss_mask[i] is 1 (never i = 0).
struct Example {
  std::vector<int32_t> token_ids;
  std::vector<uint8_t> loss_mask;
};

class ExampleSource {
 public:
  virtual ~ExampleSource() = default;
  // The examples of optimiser step `step`, in order.
  virtual std::vector<Example> Step(int64_t step) const = 0;
  virtual std::string ContentHash() const = 0;  // SHA-256 of what the batches are drawn from
};

// Windows of seq_len + 1 tokens of text files (joined, eos between files; `validation_fraction` of
// the windows held back at the end for validation), in an order that is a permutation f(seed,
// epoch) of all windows.
struct TextSourceConfig {
  std::vector<std::string> files;
  int64_t seq_len = 256, batch_size = 16;
  double validation_fraction = 0.05;
  bool validation = false;  // the held-back part, in order
  uint64_t seed = 0;
};
std::unique_ptr<ExampleSource> MakeTextSource(const TextSourceConfig& config,
                                              const Tokenizer& tokenizer, int32_t eos_token_id);

// Task problems in R1's format: bos prompt response eos. With probability `long_probability` (per
// task override allowed) the response carries the reference chain of thought, else an empty one
// ("<think></think>answer"). `corrupt_probability` replaces the answer (and the chain) by a wrong
// one: a noisy teacher. loss on the response only, or on everything when train_on_prompt.
struct TaskMix {
  std::shared_ptr<const Task> task;
  double weight = 1;
  double long_probability = 1;
  double corrupt_probability = 0;
};
struct TaskSourceConfig {
  std::vector<TaskMix> mix;
  int64_t batch_size = 64;
  bool train_on_prompt = false;
  Split split = Split::kTrain;
  uint64_t seed = 0;
};
std::unique_ptr<ExampleSource> MakeTaskSource(const TaskSourceConfig& config,
                                              const Tokenizer& tokenizer, int32_t bos_token_id,
                                              int32_t eos_token_id);

// Examples packed row after row for the model, without attention across them.
struct PackedRows {
  std::vector<int32_t> token_ids, positions;  // [rows]
  struct Span {
    int64_t begin, count;
  };
  std::vector<Span> spans;           // one an example
  std::vector<int32_t> next;         // [rows]: the token after each row
  std::vector<uint8_t> learnt;       // [rows]: whether that token counts
  std::vector<int64_t> target_rows;  // rows whose next token counts
  std::vector<int32_t> targets;      // that token, same order
};
// Consecutive examples, at most max_rows rows a pack (one longer example gets a pack of its own).
// The last token of an example is fed only if it is not the end (it predicts nothing).
std::vector<PackedRows> Pack(const std::vector<Example>& examples, int64_t max_rows);

// A problem as prompt tokens for sampling: bos, prompt.
std::vector<int32_t> PromptIds(const Tokenizer& tokenizer, int32_t bos_token_id,
                               const Problem& problem);

}  // namespace reckon
