// reckon imatrix: which columns of a model's matrices matter, for reckon quantize.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "cli/bos.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "convert/importance.h"

namespace reckon {
namespace {

constexpr int64_t kDefaultContext = 512;
constexpr double kQuietSeconds = 2;

struct ImatrixCommand {
  std::string model, file, out;
  int64_t context = 0, windows = 0;  // 0: the default; all
};

// Consecutive pieces of the text, each behind one bos.
std::vector<std::vector<int32_t>> CutWindows(const std::vector<int32_t>& ids, int32_t bos,
                                             const ImatrixCommand& command, int64_t context) {
  const auto piece = static_cast<size_t>(bos >= 0 ? context - 1 : context);
  std::vector<std::vector<int32_t>> windows;
  for (size_t begin = 0; begin < ids.size(); begin += piece) {
    if (command.windows > 0 && windows.size() == static_cast<size_t>(command.windows)) break;
    const std::span<const int32_t> text(ids.data() + begin, std::min(piece, ids.size() - begin));
    std::vector<int32_t> window(text.begin(), text.end());
    if (bos >= 0) window.insert(window.begin(), bos);
    windows.push_back(std::move(window));
  }
  return windows;
}

void Execute(const ImatrixCommand& command, int threads) {
  const std::string text = ReadFile(command.file);
  Session session = OpenSession(command.model);
  const ModelConfig& config = session.model->config();
  const int64_t context = command.context != 0
                              ? command.context
                              : std::min(config.max_position_embeddings, kDefaultContext);
  if (context > config.max_position_embeddings) {
    Throw(ErrorKind::kInvalidArgument, fmt::format("--context {} is above the model's {} positions",
                                                   context, config.max_position_embeddings));
  }
  const int32_t bos =
      FindBos(session.tokenizer, command.model, static_cast<int32_t>(config.bos_token_id))
          .value_or(-1);
  const auto windows = CutWindows(session.tokenizer.Encode(text), bos, command, context);
  if (windows.empty()) Throw(ErrorKind::kInvalidArgument, command.file + ": holds no text");
  const RuntimeOwner runtime(threads);
  Progress progress(kQuietSeconds);
  const ImportanceRun run = CollectImportance(
      runtime.get(), *session.model, windows,
      [&](int64_t done, int64_t total) { progress.OnCount("windows", done, total); });
  progress.EndLine();
  WriteImportance(command.out, run, std::filesystem::path(command.file).filename().string());
  const std::string line = fmt::format("{}: {} matrices over {} windows of up to {} tokens",
                                       command.out, run.sums.size(), run.windows, run.context);
  std::printf("%s\n", line.c_str());
}

}  // namespace

void RegisterImatrix(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto command = std::make_shared<ImatrixCommand>();
  CLI::App* sub =
      app.add_subcommand("imatrix", "Measure which columns of a model's matrices matter");
  sub->add_option("--model", command->model, "Hugging Face folder or GGUF file")->required();
  sub->add_option("--file", command->file, "A text like those the model is for")->required();
  sub->add_option("--out", command->out, "The importance matrix, a GGUF file")->required();
  sub->add_option("--context", command->context,
                  "Tokens of a window; the model's, but at most 512, where left out")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 40));
  sub->add_option("--windows", command->windows, "The first so many only; all where left out")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  sub->footer(
      "The file is in llama.cpp's format; llama-quantize reads it too.\n"
      "Example:\n"
      "  reckon imatrix --model model-F16.gguf --file calibration.txt --out model.imatrix.gguf");
  sub->callback([command, &global, &exit_code] {
    Execute(*command, global.threads);
    exit_code = 0;
  });
}

}  // namespace reckon
