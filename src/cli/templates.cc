#include "cli/templates.h"

#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "formats/gguf.h"

namespace reckon {

ChatTemplate OpenTemplate(const std::string& source, Json special_tokens) {
  std::optional<ChatTemplate> chat;
  if (std::filesystem::is_directory(source)) {
    chat = ChatTemplate::FromFolder(source);
  } else if (std::filesystem::path(source).extension() == ".json") {
    chat = ChatTemplate::FromTokenizerConfig(ReadJsonFile(source), source);
  } else {
    return ChatTemplate::FromText(ReadFile(source), source, std::move(special_tokens));
  }
  if (!chat) Throw(ErrorKind::kNotFound, source + ": has no chat template");
  return std::move(*chat);
}

std::optional<ChatTemplate> OpenTemplateOfModel(const std::string& model,
                                                const std::string& source) {
  if (!model.ends_with(".gguf")) {
    if (source.empty()) return ChatTemplate::FromFolder(model);
    return OpenTemplate(source, SpecialTokensOfFolder(model));
  }
  const GgufModel gguf(model);
  if (source.empty()) return ChatTemplate::FromGguf(gguf.metadata());
  return OpenTemplate(source, SpecialTokensOfGguf(gguf.metadata()));
}

}  // namespace reckon
