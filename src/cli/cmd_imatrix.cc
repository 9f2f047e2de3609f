// reckon imatrix: which columns of a model's matrices matter, for reckon quantize.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/text_windows.h"
#include "convert/importance.h"

namespace reckon {
namespace {

struct ImatrixCommand : TextCommand {
  std::string out;
};

void Execute(const ImatrixCommand& command, int threads) {
  const OpenedText text = OpenText(command);
  CheckContext("imatrix", text.windows.context, text.session.context());
  std::vector<std::vector<int32_t>> windows;
  for (const auto piece : CutPieces(text.ids, text.windows)) {
    windows.push_back(WindowOf(piece, text.windows));
  }
  if (windows.empty()) Throw(ErrorKind::kInvalidArgument, command.file + ": holds no text");
  const RuntimeOwner runtime(threads);
  Progress progress(kQuietSeconds);
  const ImportanceRun run = CollectImportance(
      runtime.get(), *text.session.model, windows,
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
  AddTextOptions(*sub, *command);
  sub->add_option("--out", command->out, "The importance matrix, a GGUF file")->required();
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
