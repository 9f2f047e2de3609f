#include "cli/session.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/files.h"
#include "cli/bos.h"
#include "cli/choice_option.h"
#include "cli/model_folder.h"
#include "cost/flops.h"
#include "formats/gguf.h"
#include "model/weights.h"
#include "text/chat_template.h"

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

GenerationConfig GenerationConfigOf(const std::string& folder) {
  const std::string path = folder + "/generation_config.json";
  if (!FileExists(path)) return {};
  return ParseGenerationConfig(ReadJsonFile(path), path);
}

// The files of a model need not name the same end token; all that they name end an answer.
std::vector<int32_t> StopIdsOfFolder(const std::string& folder, const Session& session) {
  const std::string config = folder + "/config.json";
  std::vector<int32_t> ids = EosTokenIds(ReadJsonFile(config), config);
  const std::vector<int32_t>& more = session.generation.eos_token_ids;
  ids.insert(ids.end(), more.begin(), more.end());
  if (const auto id = session.tokenizer.eos_id()) ids.push_back(*id);
  const Json tokens = SpecialTokensOfFolder(folder);
  const auto eos = tokens.find("eos_token");
  if (eos != tokens.end()) {
    if (const auto id = session.tokenizer.TokenId(eos->get<std::string>())) ids.push_back(*id);
  }
  return ids;
}

std::vector<int32_t> StopIdsOfGguf(const std::string& path) {
  const GgufModel gguf(path);
  std::vector<int32_t> ids;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    const int64_t id = gguf.metadata().Int(key, -1);  // converters write -1 or 2^32 - 1 for none
    if (id >= 0 && id <= std::numeric_limits<int32_t>::max()) {
      ids.push_back(static_cast<int32_t>(id));
    }
  }
  return ids;
}

// An id above the embedding's rows would be found in the middle of a conversation otherwise.
void CheckTokenizer(const Tokenizer& tokenizer, const ModelConfig& config,
                    const std::string& path) {
  if (tokenizer.vocab_size() <= config.vocab_size) return;
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("{}: the tokenizer has ids up to {} (\"{}\"), the model's vocab_size is {}; is "
                    "the tokenizer another model's?",
                    path, tokenizer.vocab_size() - 1,
                    tokenizer.TokenText(static_cast<int32_t>(tokenizer.vocab_size() - 1)),
                    config.vocab_size));
}

}  // namespace

bool Session::IsStop(int32_t id) const {
  return std::binary_search(stop_ids.begin(), stop_ids.end(), id);
}

Session OpenSession(const std::string& path) {
  const bool gguf = path.ends_with(".gguf");
  if (!gguf) CheckModelFolder(path);
  Session session{OpenForRunning(path, gguf), OpenTokenizer(path, gguf), -1, {}, {}};
  CheckTokenizer(session.tokenizer, session.model->config(), path);
  session.bos_token_id =
      FindBos(session.tokenizer, path, static_cast<int32_t>(session.model->config().bos_token_id))
          .value_or(-1);
  if (!gguf) session.generation = GenerationConfigOf(path);
  session.stop_ids = gguf ? StopIdsOfGguf(path) : StopIdsOfFolder(path, session);
  std::sort(session.stop_ids.begin(), session.stop_ids.end());
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

void TakeGenerationDefaults(const CLI::App& command, const GenerationConfig& config,
                            SamplingParams& params, int64_t& max_new_tokens) {
  const auto take = [&](const char* option, const auto& value, auto& target) {
    using Target = std::remove_reference_t<decltype(target)>;
    if (value && command.count(option) == 0) target = static_cast<Target>(*value);
  };
  take("--temperature", config.temperature, params.temperature);
  take("--top-p", config.top_p, params.top_p);
  take("--top-k", config.top_k, params.top_k);
  take("--min-p", config.min_p, params.min_p);
  take("--repetition-penalty", config.repetition_penalty, params.repetition_penalty);
  take("--max-new-tokens", config.max_new_tokens, max_new_tokens);
}

void AddPrecisionOption(CLI::App& command, Precision& precision) {
  AddChoiceOption<Precision>(command, "--precision", precision,
                             {{"f32", Precision::kF32}, {"bf16", Precision::kBF16}},
                             "Of products with weights");
}

}  // namespace reckon
