// A model folder opened for sampling, and the options that generate, chat and eval have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "infer/generate.h"
#include "model/generation_config.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace CLI {
class App;
}

namespace reckon {

struct Session {
  std::unique_ptr<Model> model;
  Tokenizer tokenizer;
  int32_t bos_token_id = -1;      // -1: the model has none
  std::vector<int32_t> stop_ids;  // an answer ends with any of these; ascending
  GenerationConfig generation;

  bool IsStop(int32_t id) const;
  int64_t context() const { return model->config().max_position_embeddings; }
};

// Opens a Hugging Face folder (config.json, weights, tokenizer.json), or a GGUF file, whose
// vocabulary may be a tokenizer.json beside it.
Session OpenSession(const std::string& path);

// bos (if the model has one) and the tokens of the text.
std::vector<int32_t> PromptTokens(const Session& session, std::string_view text);

// --temperature, --top-p, --top-k, --min-p and the penalties.
void AddSamplingOptions(CLI::App& command, SamplingParams& params);
// Those that the command line leaves open take the values of generation_config.json; likewise
// --max-new-tokens.
void TakeGenerationDefaults(const CLI::App& command, const GenerationConfig& config,
                            SamplingParams& params, int64_t& max_new_tokens);
// --precision f32|bf16
void AddPrecisionOption(CLI::App& command, Precision& precision);

}  // namespace reckon
