// Pre-training and supervised fine-tuning: one loop over a source of examples.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cost/flops.h"
#include "data/source.h"
#include "formats/json.h"
#include "model/model.h"
#include "train/adamw.h"
#include "train/stage.h"

namespace reckon {

struct SupervisedConfig {
  int64_t steps = 1000;
  AdamWConfig optimizer;
  LrSchedule schedule;
  double mtp_loss_weight = 0.3;  // lambda of arXiv:2412.19437, eq. 25
  double balance_alpha = 0;      // sequence-wise balance loss
  double bias_update_speed = 0;  // gamma of the correction bias
  int64_t validate_every_steps = 0, validation_batches = 8;
  // Memory against speed. f32 results do not depend on it, but for the last bits where embedding
  // and head are read twice: tied, or shared with MTP modules (docs/numerics.md).
  int64_t max_rows_per_micro_batch = 2048;
  double time_limit_s = 0;  // 0: none; else stop once the stage has run this long
};

// Reads the loop's keys of a stage object and leaves others to the caller, who calls Finish.
SupervisedConfig ParseSupervisedConfig(ObjectReader& reader);

struct SupervisedResult {
  int64_t steps = 0;
  double seconds = 0;  // over all resumes
  double loss = 0;     // of the last step
  double validation_loss = 0;
  Work trained, evaluated;
};

// Runs or resumes the stage. `validation` may be null. Interrupted: writes a checkpoint, throws
// Error{kCancelled}.
SupervisedResult RunSupervised(StageContext& context, Model& model, const ExampleSource& source,
                               const ExampleSource* validation, const SupervisedConfig& config);

// Mean negative log-likelihood (nats) of the learnt tokens of `batches` steps of a source.
double MeanLoss(const Runtime& rt, Model& model, const ExampleSource& source, int64_t batches,
                int64_t max_rows, Work* work = nullptr);

// Work as JSON and back, for a stage's state.
Json ToJson(const Work& work);
Work ParseWork(const Json& json);

}  // namespace reckon
