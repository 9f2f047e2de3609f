// reckon eval: how well a model solves held-out problems.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "eval/evaluate.h"

namespace reckon {
namespace {

struct EvalCommand {
  std::string model, file;
  std::vector<std::string> tasks;
  int64_t problems = 200, samples = 4, k = 4, max_completion_length = 64, seed = 0;
  double temperature = 1;
  Precision precision = Precision::kF32;
  bool json = false;
};

void CheckThereAreTasks(const EvalCommand& command) {
  if (!command.tasks.empty() || !command.file.empty()) return;
  Throw(
      ErrorKind::kInvalidArgument,
      fmt::format("eval: nothing is asked; give --task NAME (or its JSON, with knobs), or --tasks "
                  "FILE. The tasks: {}; reckon tasks shows their problems",
                  fmt::join(TaskNames(), ", ")));
}

EvalConfig MakeConfig(const EvalCommand& command) {
  CheckThereAreTasks(command);
  Json json = Json::object();
  if (!command.file.empty()) json = ReadJsonFile(command.file);
  if (!json.is_object()) json = Json({{"tasks", json}});
  for (const std::string& task : command.tasks) {
    const Json parsed =
        task.empty() || task[0] != '{' ? Json({{"name", task}}) : ParseJson(task, "--task");
    json["tasks"].push_back(parsed);
  }
  const auto set = [&](const char* key, const Json& value) {
    if (!json.contains(key)) json[key] = value;
  };
  set("problems", command.problems);
  set("samples", command.samples);
  set("k", std::min(command.k, std::max<int64_t>(command.samples, 1)));
  set("temperature", command.temperature);
  set("max_completion_length", command.max_completion_length);
  ObjectReader reader(json, command.file.empty() ? "--task" : command.file);
  EvalConfig config = ParseEvalConfig(reader);
  reader.Finish();
  config.seed = static_cast<uint64_t>(command.seed);
  return config;
}

std::string Share(double share, const Interval& interval) {
  return fmt::format("{:5.1f}% ({:.1f}-{:.1f})", 100 * share, 100 * interval.low,
                     100 * interval.high);
}

void Print(const EvalResult& result) {
  std::printf("%-12s %9s  %-20s %-20s %-20s %-20s %7s %6s\n", "task", "problems", "greedy",
              "sampled", fmt::format("pass@{}", result.k).c_str(),
              fmt::format("maj@{}", result.k).c_str(), "tokens", "long");
  std::vector<TaskScore> scores = result.tasks;
  if (scores.size() > 1) scores.push_back(result.all);
  for (const TaskScore& s : scores) {
    const bool sampled = result.k > 0;
    std::printf("%-12s %9lld  %-20s %-20s %-20s %-20s %7.1f %5.0f%%\n", s.task.c_str(),
                static_cast<long long>(s.problems),
                Share(s.pass1_greedy, s.pass1_greedy_interval).c_str(),
                sampled ? Share(s.pass1_sampled, s.pass1_sampled_interval).c_str() : "-",
                sampled ? Share(s.pass_at_k, s.pass_at_k_interval).c_str() : "-",
                sampled ? Share(s.maj_at_k, s.maj_at_k_interval).c_str() : "-",
                s.mean_response_tokens, 100 * s.long_share);
  }
  std::printf("95%% intervals in parentheses; %.1f s\n", result.seconds);
}

void Execute(const EvalCommand& command, int threads) {
  const EvalConfig config = MakeConfig(command);
  Session session = OpenSession(command.model);
  const RuntimeOwner runtime(threads, command.precision);
  Progress progress;
  const EvalResult result =
      Evaluate(runtime.get(), *session.model, session.tokenizer, config,
               [&](int64_t done, int64_t total) { progress.OnCount("evaluating", done, total); });
  progress.EndLine();
  if (command.json) {
    std::printf("%s\n", ToJson(result).dump(2).c_str());
  } else {
    Print(result);
  }
}

}  // namespace

void RegisterEval(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto command = std::make_shared<EvalCommand>();
  CLI::App* sub = app.add_subcommand("eval", "Measure a model on held-out problems");
  sub->add_option("model", command->model, "Hugging Face folder")->required();
  sub->add_option("--task", command->tasks, "A task's name, or its JSON; may be repeated");
  sub->add_option("--tasks", command->file,
                  "JSON file: a list of tasks, or an object of eval keys");
  sub->add_option("--problems", command->problems, "Of each task")->capture_default_str();
  sub->add_option("--samples", command->samples, "Sampled responses a problem; 0: greedy only")
      ->capture_default_str();
  sub->add_option("--k", command->k, "Of pass@k and maj@k")->capture_default_str();
  sub->add_option("--temperature", command->temperature)->capture_default_str();
  sub->add_option("--max-new-tokens", command->max_completion_length)->capture_default_str();
  sub->add_option("--seed", command->seed)->capture_default_str();
  AddPrecisionOption(*sub, command->precision);
  sub->add_flag("--json", command->json, "For programs");
  sub->footer(
      "Examples:\n"
      "  reckon eval runs/first/grpo/model --task '{\"name\": \"digit_sum\", \"digits\": 16}'\n"
      "  reckon eval MODEL --task digit_sum --task addition --samples 16 --k 16 --json");
  sub->callback([command, &global, &exit_code] {
    Execute(*command, global.threads);
    exit_code = 0;
  });
}

}  // namespace reckon
