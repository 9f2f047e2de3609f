// How a model's authors would have it sampled: generation_config.json, and where its answers end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"

namespace reckon {

// What the file leaves open is nothing.
struct GenerationConfig {
  std::optional<double> temperature;  // 0 where do_sample is false
  std::optional<double> top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k, max_new_tokens;
  std::vector<int32_t> eos_token_ids;
};

// `where` names the file in messages. Throws kInvalidArgument on a value of the wrong type; the
// sampler checks ranges. Other keys are ignored.
GenerationConfig ParseGenerationConfig(const Json& json, const std::string& where);
// eos_token_id of a config.json or generation_config.json: an id, a list of ids, null or absent.
std::vector<int32_t> EosTokenIds(const Json& json, const std::string& where);

}  // namespace reckon
