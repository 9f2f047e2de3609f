// Running a recipe at the terminal, and recipes of a single stage.
#pragma once

#include <string>

#include "recipe/recipe.h"

namespace CLI {
class App;
}

namespace reckon {

struct RunStagesOptions {
  std::string out;  // folder to write
  int threads = 1;
  bool json = false;              // summary.json on standard output instead of tables
  bool keep_checkpoints = false;  // of finished stages
};
// Runs, with progress on standard error and tables on standard output. A finished run is shown
// again and left as it is.
void RunStages(const Recipe& recipe, const RunStagesOptions& options);

struct StageCommand {
  std::string file;       // the stage as JSON, without name and kind
  std::string model;      // a Hugging Face folder, or a config.json for random weights
  std::string tokenizer;  // a tokenizer.json; default: the model folder's
  std::string out;
  int64_t seed = 1;
  bool json = false, keep_checkpoints = false;
};

// Adds the options of StageCommand to a subcommand.
void AddStageOptions(CLI::App& sub, StageCommand& command);
// Wraps the stage in a recipe of its own and runs it. `kind`: "pretrain", "sft" or "rl".
void RunSingleStage(const StageCommand& command, const std::string& kind, int threads);

}  // namespace reckon
