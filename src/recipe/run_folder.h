// The output folder of a run: it belongs to one recipe and seed, and one process at a time works in
// it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/file_lock.h"
#include "formats/json.h"
#include "recipe/recipe.h"

namespace reckon {

class RunFolder {
 public:
  // Throws if the folder holds a run of another recipe or seed, or another process works in it.
  // Changes nothing but the lock file of a folder that is claimed already.
  RunFolder(const std::string& path, const Recipe& recipe);

  // Makes the folder and claims it; after all checks of a recipe, so that one that is put right
  // afterwards finds no claim of the wrong one.
  void Claim(const Json& tokenizer);

  std::string TokenizerPath() const { return path_ + "/tokenizer.json"; }
  std::string StagePath(const std::string& stage) const { return path_ + "/" + stage; }
  // SHA-256 of recipe and seed.
  std::string RecipeHash() const;
  // Removes what only a run that goes on needs.
  void RemoveCheckpoints() const;

 private:
  std::string ClaimPath() const { return path_ + "/recipe.json"; }
  void Lock();

  std::string path_;
  const Recipe& recipe_;
  Json claim_;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace reckon
