#include "cli/example_problem.h"

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "formats/json.h"
#include "tasks/task.h"

namespace reckon {
namespace {

std::string HeldOutProblem(const Json& task) {
  Rng rng(0, {0});
  return MakeTask(task, "tasks")->Generate(rng, Split::kHeldOut).prompt;
}

}  // namespace

std::vector<std::string> ExampleProblems(const std::string& model) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(model, error);
  const std::string run = (folder.parent_path().parent_path() / "recipe.json").string();
  if (error || folder.filename() != "model" || !FileExists(run)) return {};
  try {
    const Json file = ReadJsonFile(run);
    std::vector<std::string> problems;
    for (const Json& task : file.at("recipe").at("tasks")) problems.push_back(HeldOutProblem(task));
    return problems;
  } catch (const Error&) {  // of another version, say: an example is no reason to fail
    return {};
  } catch (const Json::exception&) {  // no tasks
    return {};
  }
}

}  // namespace reckon
