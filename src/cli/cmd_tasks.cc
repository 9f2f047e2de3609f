// reckon tasks: what the tasks ask, and what answers them.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "tasks/task.h"

namespace reckon {
namespace {

struct TasksCommand {
  std::string task;
  int64_t problems = 5;
  uint64_t seed = 0;
  bool json = false;
};

std::vector<Problem> Draw(const Json& json, const TasksCommand& command, int64_t count) {
  const std::unique_ptr<Task> task = MakeTask(json, "tasks");
  Rng rng(command.seed, {StreamName("tasks-command")});
  std::vector<Problem> problems;
  for (int64_t i = 0; i < count; ++i) problems.push_back(task->Generate(rng, Split::kTrain));
  return problems;
}

void List(const TasksCommand& command) {
  for (const std::string& name : TaskNames()) {
    const Problem problem = Draw({{"name", name}}, command, 1)[0];
    std::printf("%-10s  %s\n", name.c_str(), problem.prompt.c_str());
  }
}

void Show(const TasksCommand& command) {
  const Json task =
      command.task[0] == '{' ? ParseJson(command.task, "tasks") : Json({{"name", command.task}});
  Json list = Json::array();
  for (const Problem& p : Draw(task, command, command.problems)) {
    list.push_back(
        {{"task", p.task}, {"prompt", p.prompt}, {"reasoning", p.reasoning}, {"answer", p.answer}});
    if (command.json) continue;
    std::printf("%s%s\n", p.prompt.c_str(), FormatResponse(p.reasoning, p.answer).c_str());
  }
  if (command.json) std::printf("%s\n", list.dump(2).c_str());
}

}  // namespace

void RegisterTasks(CLI::App& app, const GlobalOptions&, int& exit_code) {
  auto command = std::make_shared<TasksCommand>();
  CLI::App* sub = app.add_subcommand("tasks", "List the tasks, or print problems of one");
  sub->add_option("task", command->task, "A task's name, or its JSON; none: all, a problem each");
  sub->add_option("--problems", command->problems, "How many, from the training side")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  sub->add_option("--seed", command->seed)->capture_default_str();
  sub->add_flag("--json", command->json, "Problem, chain of thought and answer apart");
  sub->footer(
      "Examples:\n"
      "  reckon tasks\n"
      "  reckon tasks addition --problems 3\n"
      "  reckon tasks '{\"name\": \"digit_sum\", \"digits\": [4, 16]}' --json");
  sub->callback([command, &exit_code] {
    command->task.empty() ? List(*command) : Show(*command);
    exit_code = 0;
  });
}

}  // namespace reckon
