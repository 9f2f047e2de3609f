#include "cli/session.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <utility>

#include "cli/model_folder.h"
#include "cost/flops.h"
#include "formats/gguf.h"
#include "model/weights.h"

namespace reckon {

namespace {

// Larger models run as they are stored: as f32 they would take more than 4 GB, and packed as much
// again.
constexpr int64_t kLargestExpanded = int64_t{1} << 30;

std::unique_ptr<Model> OpenForRunning(const std::string& path, bool gguf) {
  if (gguf) return OpenModel(path);
  const std::string config = path + "/config.json";
  const int64_t parameters = CountParameters(ParseModelConfig(ReadJsonFile(config), config)).total;
  return parameters > kLargestExpanded ? OpenModel(path) : LoadModel(path);
}

// A GGUF file may leave its vocabulary to a tokenizer.json beside it.
Tokenizer OpenTokenizer(const std::string& path, bool gguf) {
  const bool embedded = gguf && GgufModel(path).metadata().HasKey("tokenizer.ggml.tokens");
  if (!gguf || embedded) return Tokenizer::FromFile(path);
  return Tokenizer::FromFile(
      (std::filesystem::path(path).parent_path() / "tokenizer.json").string());
}

}  // namespace

Session OpenSession(const std::string& path) {
  const bool gguf = path.ends_with(".gguf");
  if (!gguf) CheckModelFolder(path);
  Session session{OpenForRunning(path, gguf), OpenTokenizer(path, gguf), -1, -1};
  const ModelConfig& config = session.model->config();
  session.bos_token_id = static_cast<int32_t>(config.bos_token_id);
  session.eos_token_id = static_cast<int32_t>(config.eos_token_id);
  return session;
}

std::vector<int32_t> PromptTokens(const Session& session, std::string_view text) {
  std::vector<int32_t> ids;
  if (session.bos_token_id >= 0) ids.push_back(session.bos_token_id);
  const std::vector<int32_t> rest = session.tokenizer.Encode(text);
  ids.insert(ids.end(), rest.begin(), rest.end());
  return ids;
}

void AddSamplingOptions(CLI::App& command, SamplingParams& params) {
  command.add_option("--temperature", params.temperature, "0 takes the most likely token")
      ->capture_default_str();
  command.add_option("--top-p", params.top_p, "Keep the best tokens up to this mass")
      ->capture_default_str();
  command.add_option("--top-k", params.top_k, "Keep the k best tokens; 0 keeps all")
      ->capture_default_str();
  command.add_option("--min-p", params.min_p, "Keep tokens this likely relative to the best")
      ->capture_default_str();
  command.add_option("--repetition-penalty", params.repetition_penalty)->capture_default_str();
  command.add_option("--frequency-penalty", params.frequency_penalty)->capture_default_str();
  command.add_option("--presence-penalty", params.presence_penalty)->capture_default_str();
}

void AddPrecisionOption(CLI::App& command, Precision& precision) {
  const std::map<std::string, Precision> names = {{"f32", Precision::kF32},
                                                  {"bf16", Precision::kBF16}};
  CLI::CheckedTransformer transformer(names);
  transformer.description("{f32,bf16}");
  command.add_option("--precision", precision, "Of products with weights")
      ->transform(transformer)
      ->type_name("")
      ->default_str("f32");
}

}  // namespace reckon
