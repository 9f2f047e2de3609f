// A recipe: a model, a tokenizer, tasks, and the stages that train it, read from a JSON file and
// run into a folder. Running the same recipe into the same folder again goes on where it stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "formats/json.h"
#include "model/config.h"
#include "rl/grpo.h"
#include "train/supervised.h"

namespace reckon {

struct TokenizerSpec {
  std::string type;                // "char", "bpe" or "file"
  std::string path;                // file: a tokenizer.json
  std::vector<std::string> files;  // bpe: texts to train on
  int64_t vocab_size = 0;          // bpe
};

struct DataSpec {
  std::string type;  // "text" or "tasks"
  TextSourceConfig text;
  TaskSourceConfig tasks;
};

struct StageSpec {
  std::string name, kind;       // kind: "pretrain", "sft", "rl"
  std::string from;             // stage whose weights it starts from; empty: the one before
  std::string time_limit_from;  // stage whose seconds it may spend; empty: no limit
  Precision precision = Precision::kF32;
  bool evaluate = true;
  int64_t checkpoint_every_steps = 50;
  DataSpec data;                // pretrain, sft
  SupervisedConfig supervised;  // pretrain, sft
  GrpoConfig grpo;              // rl
};

struct Recipe {
  std::string name;
  uint64_t seed = 0;
  Json model;               // config.json; vocab_size and token ids are the tokenizer's
  std::string model_where;  // names it in messages
  std::string init_from;    // Hugging Face folder to start from; empty: random weights
  TokenizerSpec tokenizer;
  std::vector<std::shared_ptr<const Task>> tasks;
  EvalConfig eval;
  std::vector<StageSpec> stages;
  double price_usd_per_hour = 0;
  std::string price_source;
  Json source;                        // the file as read
  std::vector<std::string> warnings;  // what it says and is not heeded; for the user
};

// Files of their own that parts of a recipe come from; messages name them instead of a place in the
// recipe. Empty: no such file.
struct RecipeParts {
  std::string stage;  // of the only stage, which has "eval_tasks" in place of the recipe's tasks
  std::string model;  // a config.json
};

// `folder` is what relative paths in the recipe start from; those of texts start from `data_folder`
// where one is given. Throws with the path of the key.
Recipe ParseRecipe(const Json& json, const std::string& where, const std::string& folder,
                   const std::string& data_folder = "", const RecipeParts& parts = {});
Recipe ReadRecipe(const std::string& path, const std::string& data_folder = "");

struct RecipeOptions {
  std::string out;  // folder to write; made if it is not there
  int num_threads = 1;
  bool keep_checkpoints = false;  // of finished stages, which take thrice the model's room
  std::function<void(const StageSpec& stage, size_t index, size_t count)> on_stage;
  std::function<void(const StageProgress&)> on_step;
  std::function<void(const std::string& stage, int64_t done, int64_t total)> on_evaluate;
  std::function<void(const Json& stage_summary)> on_stage_done;
};

// summary.json of a run that has ended in this folder; none where there is still something to do.
// Throws if the folder holds a run of another recipe or seed.
std::optional<Json> FinishedRun(const Recipe& recipe, const std::string& out);

// Returns summary.json; a finished run is left as it is. Interrupted: throws Error{kCancelled} with
// the checkpoint written.
Json RunRecipe(const Recipe& recipe, const RecipeOptions& options);

}  // namespace reckon
