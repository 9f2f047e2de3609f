#include "cli/bos.h"

#include <filesystem>

#include "base/files.h"
#include "formats/json.h"

namespace reckon {
namespace {

// The tokenizer_config.json of a model folder, or beside a file; null where there is none.
Json ConfigBeside(const std::string& path) {
  const std::filesystem::path given(path);
  const std::filesystem::path folder =
      std::filesystem::is_directory(given) ? given : given.parent_path();
  const std::string config = (folder / "tokenizer_config.json").string();
  return FileExists(config) ? ReadJsonFile(config) : Json();
}

}  // namespace

std::optional<int32_t> FindBos(const Tokenizer& tokenizer, const std::string& path,
                               std::optional<int32_t> otherwise) {
  if (const std::optional<int32_t> id = tokenizer.bos_id()) return id;
  if (path.ends_with(".gguf")) return otherwise;
  const Json config = ConfigBeside(path);
  if (!config.is_object() || !config.contains("bos_token")) return otherwise;
  Json bos = config["bos_token"];
  if (bos.is_object() && bos.contains("content")) bos = Json(bos["content"]);
  return bos.is_string() ? tokenizer.TokenId(bos.get<std::string>()) : std::nullopt;
}

}  // namespace reckon
