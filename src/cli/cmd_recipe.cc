// reckon recipe run, and the single-stage commands pretrain and sft.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/run_stages.h"
#include "recipe/recipe.h"

namespace reckon {
namespace {

std::string Cell(const Json& stage, const char* key, const char* format, double factor = 1) {
  if (!stage.contains(key) || !stage[key].is_number()) return "-";
  return fmt::format(fmt::runtime(format), stage[key].get<double>() * factor);
}

void PrintHeader() {
  std::printf("%-14s %8s %8s %9s %9s %9s\n", "stage", "greedy", "sampled", "tokens", "seconds",
              "loss");
}

void PrintStage(const Json& stage) {
  std::printf("%-14s %8s %8s %9s %9s %9s\n", stage.value("name", "").c_str(),
              Cell(stage, "pass1_greedy", "{:.1f}%", 100).c_str(),
              Cell(stage, "pass1_sampled", "{:.1f}%", 100).c_str(),
              Cell(stage, "mean_response_tokens", "{:.1f}").c_str(),
              Cell(stage, "seconds", "{:.1f}").c_str(), Cell(stage, "loss", "{:.4f}").c_str());
}

}  // namespace

void RunStages(const Recipe& recipe, const std::string& out, int threads, bool json) {
  Progress progress;
  RecipeOptions options;
  options.out = out;
  options.num_threads = threads;
  options.on_stage = [&](const StageSpec& stage, size_t index, size_t count) {
    progress.EndLine();
    std::fprintf(stderr, "stage %zu of %zu: %s (%s)\n", index + 1, count, stage.name.c_str(),
                 stage.kind.c_str());
  };
  options.on_step = [&](const StageProgress& p) { progress.OnStep(p); };
  options.on_evaluate = [&](const std::string&, int64_t done, int64_t total) {
    progress.OnCount("evaluating", done, total);
  };
  options.on_stage_done = [&](const Json& stage) {
    progress.EndLine();
    if (json) return;
    PrintHeader();
    PrintStage(stage);
    std::fflush(stdout);
  };
  const Json summary = RunRecipe(recipe, options);
  if (json) {
    std::printf("%s\n", summary.dump(2).c_str());
    return;
  }
  std::printf("\n%s, seed %s: %s in all\n", summary.value("name", "").c_str(),
              summary["seed"].dump().c_str(),
              FormatDuration(summary["wall_s"].get<double>()).c_str());
  PrintHeader();
  for (const Json& stage : summary["stages"]) PrintStage(stage);
  std::printf(
      "weights sha256 %s\n%s/report.html has the curves and samples, receipt.json the cost\n",
      summary["weight_hash"].get<std::string>().c_str(), out.c_str());
}

namespace {

struct RecipeCommand {
  std::string file, out, data;
  int64_t seed = -1;
  bool json = false;
};

void Execute(const RecipeCommand& command, int threads) {
  Json json = ReadJsonFile(command.file);
  if (command.seed >= 0 && json.is_object()) json["seed"] = command.seed;
  const std::string own = std::filesystem::path(command.file).parent_path().string();
  const Recipe recipe = ParseRecipe(json, command.file, own, command.data);
  const std::string out =
      command.out.empty() ? fmt::format("runs/{}-seed{}", recipe.name, recipe.seed) : command.out;
  RunStages(recipe, out, threads, command.json);
}

}  // namespace

void RegisterRecipe(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  CLI::App* group =
      app.add_subcommand("recipe", "Recipes: from random weights to a finished model");
  group->require_subcommand(1);
  auto command = std::make_shared<RecipeCommand>();
  CLI::App* run = group->add_subcommand("run", "Run a recipe, or go on with one that was stopped");
  run->add_option("file", command->file, "Recipe (JSON)")->required();
  run->add_option("--out", command->out, "Folder to write (default runs/<name>-seed<seed>)");
  run->add_option("--seed", command->seed, "Instead of the recipe's")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 53));
  run->add_option("--data", command->data,
                  "Folder that relative paths of texts start from (default: the recipe's)");
  run->add_flag("--json", command->json, "Print summary.json at the end instead of tables");
  run->footer(
      "Examples:\n"
      "  reckon recipe run configs/recipes/quickstart.json --seed 3 --out runs/three\n"
      "  reckon recipe run configs/recipes/shakespeare.json --data texts/\n"
      "Stopped by Ctrl-C or kill, the same command goes on; the result has the same bits.");
  run->fallthrough();
  run->callback([command, &global, &exit_code] {
    Execute(*command, global.threads);
    exit_code = 0;
  });
}

}  // namespace reckon
