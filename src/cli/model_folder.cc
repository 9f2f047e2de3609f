#include "cli/model_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/files.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

// model/ of a stage's folder, and <stage>/model/ of a run's.
std::set<std::string> ModelsWithin(const std::string& path) {
  std::set<std::string> models;
  std::error_code ignored;
  const auto add = [&](const fs::path& folder) {
    if (FileExists((folder / "model/config.json").string())) {
      models.insert((folder / "model").lexically_normal().string());
    }
  };
  add(path);
  for (const fs::directory_entry& entry : fs::directory_iterator(path, ignored)) add(entry.path());
  return models;
}

}  // namespace

void CheckModelFolder(const std::string& path) {
  if (!fs::is_directory(path) || FileExists(path + "/config.json")) return;
  const std::set<std::string> models = ModelsWithin(path);
  if (models.empty()) return;
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("{}: is no model but the folder of a run; its models are {}", path,
                    fmt::join(models, ", ")));
}

}  // namespace reckon
