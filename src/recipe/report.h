// report.html of a recipe: what was trained, how accuracy and length moved, samples before and
// after, and what it cost. One file, no script, nothing loaded from elsewhere.
#pragma once

#include <string>
#include <vector>

#include "formats/json.h"

namespace reckon {

struct ReportSample {
  std::string task, prompt, response;
  bool correct = false;
};

struct ReportStage {
  std::string name, kind;             // kind: "pretrain", "sft", "rl"
  std::string metrics_path;           // metrics.jsonl; may be absent
  std::vector<ReportSample> samples;  // held-out problems after this stage
};

struct ReportInput {
  Json summary;  // summary.json
  Json receipt;  // receipt.json
  std::vector<ReportStage> stages;
};

// The transcripts of an evaluation as JSON (eval/evaluate.h); none of null.
std::vector<ReportSample> SamplesOf(const Json& eval);

std::string RenderReport(const ReportInput& input);

}  // namespace reckon
