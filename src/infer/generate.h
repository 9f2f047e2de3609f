// Batched sampling with a KV cache, on the weights and by the forward that training uses.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "model/model.h"
#include "ops/runtime.h"

namespace reckon {

// Order and meaning as in Hugging Face generate(): repetition_penalty, frequency and presence
// penalties (output only), temperature (0 = greedy), top_k, top_p, min_p.
struct SamplingParams {
  float temperature = 1, top_p = 1, min_p = 0;
  int64_t top_k = 0;
  float repetition_penalty = 1, frequency_penalty = 0, presence_penalty = 0;
};

// Probabilities [vocab_size] that sampling draws from; `kept` (may be null) counts the tokens left
// by the filters.
std::vector<float> SamplingDistribution(std::span<const float> logits, const SamplingParams& params,
                                        std::span<const int32_t> prompt_ids,
                                        std::span<const int32_t> output_ids,
                                        int64_t* kept = nullptr);

struct GenerateRequest {
  std::vector<int32_t> prompt_ids;
  int64_t max_new_tokens = 128;
  SamplingParams sampling;
  uint64_t seed = 0;  // with `stream`, fixes every draw: Rng(seed, {stream, position})
  uint64_t stream = 0;
  std::vector<int32_t> stop_ids;  // generation ends after one of these (it is part of the output)
};

enum class FinishReason { kStop, kLength, kCancelled };

struct GenerateResult {
  std::vector<int32_t> token_ids;  // new tokens, the stop token included
  std::vector<float> logprobs;     // of each, under softmax(logits / temperature): the bits that
                                   // TokenLogProbs gives for the same row in training
  std::vector<float> entropy;      // nats, of the same distribution
  FinishReason finish = FinishReason::kLength;
};

// Keys and values of a sequence, for a later one that begins alike: the next turn of a
// conversation.
struct KeptSequence {
  std::unique_ptr<KvCache> cache;  // null: nothing kept
  std::vector<int32_t> token_ids;  // what the cache holds
  int64_t reused = 0;              // tokens of the last prompt that were not fed again
};

struct GenerateOptions {
  int64_t max_batch = 64;       // sequences decoded at once; the results do not depend on it
  int64_t prefill_chunk = 512;  // rows of prompts fed at once; the results do not depend on it
  // Called as tokens appear (request index, token); may be empty. Returning false cancels the
  // request.
  std::function<bool(int64_t, int32_t)> on_token;
  std::function<void(int64_t done, int64_t total)> on_progress;  // finished requests
  // With one request: what the sequence has in common with the kept one is not fed again, with the
  // same bits, and the sequence is kept in its place. May be null.
  KeptSequence* kept = nullptr;
};

// Results in the order of the requests. Requests with the same prompt share one prefill.
std::vector<GenerateResult> Generate(const Runtime& rt, Model& model,
                                     const std::vector<GenerateRequest>& requests,
                                     const GenerateOptions& options = {});

}  // namespace reckon
