// Drawing one token from a row of logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "infer/generate.h"
#include "ops/runtime.h"

namespace reckon {

// Throws Error{kInvalidArgument} naming the parameter that is out of range.
void CheckSamplingParams(const SamplingParams& params);

struct TokenDraw {
  int32_t token = 0;
  float logprob = 0;  // nats, under softmax(logits / temperature); temperature 1 when greedy
  float entropy = 0;  // nats, of the same distribution
};

// Draws by inverting the cumulative distribution, summed in order of token id, at `uniform` in [0,
// 1). `scratch` is working memory that grows to vocab_size. Run inside a pool task (flush-to-zero).
TokenDraw DrawToken(const KernelTable& kernels, std::span<const float> logits,  // [vocab_size]
                    const SamplingParams& params, std::span<const int32_t> prompt_ids,
                    std::span<const int32_t> output_ids, double uniform,
                    std::vector<float>& scratch);

}  // namespace reckon
