// Log-probabilities of chosen tokens: what cross-entropy, SFT and policy gradients are made of.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/runtime.h"
#include "ops/tape.h"

namespace reckon {

struct LogProbs {
  Variable values;             // [rows, 1]: log softmax(logits / temperature)[target], nats
  std::vector<float> entropy;  // [rows], nats, of softmax(logits / temperature)
};

// logits [rows, vocab_size], targets [rows], each in [0, vocab_size). Seed values.grad() with
// d loss / d logprob and run the tape. The logits may have no other reader.
LogProbs TokenLogProbs(const Runtime& rt, Tape* tape, const Variable& logits,
                       std::span<const int32_t> targets, float temperature = 1);

}  // namespace reckon
