// What every training stage (pre-training, SFT, GRPO) shares: where it writes, how it reports, how
// it is resumed. A stage folder holds
//   checkpoint/    weights, optimiser and cursor of the newest checkpoint, replaced as a whole
//   metrics.jsonl  one object a step; events.out.tfevents.* the same for TensorBoard
//   model/         the finished Hugging Face folder
//   stage.json     written last: the stage is done (figures for summary.json)
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/json.h"
#include "model/model.h"
#include "ops/runtime.h"
#include "train/adamw.h"

namespace reckon {

using Metrics = std::vector<std::pair<std::string, double>>;  // name, value; units in the name

struct StageProgress {
  std::string stage;
  int64_t step = 0, total_steps = 0;
  double seconds = 0, tokens_per_s = 0;
  double time_limit_s = 0;  // ends the stage if the steps do not; 0: none
  const Metrics* metrics = nullptr;
};

struct StageContext {
  Runtime rt;
  std::string name;                                   // stage name
  std::string folder;                                 // exists
  int64_t checkpoint_every_steps = 50;                // 0: only at the end
  std::function<void(const StageProgress&)> on_step;  // progress bar; may be empty
};

// Appends to <folder>/metrics.jsonl and a TensorBoard event file. On resume, steps after
// `resume_step` are cut off first, so that the file reads as that of an undisturbed run.
class MetricsWriter {
 public:
  MetricsWriter(const std::string& folder, int64_t resume_step);
  ~MetricsWriter();
  void Write(int64_t step, const Metrics& metrics);
  void Flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Newest checkpoint of a stage: model weights (with the correction biases), AdamW state, and a JSON
// object of the stage's own (step, seconds so far, totals).
void SaveStageCheckpoint(const StageContext& context, Model& model, const AdamW& optimizer,
                         const Json& state,
                         const std::function<void(const std::string& folder)>& extra = {});
// Loads it into model and optimizer; none if there is no checkpoint. A damaged one throws.
std::optional<Json> LoadStageCheckpoint(
    const StageContext& context, Model& model, AdamW& optimizer,
    const std::function<void(const std::string& folder)>& extra = {});

enum class ScheduleKind { kConstant, kCosine, kConstantThenDecay };
struct LrSchedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double learning_rate = 1e-3, min_learning_rate = 0;
  int64_t warmup_steps = 0, total_steps = 1;
  double decay_fraction = 0.2;    // constant-then-decay: share of the steps at the end that decay
  double At(int64_t step) const;  // step counts from 0
};

}  // namespace reckon
