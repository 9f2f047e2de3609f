// reckon convert, quantize and synth: checkpoints written in other forms, or of random weights.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "convert/convert.h"
#include "ops/runtime.h"

namespace reckon {
namespace {

struct ConvertCommand {
  std::string from, to, type, imatrix;
  double max_shard_gb = 5;
  uint64_t seed = 0;
};

uint64_t BytesAt(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return std::filesystem::file_size(path);
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) bytes += entry.file_size();
  return bytes;
}

void Execute(const ConvertCommand& command, int threads, bool synthesize) {
  const RuntimeOwner runtime(threads);
  std::optional<Importance> importance;
  if (!command.imatrix.empty()) importance = Importance::FromFile(command.imatrix);
  ConvertOptions options;
  options.type = command.type;
  options.importance = importance ? &*importance : nullptr;
  options.max_shard_bytes = static_cast<int64_t>(command.max_shard_gb * 1e9);
  options.pool = runtime.get().pool;
  Progress progress(kQuietSeconds);
  options.on_progress = [&](int64_t done, int64_t total) {
    constexpr int64_t kMillion = 1000000;
    progress.OnCount("million weights", done / kMillion, (total + kMillion - 1) / kMillion);
  };
  bool tokenizer = true;
  if (synthesize) {
    Synthesize(command.from, command.to, command.seed, options);
  } else {
    tokenizer = Convert(command.from, command.to, options);
  }
  progress.EndLine();
  const std::string line = fmt::format("{}: {} bytes", command.to, BytesAt(command.to));
  std::printf("%s\n", line.c_str());
  if (!tokenizer) {
    std::fprintf(stderr,
                 "the tokenizer has no form there and was left out; put a tokenizer.json beside "
                 "the file\n");
  }
}

void AddCommon(CLI::App& sub, ConvertCommand& command) {
  sub.add_option("--max-shard-size", command.max_shard_gb, "GB of one safetensors file")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
}

CLI::App* AddFromTo(CLI::App& app, const char* name, const char* what, ConvertCommand& command) {
  CLI::App* sub = app.add_subcommand(name, what);
  sub->add_option("from", command.from, "Hugging Face folder, or GGUF file")->required();
  sub->add_option("to", command.to, "A path that ends in .gguf, or a folder; must not exist")
      ->required();
  return sub;
}

}  // namespace

void RegisterConvert(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto command = std::make_shared<ConvertCommand>();
  CLI::App* sub = AddFromTo(app, "convert", "Write a checkpoint in another form", *command);
  sub->add_option("--type", command->type,
                  "f32, f16, bf16; fp8 in folders; q8_0, q6_k, q5_0, q4_k, q4_0 in GGUF files. "
                  "Where left out tensors keep what they have");
  AddCommon(*sub, *command);
  sub->footer(
      "The tokenizer and the chat template go along. Nothing is held in memory as a whole.\n"
      "Examples:\n"
      "  reckon convert DeepSeek-V3 DeepSeek-V3-bf16 --type bf16      # FP8 blocks to BF16\n"
      "  reckon convert DeepSeek-R1-Distill-Qwen-1.5B r1-qwen.gguf\n"
      "  reckon convert r1-qwen-Q4_K.gguf r1-qwen --type bf16");
  sub->callback([command, &global, &exit_code] {
    Execute(*command, global.threads, false);
    exit_code = 0;
  });
}

void RegisterQuantize(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto command = std::make_shared<ConvertCommand>();
  CLI::App* sub =
      AddFromTo(app, "quantize", "Write a checkpoint as a GGUF file of fewer bits", *command);
  sub->add_option("type", command->type, "q8_0, q6_k, q5_0, q4_k or q4_0")->required();
  sub->add_option("--imatrix", command->imatrix,
                  "Importance matrix of reckon imatrix or llama-imatrix (GGUF)");
  sub->footer(
      "Vectors, norms and routers stay F32; q4_k gives the head and a part of the layers q6_k, as\n"
      "llama-quantize's Q4_K_M does.\n"
      "Examples:\n"
      "  reckon quantize DeepSeek-R1-Distill-Qwen-1.5B r1-qwen-Q4_K.gguf q4_k\n"
      "  reckon quantize model-F16.gguf model-Q4_K.gguf q4_k --imatrix model.imatrix.gguf");
  sub->callback([command, &global, &exit_code] {
    if (!IsGgufPath(command->to)) {
      Throw(ErrorKind::kInvalidArgument, command->to +
                                             ": block formats need a name that ends in "
                                             ".gguf");
    }
    Execute(*command, global.threads, false);
    exit_code = 0;
  });
}

void RegisterSynth(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto command = std::make_shared<ConvertCommand>();
  command->type = "bf16";
  CLI::App* sub =
      app.add_subcommand("synth", "Write a checkpoint of random weights, for benchmarks");
  sub->add_option("config", command->from, "config.json of a model")->required();
  sub->add_option("to", command->to, "A path that ends in .gguf, or a folder; must not exist")
      ->required();
  sub->add_option("--type", command->type, "As of reckon convert")->capture_default_str();
  sub->add_option("--seed", command->seed, "Of the weights")->capture_default_str();
  AddCommon(*sub, *command);
  sub->footer(
      "Rows are made as they are written, so memory does not grow with the model.\n"
      "Examples:\n"
      "  reckon synth DeepSeek-V2-Lite/config.json v2-lite-Q4_K.gguf --type q4_k\n"
      "  reckon synth config.json random-model --type fp8 --seed 7");
  sub->callback([command, &global, &exit_code] {
    Execute(*command, global.threads, true);
    exit_code = 0;
  });
}

}  // namespace reckon
