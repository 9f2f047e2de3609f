// A conversation to the prompt that its model was trained on.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/gguf.h"
#include "formats/json.h"
#include "text/jinja.h"

namespace reckon {

struct ChatRequest {
  Json messages = Json::array();
  Json tools;      // null: none
  Json documents;  // null: none
  bool add_generation_prompt = true;
  // The last message is the beginning of the answer: the prompt ends where its content does.
  bool continue_final_message = false;
  Json extra = Json::object();  // more variables, such as enable_thinking
};

struct ChatPrompt {
  std::string text;
  size_t answer_begin = 0;  // where in the text the assistant's turn begins
  std::vector<std::pair<size_t, size_t>> generation;  // begin and end of {% generation %} blocks
};

// Names and texts of a model's special tokens ("bos_token": "<s>"), as templates see them: of a
// folder's tokenizer_config.json (none where there is no such file), of a GGUF file's vocabulary.
Json SpecialTokensOfFolder(const std::string& folder);
Json SpecialTokensOfGguf(const GgufFile& file);

// What a model folder has for a template: chat_template.jinja, chat_template.json or
// tokenizer_config.json, the first that is there.
struct FolderTemplate {
  std::string path;
  Json source;  // its text, or a list of names and texts; null where there is none

  bool is_file() const { return path.ends_with(".jinja"); }
  std::string text() const;  // of the only one or the one named "default"; empty where none
};
FolderTemplate FindTemplateOfFolder(const std::string& folder);

class ChatTemplate {
 public:
  static ChatTemplate FromText(std::string_view source, const std::string& where,
                               Json special_tokens = Json::object());
  // A tokenizer_config.json: its chat_template (a text, or a list of names and texts) and special
  // tokens. Nothing where it has no template.
  static std::optional<ChatTemplate> FromTokenizerConfig(const Json& config,
                                                         const std::string& where);
  // FindTemplateOfFolder's; special tokens from tokenizer_config.json.
  static std::optional<ChatTemplate> FromFolder(const std::string& folder);
  // A GGUF file: tokenizer.chat_template and, named, tokenizer.chat_template.NAME.
  static std::optional<ChatTemplate> FromGguf(const GgufFile& file);

  const std::string& where() const { return where_; }  // file, and key if it is one's value
  // With several templates: "tool_use" if there are tools and it exists, else "default".
  ChatPrompt Render(const ChatRequest& request, const jinja::CivilTime& now) const;
  // The template over these variables and the special tokens. Where they have `messages`, absent
  // tools and documents are none and add_generation_prompt is false, as transformers passes them.
  jinja::Rendered RenderVariables(Json variables, const jinja::CivilTime& now) const;

 private:
  void Add(const std::string& name, std::string_view source);
  const jinja::Template& Choose(bool has_tools) const;

  std::string where_;
  std::vector<std::pair<std::string, jinja::Template>> templates_;  // by name
  Json special_tokens_ = Json::object();
};

}  // namespace reckon
