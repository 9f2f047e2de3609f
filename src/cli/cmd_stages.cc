// reckon pretrain, sft and rl: one stage of a recipe on its own.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/commands.h"
#include "cli/model_folder.h"
#include "cli/run_stages.h"

namespace reckon {

void AddStageOptions(CLI::App& sub, StageCommand& command) {
  sub.add_option("stage", command.file, "The stage's keys (JSON), as in a recipe")->required();
  sub.add_option("--model", command.model,
                 "Hugging Face folder to start from, or a config.json for random weights")
      ->required();
  sub.add_option("--tokenizer", command.tokenizer, "tokenizer.json (default: the model folder's)");
  sub.add_option("--out", command.out, "Folder to write")->required();
  sub.add_option("--seed", command.seed)
      ->capture_default_str()
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 53));
  sub.add_flag("--json", command.json, "Print summary.json at the end instead of tables");
  sub.add_flag("--keep-checkpoints", command.keep_checkpoints, "Even after the end");
}

void RunSingleStage(const StageCommand& command, const std::string& kind, int threads) {
  const bool folder = std::filesystem::is_directory(command.model);
  if (!FileExists(command.model)) {
    Throw(ErrorKind::kNotFound, fmt::format("--model: there is no {}", command.model));
  }
  if (folder) CheckModelFolder(command.model);
  std::string tokenizer = command.tokenizer;
  if (tokenizer.empty() && folder) tokenizer = command.model + "/tokenizer.json";
  if (tokenizer.empty()) {
    Throw(ErrorKind::kInvalidArgument, "--tokenizer is needed: a config.json brings none");
  }
  const auto absolute = [](const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal().string();
  };
  Json stage = ReadJsonFile(command.file);
  if (!stage.is_object()) {
    Throw(ErrorKind::kInvalidArgument, command.file + ": expected an object with the stage's keys");
  }
  if (stage.contains("kind") && stage["kind"] != kind) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: kind: this is reckon {}, and the stage is of kind {}", command.file,
                      kind, stage["kind"].dump()));
  }
  stage["name"] = kind;
  stage["kind"] = kind;
  Json recipe = {{"name", kind}, {"seed", command.seed}};
  const std::string config = folder ? command.model + "/config.json" : command.model;
  recipe["model"] = ReadJsonFile(config);
  if (folder) recipe["init_from"] = absolute(command.model);
  recipe["tokenizer"] = {{"type", "file"}, {"path", absolute(tokenizer)}};
  recipe["tasks"] = Json::array();
  if (stage.contains("eval_tasks")) {
    recipe["tasks"] = stage["eval_tasks"];
    stage.erase("eval_tasks");
  }
  recipe["stages"] = Json::array({stage});
  const std::string base = std::filesystem::path(command.file).parent_path().string();
  const Recipe parsed = ParseRecipe(recipe, command.file, base, "", {command.file, config});
  RunStages(parsed, {command.out, threads, command.json, command.keep_checkpoints});
}

namespace {

void Register(CLI::App& app, const GlobalOptions& global, int& exit_code, const std::string& kind,
              const std::string& what, const std::string& example) {
  auto command = std::make_shared<StageCommand>();
  CLI::App* sub = app.add_subcommand(kind, what);
  AddStageOptions(*sub, *command);
  sub->footer(
      "Example:\n  " + example +
      "\nA key \"eval_tasks\" lists tasks to evaluate on at the end. The keys are those of a "
      "recipe's stage: docs/recipes.md.");
  sub->callback([command, kind, &global, &exit_code] {
    RunSingleStage(*command, kind, global.threads);
    exit_code = 0;
  });
}

}  // namespace

void RegisterPretrain(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  Register(
      app, global, exit_code, "pretrain", "Pre-train a model on text files or tasks",
      "reckon pretrain stage.json --model config.json --tokenizer tokenizer.json --out runs/base");
}

void RegisterSft(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  Register(app, global, exit_code, "sft", "Fine-tune a model on chains of thought",
           "reckon sft stage.json --model runs/base/pretrain/model --out runs/tuned");
}

void RegisterRl(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  Register(app, global, exit_code, "rl", "Teach a model by GRPO with rule-based rewards",
           "reckon rl stage.json --model runs/tuned/sft/model --out runs/reasoner");
}

}  // namespace reckon
