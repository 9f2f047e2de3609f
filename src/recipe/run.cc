#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "cost/receipt.h"
#include "model/weights.h"
#include "recipe/recipe.h"
#include "recipe/report.h"
#include "recipe/run_folder.h"
#include "recipe/stage_record.h"
#include "text/tokenizer_train.h"

namespace reckon {
namespace {

const std::vector<std::string> kSpecialTokens = {"<bos>", "<eos>", "<think>", "</think>"};

std::string Alphabet(const Recipe& recipe) {
  std::set<char> characters;
  const auto add = [&](const Task& task) {
    for (char c : task.alphabet()) characters.insert(c);
  };
  for (const auto& task : recipe.tasks) add(*task);
  for (const StageSpec& stage : recipe.stages) {
    for (const TaskMix& mix : stage.data.tasks.mix) add(*mix.task);
    for (const TaskShare& share : stage.grpo.tasks) add(*share.task);
  }
  return {characters.begin(), characters.end()};
}

Json MakeTokenizer(const Recipe& recipe) {
  const TokenizerSpec& spec = recipe.tokenizer;
  if (spec.type == "file") return ReadJsonFile(spec.path);
  if (spec.type == "char") {
    const std::string alphabet = Alphabet(recipe);
    if (alphabet.empty()) {
      Throw(ErrorKind::kInvalidArgument,
            "a char tokenizer takes its characters from tasks, and the "
            "recipe names none");
    }
    return MakeCharTokenizer(alphabet, kSpecialTokens);
  }
  std::vector<std::string> texts;
  for (const std::string& file : spec.files) texts.push_back(ReadFile(file));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  return TrainByteLevelBpe(views, spec.vocab_size, kSpecialTokens);
}

class RecipeRun {
 public:
  RecipeRun(const Recipe& recipe, const RecipeOptions& options)
      : recipe_(recipe),
        options_(options),
        folder_(options.out, recipe),
        runtime_(options.num_threads) {}

  Json Run() {
    const double begin_s = MonotonicSeconds();
    LoadTokenizer();
    const ModelConfig config = MakeConfig();
    CheckLengths(config);
    initial_hash_ = Load(config, "")->second;
    folder_.Claim(tokenizer_json_);
    for (size_t i = 0; i < recipe_.stages.size(); ++i) {
      if (options_.on_stage) options_.on_stage(recipe_.stages[i], i, recipe_.stages.size());
      records_.push_back(RunStage(config, i));
      if (options_.on_stage_done) options_.on_stage_done(records_.back().Summary());
    }
    double stage_seconds = 0;
    for (const StageRecord& r : records_) stage_seconds += r.seconds + r.evaluation_seconds;
    return Finish(config, std::max(stage_seconds, MonotonicSeconds() - begin_s));
  }

 private:
  using LoadedModel = std::pair<std::unique_ptr<Model>, std::string>;  // and its weight hash

  void LoadTokenizer() {
    const bool made = FileExists(folder_.TokenizerPath());
    tokenizer_json_ = made ? ReadJsonFile(folder_.TokenizerPath()) : MakeTokenizer(recipe_);
    const std::string& file = recipe_.tokenizer.path;
    tokenizer_ = std::make_unique<Tokenizer>(
        Tokenizer::FromJson(tokenizer_json_, made           ? folder_.TokenizerPath()
                                             : file.empty() ? recipe_.name + ": tokenizer"
                                                            : file));
  }

  int32_t SpecialId(const char* token, const char* key) const {
    if (recipe_.model.contains(key) && recipe_.model[key].is_number_integer()) {
      return recipe_.model[key].get<int32_t>();
    }
    const std::optional<int32_t> id = tokenizer_->TokenId(token);
    return id ? *id : -1;
  }

  ModelConfig MakeConfig() const {
    Json json = recipe_.model;
    if (!json.contains("vocab_size")) json["vocab_size"] = tokenizer_->vocab_size();
    json["bos_token_id"] = SpecialId("<bos>", "bos_token_id");
    json["eos_token_id"] = SpecialId("<eos>", "eos_token_id");
    ModelConfig config = ParseModelConfig(json, recipe_.model_where);
    if (config.vocab_size < tokenizer_->vocab_size()) {
      Throw(
          ErrorKind::kInvalidArgument,
          fmt::format("{}: vocab_size {} is less than the tokenizer's {}; leave it out to take the "
                      "tokenizer's",
                      recipe_.model_where, config.vocab_size, tokenizer_->vocab_size()));
    }
    return config;
  }

  // The model a stage begins with: an earlier stage's, or the initial one where `stage` is empty.
  std::unique_ptr<LoadedModel> Load(const ModelConfig& config, const std::string& stage) const {
    std::unique_ptr<Model> model;
    if (!stage.empty()) {
      model = LoadModel(folder_.StagePath(stage) + "/model");
    } else if (!recipe_.init_from.empty()) {
      model = LoadModel(recipe_.init_from);
      CheckSameModel(config, model->config());
    } else {
      model = std::make_unique<Model>(config);
      model->Initialize(recipe_.seed);
    }
    std::string hash = WeightHash(*model);
    return std::make_unique<LoadedModel>(std::move(model), std::move(hash));
  }

  // Some problems of each task that is asked for answers, so that one the model has no room for, or
  // the tokenizer no token, is refused before hours of training.
  void CheckLengths(const ModelConfig& config) const {
    for (const auto& task : recipe_.eval.tasks) CheckLength(config, *task, 1, "eval");
    for (const StageSpec& stage : recipe_.stages) {
      for (const TaskShare& share : stage.grpo.tasks) {
        CheckLength(config, *share.task, stage.grpo.max_completion_length, stage.name);
      }
    }
  }
  void CheckLength(const ModelConfig& config, const Task& task, int64_t max_completion_length,
                   const std::string& what) const {
    Rng rng(recipe_.seed, {StreamName("lengths")});
    for (int i = 0; i < 64; ++i) {
      const Problem problem = task.Generate(rng, Split::kTrain);
      const auto bos = static_cast<int32_t>(config.bos_token_id);
      const auto prompt = static_cast<int64_t>(PromptIds(*tokenizer_, bos, problem).size());
      if (prompt + max_completion_length <= config.max_position_embeddings) continue;
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: a {} problem of {} tokens and max_completion_length {} are more than "
                        "the model's max_position_embeddings {}; lower one or raise the other",
                        what, task.name(), prompt, max_completion_length,
                        config.max_position_embeddings));
    }
  }

  // The recipe's model is what the receipt is computed from.
  void CheckSameModel(const ModelConfig& asked, const ModelConfig& found) const {
    const Json a = ToJson(asked), b = ToJson(found);
    for (const auto& item : a.items()) {
      const std::string& key = item.key();
      const bool free =
          key == "initializer_range" || key == "bos_token_id" || key == "eos_token_id";
      if (free || item.value() == b[key]) continue;
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: {} is {}, but {}/config.json says {}; make them the same",
                        recipe_.model_where, key, item.value().dump(), recipe_.init_from,
                        b[key].dump()));
    }
  }

  const StageRecord& Record(const std::string& name) const {
    for (const StageRecord& record : records_) {
      if (record.name == name) return record;
    }
    Throw(ErrorKind::kInternal, "a stage refers to one that has not run: " + name);
  }

  StageRecord RunStage(const ModelConfig& config, size_t index) {
    const StageSpec& spec = recipe_.stages[index];
    const std::string folder = folder_.StagePath(spec.name), done = folder + "/stage.json";
    if (FileExists(done)) return StageRecord::FromFile(done);
    MakeFolders(folder);
    RemoveTemporaries(folder);
    const std::string before = index == 0 ? "" : recipe_.stages[index - 1].name;
    const auto loaded = Load(config, spec.from.empty() ? before : spec.from);
    Model& model = *loaded->first;
    StageContext context;
    context.rt = runtime_.get();
    context.rt.precision = spec.precision;
    context.name = spec.name;
    context.folder = folder;
    context.checkpoint_every_steps = spec.checkpoint_every_steps;
    context.on_step = options_.on_step;
    StageRecord record =
        spec.kind == "rl" ? RunRl(context, model, spec) : RunText(context, model, spec);
    record.name = spec.name;
    record.kind = spec.kind;
    record.precision = spec.precision == Precision::kBF16 ? "bf16" : "f32";
    record.weight_hash = WeightHash(model);
    WriteFolderAtomically(folder + "/model",
                          [&](const std::string& target) { Export(model, target); });
    if (spec.evaluate && !recipe_.eval.tasks.empty()) EvaluateStage(context.rt, model, record);
    WriteJsonFile(done, record.ToJson());
    return record;
  }

  StageRecord RunText(StageContext& context, Model& model, const StageSpec& spec) {
    SupervisedConfig config = spec.supervised;
    if (!spec.time_limit_from.empty()) config.time_limit_s = Record(spec.time_limit_from).seconds;
    const int32_t bos = static_cast<int32_t>(model.config().bos_token_id);
    const int32_t eos = static_cast<int32_t>(model.config().eos_token_id);
    std::unique_ptr<ExampleSource> source, validation;
    if (spec.data.type == "text") {
      source = MakeTextSource(spec.data.text, *tokenizer_, eos);
      TextSourceConfig held = spec.data.text;
      held.validation = true;
      if (config.validate_every_steps > 0) validation = MakeTextSource(held, *tokenizer_, eos);
    } else {
      source = MakeTaskSource(spec.data.tasks, *tokenizer_, bos, eos);
      TaskSourceConfig held = spec.data.tasks;
      held.split = Split::kHeldOut;
      if (config.validate_every_steps > 0) validation = MakeTaskSource(held, *tokenizer_, bos, eos);
    }
    const SupervisedResult result =
        RunSupervised(context, model, *source, validation.get(), config);
    StageRecord record;
    record.steps = result.steps;
    record.seconds = result.seconds;
    record.trained = result.trained;
    record.evaluated = result.evaluated;
    record.data_hash = source->ContentHash();
    record.figures = {{"loss", result.loss}};
    if (validation != nullptr) record.figures["validation_loss"] = result.validation_loss;
    return record;
  }

  StageRecord RunRl(StageContext& context, Model& model, const StageSpec& spec) {
    const GrpoResult result = RunGrpo(context, model, *tokenizer_, spec.grpo);
    StageRecord record;
    record.steps = result.steps;
    record.seconds = result.seconds;
    record.trained = result.trained;
    record.sampled = result.sampled;
    record.sampled += result.reference;
    record.generated_tokens = result.response_tokens;
    record.data_hash = TaskHash(spec);
    record.figures = {{"train_accuracy", result.accuracy},
                      {"sampler_trainer_mismatch_tokens", result.mismatched_tokens}};
    return record;
  }

  // The problems of an RL stage are drawn from its tasks: their first ones stand for them.
  static std::string TaskHash(const StageSpec& spec) {
    std::string text;
    for (const TaskShare& share : spec.grpo.tasks) {
      Rng rng(spec.grpo.seed, {StreamName("task-hash")});
      for (int i = 0; i < 16; ++i) text += share.task->Generate(rng, Split::kTrain).prompt + "\n";
    }
    return Sha256Hex(text);
  }

  void EvaluateStage(const Runtime& rt, Model& model, StageRecord& record) {
    const EvalResult result =
        Evaluate(rt, model, *tokenizer_, recipe_.eval, [&](int64_t done, int64_t total) {
          if (options_.on_evaluate) options_.on_evaluate(record.name, done, total);
        });
    record.evaluation_seconds = result.seconds;
    record.eval = ToJson(result);
    record.evaluated.tokens += result.prompt_tokens + result.generated_tokens;
    record.evaluated.head_rows += result.generated_tokens;
    record.evaluated.attention_pairs += result.attention_pairs;
  }

  // A folder that transformers opens.
  void Export(Model& model, const std::string& folder) const {
    SaveModel(model, folder);
    WriteFileAtomically(folder + "/tokenizer.json", ReadFile(folder_.TokenizerPath()));
    const ModelConfig& c = model.config();
    Json tokenizer = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                      {"model_max_length", c.max_position_embeddings},
                      {"clean_up_tokenization_spaces", false}};
    Json generation = {{"_from_model_config", true}};
    if (c.bos_token_id >= 0) {
      tokenizer["bos_token"] = tokenizer_->TokenText(static_cast<int32_t>(c.bos_token_id));
      generation["bos_token_id"] = c.bos_token_id;
    }
    if (c.eos_token_id >= 0) {
      tokenizer["eos_token"] = tokenizer_->TokenText(static_cast<int32_t>(c.eos_token_id));
      generation["eos_token_id"] = c.eos_token_id;
    }
    WriteJsonFile(folder + "/tokenizer_config.json", tokenizer);
    WriteJsonFile(folder + "/generation_config.json", generation);
  }

  // The last stage whose length the clock did not decide; the first never is.
  const StageRecord& FinalStage() const {
    size_t last = 0;
    for (size_t i = 0; i < records_.size(); ++i) {
      if (recipe_.stages[i].time_limit_from.empty()) last = i;
    }
    return records_[last];
  }

  Json Finish(const ModelConfig& config, double wall_s) const {
    Json summary = {{"name", recipe_.name}, {"stages", Json::array()}};
    ReceiptInput receipt;
    receipt.name = recipe_.name;
    receipt.recipe_hash = folder_.RecipeHash();
    receipt.seed = recipe_.seed;
    receipt.model = config;
    receipt.initial_weight_hash = initial_hash_;
    receipt.final_weight_hash = FinalStage().weight_hash;
    receipt.machine = {CpuModelName(), runtime_.get().kernels->isa, options_.num_threads};
    receipt.price_usd_per_hour = recipe_.price_usd_per_hour;
    receipt.price_source = recipe_.price_source;
    receipt.wall_s = wall_s;
    ReportInput report;
    for (const StageRecord& r : records_) {
      summary["stages"].push_back(r.Summary());
      receipt.stages.push_back({r.name, r.kind, r.steps, r.trained, r.sampled, r.evaluated,
                                r.generated_tokens, r.seconds, r.evaluation_seconds, r.precision,
                                r.data_hash, r.weight_hash});
      report.stages.push_back(
          {r.name, r.kind, folder_.StagePath(r.name) + "/metrics.jsonl", SamplesOf(r.eval)});
    }
    summary["wall_s"] = wall_s;
    summary["seed"] = recipe_.seed;
    summary["final_stage"] = FinalStage().name;
    summary["examples"] = FinalStage().Examples();
    summary["final_weight_sha256"] = receipt.final_weight_hash;
    report.summary = summary;
    report.receipt = MakeReceipt(receipt);
    WriteJsonFile(options_.out + "/receipt.json", report.receipt);
    WriteFileAtomically(options_.out + "/report.html", RenderReport(report));
    if (!options_.keep_checkpoints) folder_.RemoveCheckpoints();
    WriteJsonFile(options_.out + "/summary.json", summary);  // last: the run is finished
    return summary;
  }

  const Recipe& recipe_;
  const RecipeOptions& options_;
  RunFolder folder_;
  RuntimeOwner runtime_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Json tokenizer_json_;
  std::string initial_hash_;
  std::vector<StageRecord> records_;
};

}  // namespace

Json RunRecipe(const Recipe& recipe, const RecipeOptions& options) {
  const std::optional<Json> finished = FinishedRun(recipe, options.out);
  return finished ? *finished : RecipeRun(recipe, options).Run();
}

}  // namespace reckon
