#include "recipe/run_folder.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"

namespace reckon {
namespace {

Json ClaimOf(const Recipe& recipe) { return {{"seed", recipe.seed}, {"recipe", recipe.source}}; }

void CheckClaim(const std::string& out, const Json& claim) {
  const std::string path = out + "/recipe.json";
  if (!FileExists(path) || ReadJsonFile(path) == claim) return;
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("{}: holds a run of another recipe or seed; choose another --out, or remove it",
                    out));
}

}  // namespace

RunFolder::RunFolder(const std::string& path, const Recipe& recipe)
    : path_(path), recipe_(recipe), claim_(ClaimOf(recipe)) {
  CheckClaim(path_, claim_);
  if (FileExists(ClaimPath())) Lock();
}

void RunFolder::Lock() {
  lock_ = FileLock::Try(path_ + "/.lock");
  if (lock_ != nullptr) return;
  Throw(ErrorKind::kIo,
        fmt::format("{}: another reckon is at work in this folder; wait until it is done or stop "
                    "it, or choose another --out",
                    path_));
}

void RunFolder::Claim(const Json& tokenizer) {
  MakeFolders(path_);
  if (lock_ == nullptr) Lock();
  CheckClaim(path_, claim_);  // of a process that was faster
  RemoveTemporaries(path_);
  if (!FileExists(TokenizerPath())) WriteJsonFile(TokenizerPath(), tokenizer);
  if (!FileExists(ClaimPath())) WriteJsonFile(ClaimPath(), claim_);
}

std::string RunFolder::RecipeHash() const { return Sha256Hex(claim_.dump()); }

void RunFolder::RemoveCheckpoints() const {
  for (const StageSpec& stage : recipe_.stages) {
    std::error_code ignored;  // what is left takes room, no more
    std::filesystem::remove_all(StagePath(stage.name) + "/checkpoint", ignored);
  }
}

std::optional<Json> FinishedRun(const Recipe& recipe, const std::string& out) {
  CheckClaim(out, ClaimOf(recipe));
  // summary.json is written last.
  for (const char* file : {"recipe.json", "receipt.json", "report.html", "summary.json"}) {
    if (!FileExists(out + "/" + file)) return {};
  }
  for (const StageSpec& stage : recipe.stages) {
    if (!FileExists(out + "/" + stage.name + "/stage.json")) return {};
  }
  return ReadJsonFile(out + "/summary.json");
}

}  // namespace reckon
