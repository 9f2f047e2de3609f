// Floating-point operations of a model by formula, from its config and the work it was given. One
// multiply-add counts as two. Norms, softmax, rotations and other elementwise work are left out, as
// in the usual model-FLOPs accounting (PaLM, arXiv:2204.02311, appendix B); so is the embedding
// lookup.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace reckon {

// What passed through a model.
struct Work {
  int64_t tokens = 0;  // rows fed
  int64_t attention_pairs =
      0;                  // (query, visible key) pairs: a sequence of n rows has n (n + 1) / 2
  int64_t head_rows = 0;  // rows whose logits were computed (main head)
  int64_t mtp_rows = 0;   // rows fed to MTP modules, over all depths
  int64_t mtp_pairs = 0;  // their attention pairs
  Work& operator+=(const Work& other);
};

// The work of feeding rows [first, first + count) of one sequence: each sees all before it and
// itself.
Work SequenceWork(int64_t first, int64_t count, int64_t head_rows);

// Weights of a model, exactly: the elements of its tensors, a tied head counted once.
struct ParameterCount {
  int64_t total = 0;  // with embedding and head, without MTP modules
  // Of `total`, all but the routed experts that a token passes by: DeepSeek's "activated".
  int64_t activated = 0;
  int64_t active = 0;     // in products per token: with the head, without embedding and vectors
  int64_t mtp_total = 0;  // of the MTP modules beyond the shared embedding and head
  int64_t embedding = 0;
};
ParameterCount CountParameters(const ModelConfig& config);

// Forward operations of the parts of the model.
struct Flops {
  double linear = 0;     // products with weights but the head
  double attention = 0;  // scores and weighted sums
  double head = 0;
  double mtp = 0;
  double total() const { return linear + attention + head + mtp; }
};
Flops ForwardFlops(const ModelConfig& config, const Work& work);
// Forward and backward: three times the forward; nothing is recomputed.
Flops TrainingFlops(const ModelConfig& config, const Work& work);

}  // namespace reckon
