#include "recipe/recipe.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "model/config_keys.h"

namespace reckon {
namespace {

// Resolves paths against the recipe's folder, texts against the data folder. What is not there is
// refused at once, not hours later when its stage begins.
class Paths {
 public:
  Paths(std::string folder, std::string data_folder)
      : folder_(std::move(folder)), data_folder_(std::move(data_folder)) {}
  // `key` names the path in messages.
  std::string Resolve(const std::string& path, const std::string& key) const {
    return Resolve(folder_, path, key);
  }
  std::vector<std::string> ResolveList(ObjectReader& reader, const char* key) const {
    std::vector<std::string> paths = reader.Strings(key);
    if (paths.empty()) {
      Throw(ErrorKind::kInvalidArgument, reader.PathOf(key) + ": expected at least one file");
    }
    for (size_t i = 0; i < paths.size(); ++i) {
      paths[i] = Resolve(data_folder_, paths[i], fmt::format("{}[{}]", reader.PathOf(key), i));
    }
    return paths;
  }

 private:
  static std::string Resolve(const std::string& folder, const std::string& path,
                             const std::string& key) {
    std::string resolved = std::filesystem::path(path).is_absolute() || folder.empty()
                               ? path
                               : (std::filesystem::path(folder) / path).lexically_normal().string();
    if (!FileExists(resolved)) {
      Throw(ErrorKind::kNotFound,
            fmt::format("{}: there is no {}; relative paths start from {}", key, resolved,
                        folder.empty() ? "the working folder" : folder));
    }
    return resolved;
  }

  std::string folder_, data_folder_;
};

struct Context {
  const Paths& paths;
  uint64_t seed;
};

TokenizerSpec ParseTokenizer(const Json& json, const std::string& path, const Paths& paths) {
  ObjectReader reader(json, path);
  TokenizerSpec spec;
  spec.type = reader.Choice("type", {"char", "bpe", "file"});
  if (spec.type == "file") spec.path = paths.Resolve(reader.String("path"), reader.PathOf("path"));
  if (spec.type == "bpe") {
    spec.files = paths.ResolveList(reader, "files");
    spec.vocab_size = reader.Int("vocab_size", 261, 1 << 24);
  }
  reader.Finish();
  return spec;
}

void ParseTextData(ObjectReader& reader, const Context& context, TextSourceConfig& text) {
  text.files = context.paths.ResolveList(reader, "files");
  text.seq_len = reader.Int("seq_len", 2, 1 << 20, text.seq_len);
  text.batch_size = reader.Int("batch_size", 1, 1 << 20, text.batch_size);
  text.validation_fraction = reader.Number("validation_fraction", 0, 0.9, text.validation_fraction);
  text.seed = context.seed;
}

void ParseTaskData(ObjectReader& reader, const Context& context, TaskSourceConfig& tasks) {
  const Json& list = reader.Get("tasks");
  const std::string path = reader.PathOf("tasks");
  if (!list.is_array() || list.empty()) {
    Throw(ErrorKind::kInvalidArgument,
          path + ": expected a list of at least one {\"task\": {...}, \"long_probability\": ...}");
  }
  for (size_t i = 0; i < list.size(); ++i) {
    ObjectReader entry(list[i], fmt::format("{}[{}]", path, i));
    TaskMix mix;
    mix.task = MakeTask(entry.Get("task"), entry.PathOf("task"));
    mix.weight = entry.Number("weight", 1e-9, 1e9, 1.0);
    mix.long_probability = entry.Number("long_probability", 0, 1, 1.0);
    mix.corrupt_probability = entry.Number("corrupt_probability", 0, 1, 0.0);
    entry.Finish();
    tasks.mix.push_back(std::move(mix));
  }
  tasks.batch_size = reader.Int("batch_size", 1, 1 << 20, tasks.batch_size);
  tasks.train_on_prompt = reader.Bool("train_on_prompt", tasks.train_on_prompt);
  tasks.seed = context.seed;
}

DataSpec ParseData(const Json& json, const std::string& path, const Context& context) {
  ObjectReader reader(json, path);
  DataSpec data;
  data.type = reader.Choice("type", {"text", "tasks"});
  if (data.type == "text") {
    ParseTextData(reader, context, data.text);
  } else {
    ParseTaskData(reader, context, data.tasks);
  }
  reader.Finish();
  return data;
}

// A stage's name becomes a folder's.
void CheckName(const std::string& name, const std::string& path) {
  const bool ok =
      !name.empty() && name.size() <= 64 &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
          std::string::npos;
  if (!ok) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: \"{}\" is no name; use up to 64 letters, digits, _ and -", path, name));
  }
}

StageSpec ParseStage(const Json& json, const std::string& path, const Context& context) {
  ObjectReader reader(json, path);
  StageSpec stage;
  stage.name = reader.String("name");
  CheckName(stage.name, reader.PathOf("name"));
  stage.kind = reader.Choice("kind", {"pretrain", "sft", "rl"});
  stage.from = reader.String("from", "");
  stage.time_limit_from = reader.String("time_limit_from", "");
  stage.precision = reader.Choice("precision", {"f32", "bf16"}, "f32") == "bf16" ? Precision::kBF16
                                                                                 : Precision::kF32;
  stage.evaluate = reader.Bool("evaluate", true);
  stage.checkpoint_every_steps = reader.Int("checkpoint_every_steps", 0, 1 << 30, 50);
  if (stage.kind == "rl") {
    stage.grpo = ParseGrpoConfig(reader);
    stage.grpo.seed = context.seed;
    if (!stage.time_limit_from.empty()) {
      Throw(ErrorKind::kInvalidArgument,
            reader.PathOf("time_limit_from") +
                ": only pretrain and sft stages can be limited in time");
    }
  } else {
    stage.supervised = ParseSupervisedConfig(reader);
    // Stages see different examples of the same tasks.
    const Context own{context.paths, Rng(context.seed, {StreamName(stage.name)}).Next()};
    stage.data = ParseData(reader.Get("data"), reader.PathOf("data"), own);
  }
  reader.Finish();
  return stage;
}

// `paths` name the stages in messages.
void CheckReferences(const std::vector<StageSpec>& stages, const std::vector<std::string>& paths) {
  std::set<std::string> earlier;
  for (size_t i = 0; i < stages.size(); ++i) {
    const auto refuse = [&](const char* key, const std::string& name) {
      if (name.empty() || earlier.count(name)) return;
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: there is no earlier stage \"{}\"", KeyPath(paths[i], key), name));
    };
    refuse("from", stages[i].from);
    refuse("time_limit_from", stages[i].time_limit_from);
    if (!earlier.insert(stages[i].name).second) {
      Throw(ErrorKind::kInvalidArgument, fmt::format("{}: \"{}\" is taken by an earlier stage",
                                                     KeyPath(paths[i], "name"), stages[i].name));
    }
  }
}

// A model written in the recipe has no unknown keys. A config.json may come from elsewhere and
// carry more than is known: what looks like a slip there is worth a warning.
void CheckModelKeys(Recipe& recipe, bool from_file) {
  for (const UnknownKey& unknown : UnknownModelKeys(recipe.model)) {
    if (from_file && unknown.nearest.empty()) continue;
    const std::string hint =
        unknown.nearest.empty() ? "." : fmt::format("; did you mean \"{}\"?", unknown.nearest);
    const std::string message = KeyPath(recipe.model_where, unknown.key) + ": unknown key" + hint;
    if (!from_file) {
      Throw(ErrorKind::kInvalidArgument, message + " docs/recipes.md lists the keys of a model");
    }
    recipe.warnings.push_back(message + " It is ignored");
  }
}

void ReadModel(ObjectReader& reader, const Paths& paths, const RecipeParts& parts, Recipe& recipe) {
  recipe.model = reader.Get("model");
  recipe.model_where = parts.model.empty() ? reader.PathOf("model") : parts.model;
  bool from_file = !parts.model.empty();
  if (!recipe.model.is_object()) {
    recipe.model_where = paths.Resolve(reader.String("model"), reader.PathOf("model"));
    recipe.model = ReadJsonFile(recipe.model_where);
    from_file = true;
  }
  CheckModelKeys(recipe, from_file);
}

std::vector<std::shared_ptr<const Task>> ReadTasks(const Json& tasks, const std::string& path) {
  if (!tasks.is_array()) {
    Throw(ErrorKind::kInvalidArgument, path + ": expected a list of tasks");
  }
  std::vector<std::shared_ptr<const Task>> read;
  for (size_t i = 0; i < tasks.size(); ++i) {
    read.push_back(MakeTask(tasks[i], fmt::format("{}[{}]", path, i)));
  }
  return read;
}

void ReadStages(ObjectReader& reader, const Paths& paths, const RecipeParts& parts,
                Recipe& recipe) {
  const Json& stages = reader.Get("stages");
  if (!stages.is_array() || stages.empty()) {
    Throw(ErrorKind::kInvalidArgument,
          reader.PathOf("stages") + ": expected a list of at least one stage");
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < stages.size(); ++i) {
    names.push_back(parts.stage.empty() ? fmt::format("{}[{}]", reader.PathOf("stages"), i)
                                        : parts.stage);
    recipe.stages.push_back(ParseStage(stages[i], names.back(), {paths, recipe.seed}));
  }
  CheckReferences(recipe.stages, names);
}

}  // namespace

Recipe ParseRecipe(const Json& json, const std::string& where, const std::string& folder,
                   const std::string& data_folder, const RecipeParts& parts) {
  const Paths paths(folder, data_folder.empty() ? folder : data_folder);
  ObjectReader reader(json, where);
  Recipe recipe;
  recipe.source = json;
  recipe.name = reader.String("name");
  recipe.seed = static_cast<uint64_t>(reader.Int("seed", 0, int64_t{1} << 53, 1));
  ReadModel(reader, paths, parts, recipe);
  recipe.init_from = reader.String("init_from", "");
  if (!recipe.init_from.empty()) {
    recipe.init_from = paths.Resolve(recipe.init_from, reader.PathOf("init_from"));
  }
  recipe.tokenizer = ParseTokenizer(reader.Get("tokenizer"), reader.PathOf("tokenizer"), paths);
  recipe.price_usd_per_hour = reader.Number("price_usd_per_hour", 0, 1e6, 0.0);
  recipe.price_source = reader.String("price_source", "no price stated");
  if (const Json* tasks = reader.Find("tasks"); tasks != nullptr) {
    recipe.tasks = ReadTasks(
        *tasks, parts.stage.empty() ? reader.PathOf("tasks") : KeyPath(parts.stage, "eval_tasks"));
  }
  if (const Json* eval = reader.Find("eval"); eval != nullptr) {
    ObjectReader eval_reader(*eval, reader.PathOf("eval"));
    recipe.eval = ParseEvalConfig(eval_reader, recipe.tasks);
    eval_reader.Finish();
  } else {
    recipe.eval.tasks = recipe.tasks;
  }
  recipe.eval.seed = recipe.seed;
  ReadStages(reader, paths, parts, recipe);
  reader.Finish();
  return recipe;
}

Recipe ReadRecipe(const std::string& path, const std::string& data_folder) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return ParseRecipe(ReadJsonFile(path), path, folder, data_folder);
}

}  // namespace reckon
