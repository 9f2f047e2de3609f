// Trains the first stage of a recipe and leaves everything that another program needs to do the
// same steps: initial/ and model/ (Hugging Face folders), batches.json, settings.json,
// metrics.jsonl and logits.json. bench/peers/torch_compare_training.py reads them.
//
// The multi-token prediction loss, the balance loss and the bias update are switched off, because
// transformers has none of them; everything else is as the recipe says.
//
// usage: training_dump RECIPE.json --out FOLDER [--data FOLDER] [--steps 200] [--threads 2]

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "base/files.h"
#include "base/memory.h"
#include "model/weights.h"
#include "recipe/recipe.h"

namespace reckon {
namespace {

struct Options {
  std::string recipe, out, data;
  int64_t steps = 200;
  int threads = 2;
};

void AddOptions(CLI::App& app, Options& options) {
  app.add_option("recipe", options.recipe)->required();
  app.add_option("--out", options.out, "Folder to write")->required();
  app.add_option("--data", options.data, "Folder of the texts (default: the recipe's)");
  app.add_option("--steps", options.steps)->check(CLI::Range(1, 1000000))->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 4096))->capture_default_str();
}

// The recipe with only its first stage, cut to `steps` and to what transformers can follow.
Recipe ComparableRecipe(const Options& options) {
  Recipe recipe = ReadRecipe(options.recipe, options.data);
  recipe.stages.resize(1);
  StageSpec& stage = recipe.stages[0];
  if (stage.data.type != "text") {
    Throw(ErrorKind::kInvalidArgument, options.recipe + ": its first stage learns from no text");
  }
  stage.precision = Precision::kF32;
  stage.evaluate = false;
  stage.supervised.steps = options.steps;
  stage.supervised.mtp_loss_weight = 0;
  stage.supervised.balance_alpha = 0;
  stage.supervised.bias_update_speed = 0;
  stage.supervised.validate_every_steps = 0;
  recipe.model["num_nextn_predict_layers"] = 0;
  return recipe;
}

Json Settings(const SupervisedConfig& config) {
  Json rates = Json::array();
  for (int64_t step = 0; step < config.steps; ++step) rates.push_back(config.schedule.At(step));
  const AdamWConfig& o = config.optimizer;
  return {{"learning_rates", rates},
          {"beta1", o.beta1},
          {"beta2", o.beta2},
          {"epsilon", o.epsilon},
          {"weight_decay", o.weight_decay},
          {"max_grad_norm", o.max_grad_norm}};
}

Json Batches(const ExampleSource& source, int64_t steps) {
  Json batches = Json::array();
  for (int64_t step = 0; step < steps; ++step) {
    Json batch = Json::array();
    for (const Example& example : source.Step(step)) batch.push_back(example.token_ids);
    batches.push_back(batch);
  }
  return {{"batches", batches}};
}

Json LogitsOf(const Runtime& rt, Model& model, const std::vector<int32_t>& ids) {
  Batch batch;
  batch.Append(ids);
  const Variable logits = model.Logits(rt, nullptr, model.Forward(rt, nullptr, batch));
  Json rows = Json::array();
  for (int64_t r = 0; r < logits.rows(); ++r) {
    const float* row = logits.value().row(r);
    rows.push_back(std::vector<float>(row, row + logits.cols()));
  }
  return {{"ids", ids}, {"logits", rows}};
}

void WriteModel(Model& model, const std::string& folder) {
  WriteFolderAtomically(folder, [&](const std::string& target) { SaveModel(model, target); });
}

void Run(const Options& options) {
  KeepFreedMemory();
  const Recipe recipe = ComparableRecipe(options);
  const StageSpec& stage = recipe.stages[0];
  RecipeOptions run;
  run.out = options.out + "/run";
  run.num_threads = options.threads;
  RunRecipe(recipe, run);
  const std::string finished = run.out + "/" + stage.name;
  const auto model = LoadModel(finished + "/model");
  WriteModel(*model, options.out + "/model");
  Model initial(model->config());
  initial.Initialize(recipe.seed);
  WriteModel(initial, options.out + "/initial");
  WriteFileAtomically(options.out + "/metrics.jsonl", ReadFile(finished + "/metrics.jsonl"));
  WriteJsonFile(options.out + "/settings.json", Settings(stage.supervised));
  const Tokenizer tokenizer = Tokenizer::FromFile(run.out + "/tokenizer.json");
  const auto source = MakeTextSource(stage.data.text, tokenizer,
                                     static_cast<int32_t>(model->config().eos_token_id));
  WriteJsonFile(options.out + "/batches.json", Batches(*source, stage.supervised.steps));
  const RuntimeOwner runtime(options.threads);
  WriteJsonFile(options.out + "/logits.json",
                LogitsOf(runtime.get(), *model, source->Step(0)[0].token_ids));
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  CLI::App app("Leaves a run of pre-training for another program to repeat");
  reckon::Options options;
  reckon::AddOptions(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    reckon::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "training_dump: %s\n", error.what());
    return 1;
  }
  return 0;
}
