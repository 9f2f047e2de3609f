// Running a recipe at the terminal, and recipes of a single stage.
#pragma once

#include <string>

#include "recipe/recipe.h"

namespace CLI {
class App;
}

namespace reckon {

// Runs, with progress on standard error and tables (or summary.json) on standard output.
void RunStages(const Recipe& recipe, const std::string& out, int threads, bool json);

struct StageCommand {
  std::string file;       // the stage as JSON, without name and kind
  std::string model;      // a Hugging Face folder, or a config.json for random weights
  std::string tokenizer;  // a tokenizer.json; default: the model folder's
  std::string out;
  int64_t seed = 1;
  bool json = false;
};

// Adds the options of StageCommand to a subcommand.
void AddStageOptions(CLI::App& sub, StageCommand& command);
// Wraps the stage in a recipe of its own and runs it. `kind`: "pretrain", "sft" or "rl".
void RunSingleStage(const StageCommand& command, const std::string& kind, int threads);

}  // namespace reckon
