// Chat templates from the paths that users give.
#pragma once

#include <optional>
#include <string>

#include "text/chat_template.h"

namespace reckon {

// A .jinja file, which sees these special tokens, a tokenizer_config.json or a Hugging Face folder;
// throws where it has none.
ChatTemplate OpenTemplate(const std::string& source, Json special_tokens);

// The template of a model (a folder or a GGUF file), or the one in `source` with the model's
// special tokens. Nothing where the model has none and `source` is empty.
std::optional<ChatTemplate> OpenTemplateOfModel(const std::string& model,
                                                const std::string& source);

}  // namespace reckon
