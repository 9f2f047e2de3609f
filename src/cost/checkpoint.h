// What lies in the files of a model, from their headers: no page of a weight is touched.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/safetensors.h"

namespace reckon {

struct CheckpointSummary {
  struct Kind {
    std::string dtype;  // as the files spell it
    int64_t tensors = 0, bytes = 0;
  };
  std::vector<Kind> kinds;  // most bytes first
  int64_t tensors = 0, bytes = 0;
  // Elements of the tensors that are parameters: scales of FP8 blocks and rotary frequencies are
  // none, and what is there twice (an MTP module's embedding and head, a tied head) counts once.
  int64_t parameters = 0;
};

CheckpointSummary Summarize(const SafetensorsFolder& folder, bool tied_head);
CheckpointSummary Summarize(const GgufModel& model, bool tied_head);

}  // namespace reckon
