// A model folder opened for sampling, and the options that generate, chat and eval have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "infer/generate.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace CLI {
class App;
}

namespace reckon {

struct Session {
  std::unique_ptr<Model> model;
  Tokenizer tokenizer;
  int32_t bos_token_id = -1, eos_token_id = -1;  // -1: the model has none
};

// Opens a Hugging Face folder (config.json, weights, tokenizer.json), or a GGUF file, whose
// vocabulary may be a tokenizer.json beside it.
Session OpenSession(const std::string& path);

// bos (if the model has one) and the tokens of the text.
std::vector<int32_t> PromptTokens(const Session& session, std::string_view text);

// --temperature, --top-p, --top-k, --min-p and the penalties.
void AddSamplingOptions(CLI::App& command, SamplingParams& params);
// --precision f32|bf16
void AddPrecisionOption(CLI::App& command, Precision& precision);

}  // namespace reckon
