// reckon recipe run, and how a run is shown at the terminal.

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
#include "cli/stage_table.h"
#include "recipe/recipe.h"

namespace reckon {

namespace {

// What to do with the model now.
std::string NextStep(const Json& summary, const std::string& out) {
  const std::string stage = summary.value("final_stage", "");
  std::string problems;
  for (const Json& example : summary.value("examples", Json::array())) {
    problems += fmt::format("{}  {}  ({})", problems.empty() ? "" : "\n",
                            example.value("prompt", ""), example.value("task", ""));
  }
  if (stage.empty() || problems.empty()) return "";
  return fmt::format("reckon chat {}/{}/model answers problems it has not seen, such as\n{}\n", out,
                     stage, problems);
}

void PrintSummary(const Json& summary, const std::string& out) {
  std::printf("\n%s, seed %s: %s in all\n", summary.value("name", "").c_str(),
              summary["seed"].dump().c_str(),
              FormatDuration(summary["wall_s"].get<double>()).c_str());
  std::printf("%s", StageTableHeader().c_str());
  for (const Json& stage : summary["stages"]) std::printf("%s", StageTableRows(stage).c_str());
  std::printf("%s", StageTableLegend().c_str());
  std::printf(
      "final_weight_sha256 %s\n%s/report.html has the curves and samples, receipt.json the cost\n",
      summary.value("final_weight_sha256", "").c_str(), out.c_str());
  std::printf("%s", NextStep(summary, out).c_str());
}

// Runs to the end and shows progress on the way.
Json RunToEnd(const Recipe& recipe, const RunStagesOptions& options) {
  Progress progress;
  RecipeOptions run;
  run.out = options.out;
  run.num_threads = options.threads;
  run.keep_checkpoints = options.keep_checkpoints;
  run.on_stage = [&](const StageSpec& stage, size_t index, size_t count) {
    progress.EndLine();
    std::fprintf(stderr, "stage %zu of %zu: %s (%s)\n", index + 1, count, stage.name.c_str(),
                 stage.kind.c_str());
  };
  run.on_step = [&](const StageProgress& p) { progress.OnStep(p); };
  run.on_evaluate = [&](const std::string&, int64_t done, int64_t total) {
    progress.OnCount("evaluating", done, total);
  };
  run.on_stage_done = [&](const Json& stage) {
    progress.EndLine();
    if (options.json) return;
    std::printf("%s%s", StageTableHeader().c_str(), StageTableRows(stage).c_str());
    std::fflush(stdout);
  };
  return RunRecipe(recipe, run);
}

}  // namespace

void RunStages(const Recipe& recipe, const RunStagesOptions& options) {
  for (const std::string& warning : recipe.warnings) {
    std::fprintf(stderr, "reckon: warning: %s\n", warning.c_str());
  }
  std::optional<Json> summary = FinishedRun(recipe, options.out);
  if (summary) {
    std::fprintf(stderr,
                 "%s: this run is already finished and is left as it is; remove the folder, or "
                 "choose another --out or --seed, to run again\n",
                 options.out.c_str());
  } else {
    summary = RunToEnd(recipe, options);
  }
  if (options.json) {
    std::printf("%s\n", summary->dump(2).c_str());
  } else {
    PrintSummary(*summary, options.out);
  }
}

namespace {

struct RecipeCommand {
  std::string file, out, data;
  int64_t seed = -1;
  bool json = false, keep_checkpoints = false;
};

void Execute(const RecipeCommand& command, int threads) {
  Json json = ReadJsonFile(command.file);
  if (command.seed >= 0 && json.is_object()) json["seed"] = command.seed;
  const std::string own = std::filesystem::path(command.file).parent_path().string();
  const Recipe recipe = ParseRecipe(json, command.file, own, command.data);
  const std::string out =
      command.out.empty() ? fmt::format("runs/{}-seed{}", recipe.name, recipe.seed) : command.out;
  RunStages(recipe, {out, threads, command.json, command.keep_checkpoints});
}

}  // namespace

void RegisterRecipe(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  CLI::App* group =
      app.add_subcommand("recipe", "Recipes: from random weights to a finished model");
  group->require_subcommand(1);
  group->footer(
      "Examples:\n"
      "  reckon recipe run configs/recipes/quickstart.json\n"
      "  reckon recipe run --help");
  auto command = std::make_shared<RecipeCommand>();
  CLI::App* run = group->add_subcommand("run", "Run a recipe, or go on with one that was stopped");
  run->add_option("file", command->file, "Recipe (JSON)")->required();
  run->add_option("--out", command->out, "Folder to write (default runs/<name>-seed<seed>)");
  run->add_option("--seed", command->seed, "Instead of the recipe's")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 53));
  run->add_option("--data", command->data,
                  "Folder that relative paths of texts start from (default: the recipe's)");
  run->add_flag("--json", command->json, "Print summary.json at the end instead of tables");
  run->add_flag("--keep-checkpoints", command->keep_checkpoints,
                "Keep <stage>/checkpoint/ of finished stages");
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
