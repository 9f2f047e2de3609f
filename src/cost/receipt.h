// The receipt of a run: what ran, on what, how much arithmetic, how long, at what price. The format
// is described in docs/receipt.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cost/flops.h"
#include "formats/json.h"

namespace reckon {

struct ReceiptStage {
  std::string name, kind;
  int64_t steps = 0;
  Work trained;    // forward and backward
  Work sampled;    // forward only: rollouts
  Work evaluated;  // forward only: validation and evaluation
  int64_t generated_tokens = 0;
  double seconds = 0;  // wall clock, training only, over all resumes
  double evaluation_seconds = 0;
  std::string precision;    // "f32" or "bf16"
  std::string data_hash;    // SHA-256 of what the batches are drawn from
  std::string weight_hash;  // SHA-256 of the finished weights
};

struct MachineInfo {
  std::string cpu, isa;
  int64_t threads = 0;
};
// CPU model name from /proc/cpuinfo, or "unknown".
std::string CpuModelName();

struct ReceiptInput {
  std::string name;         // the recipe's
  std::string recipe_hash;  // SHA-256 of the recipe as run
  uint64_t seed = 0;
  ModelConfig model;
  std::string initial_weight_hash, final_weight_hash;
  MachineInfo machine;
  double price_usd_per_hour = 0;
  std::string price_source;  // who says so
  double wall_s = 0;
  std::vector<ReceiptStage> stages;
};

// Dollars are seconds / 3600 * price_usd_per_hour. FLOPs are by formula (cost/flops.h).
Json MakeReceipt(const ReceiptInput& input);

}  // namespace reckon
