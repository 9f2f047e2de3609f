// reckon perplexity: how well a model predicts a text.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text_windows.h"
#include "eval/perplexity.h"
#include "formats/json.h"

namespace reckon {
namespace {

struct PerplexityCommand : TextCommand {
  Precision precision = Precision::kF32;
  bool json = false;
};

Json ToJson(const PerplexityCommand& command, const PerplexityOptions& options, size_t n_ids,
            const PerplexityResult& result, double seconds) {
  const Json bos = options.bos_token_id >= 0 ? Json(options.bos_token_id) : Json();
  return {{"model", command.model},
          {"file", command.file},
          {"context", options.context},
          {"bos_token_id", bos},
          {"n_ids", n_ids},
          {"n_windows", result.n_windows},
          {"n_predicted", result.n_predicted},
          {"mean_nll", result.mean_nll},
          {"perplexity", result.perplexity},
          {"seconds", seconds}};
}

void Print(const PerplexityOptions& options, const PerplexityResult& result, double seconds) {
  const std::string bos = options.bos_token_id >= 0
                              ? fmt::format("each after bos {}", options.bos_token_id)
                              : "without bos: the first token of each is not predicted";
  std::printf("n_predicted  %lld\n", static_cast<long long>(result.n_predicted));
  std::printf("mean_nll     %.7f\n", result.mean_nll);
  std::printf("perplexity   %.5f\n", result.perplexity);
  const std::string windows =
      fmt::format("{} windows of up to {} tokens, {}; {:.1f} s ({:.0f} tokens/s)", result.n_windows,
                  options.context, bos, seconds,
                  static_cast<double>(result.n_predicted) / std::max(seconds, 1e-9));
  std::printf("%s\n", windows.c_str());
}

void Execute(const PerplexityCommand& command, int threads) {
  const OpenedText text = OpenText(command);
  PerplexityOptions options{text.windows};
  Progress progress(kQuietSeconds);
  options.on_progress = [&](int64_t done, int64_t total) {
    progress.OnCount("perplexity", done, total);
  };
  const RuntimeOwner runtime(threads, command.precision);
  const double begin_s = MonotonicSeconds();
  const PerplexityResult result =
      MeasurePerplexity(runtime.get(), *text.session.model, text.ids, options);
  const double seconds = MonotonicSeconds() - begin_s;
  progress.EndLine();
  if (command.json) {
    std::printf("%s\n", ToJson(command, options, text.ids.size(), result, seconds).dump(2).c_str());
  } else {
    Print(options, result, seconds);
  }
}

}  // namespace

void RegisterPerplexity(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto command = std::make_shared<PerplexityCommand>();
  CLI::App* sub = app.add_subcommand("perplexity", "Measure how well a model predicts a text");
  AddTextOptions(*sub, *command);
  AddPrecisionOption(*sub, command->precision);
  sub->add_flag("--json", command->json, "For programs");
  sub->footer(
      "The ids of the whole file are cut into consecutive pieces of N - 1 (N: --context), each "
      "put\n"
      "after one bos; every token after the bos is predicted from those before it in its window.\n"
      "For a model without bos the pieces are of N, and the first token of each is not predicted.\n"
      "Prints the number of predicted tokens, their mean negative log-probability in nats, and "
      "its\n"
      "exponential, the perplexity.\n"
      "Examples:\n"
      "  reckon perplexity --model DeepSeek-R1-Distill-Qwen-1.5B --file wiki.test.raw\n"
      "  reckon perplexity --model model.gguf --file text.txt --context 2048 --windows 20 --json");
  sub->callback([command, &global, &exit_code] {
    Execute(*command, global.threads);
    exit_code = 0;
  });
}

}  // namespace reckon
