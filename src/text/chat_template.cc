#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "text/jinja_text.h"

namespace reckon {
namespace {

// A special token of a tokenizer_config.json is a text or an object with its content.
std::optional<std::string> TokenText(const Json& token) {
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string()) {
    return token["content"].get<std::string>();
  }
  return {};
}

Json SpecialTokens(const Json& config) {
  Json tokens = Json::object();
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const auto found = config.find(name);
    if (found == config.end()) continue;
    if (const std::optional<std::string> text = TokenText(*found)) tokens[name] = *text;
  }
  return tokens;
}

// The text of a message's content, or of its last part that has one.
std::string ContentText(const Json& message) {
  const auto content = message.find("content");
  if (content == message.end()) return "";
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) return "";
  for (auto part = content->rbegin(); part != content->rend(); ++part) {
    if (part->is_object() && part->contains("text") && (*part)["text"].is_string()) {
      return (*part)["text"].get<std::string>();
    }
  }
  return "";
}

// The prompt up to the end of the last message's content, as transformers cuts it.
void CutAfterFinalMessage(const Json& messages, const std::string& where, std::string& text) {
  const std::string content = messages.empty() ? "" : ContentText(messages.back());
  const std::string_view stripped = jinja::Strip(content, jinja::Side::kBoth);
  const size_t at = stripped.empty() ? text.npos : text.rfind(stripped);
  if (at == text.npos) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: the final message cannot be continued: its content is not in the "
                      "rendered text as it is",
                      where));
  }
  // Blanks at its end belong to the message where the template keeps them.
  const std::string_view open = jinja::Strip(content, jinja::Side::kLeft);
  const bool kept = std::string_view(text).substr(at, open.size()) == open;
  text.resize(at + (kept ? open.size() : stripped.size()));
}

// Empty where there is no such file.
Json ReadObject(const std::string& path) {
  if (!FileExists(path)) return Json::object();
  Json config = ReadJsonFile(path);
  if (!config.is_object()) Throw(ErrorKind::kCorrupt, path + ": expected an object");
  return config;
}

}  // namespace

Json SpecialTokensOfFolder(const std::string& folder) {
  return SpecialTokens(ReadObject(folder + "/tokenizer_config.json"));
}

Json SpecialTokensOfGguf(const GgufFile& file) {
  Json tokens = Json::object();
  const std::vector<std::string_view> texts = file.Strings("tokenizer.ggml.tokens", true);
  for (const auto& [name, key] : {std::pair("bos_token", "tokenizer.ggml.bos_token_id"),
                                  std::pair("eos_token", "tokenizer.ggml.eos_token_id"),
                                  std::pair("unk_token", "tokenizer.ggml.unknown_token_id"),
                                  std::pair("pad_token", "tokenizer.ggml.padding_token_id")}) {
    const int64_t id = file.Int(key, -1);
    if (id >= 0 && id < static_cast<int64_t>(texts.size())) {
      tokens[name] = texts[static_cast<size_t>(id)];
    }
  }
  return tokens;
}

FolderTemplate FindTemplateOfFolder(const std::string& folder) {
  const std::string jinja = folder + "/chat_template.jinja";
  if (FileExists(jinja)) return {jinja, ReadFile(jinja)};
  const std::string legacy = folder + "/chat_template.json";
  const std::string path = FileExists(legacy) ? legacy : folder + "/tokenizer_config.json";
  const Json config = ReadObject(path);
  const auto found = config.find("chat_template");
  return {path, found == config.end() ? Json() : *found};
}

std::string FolderTemplate::text() const {
  if (source.is_string()) return source.get<std::string>();
  if (!source.is_array()) return {};
  for (const Json& named : source) {
    ObjectReader reader(named, path + ": chat_template");
    if (reader.String("name") == "default") return reader.String("template");
  }
  return {};
}

ChatTemplate ChatTemplate::FromText(std::string_view source, const std::string& where,
                                    Json special_tokens) {
  ChatTemplate chat;
  chat.where_ = where;
  chat.templates_.emplace_back("default", jinja::Template::Parse(source, where));
  chat.special_tokens_ = std::move(special_tokens);
  return chat;
}

std::optional<ChatTemplate> ChatTemplate::FromTokenizerConfig(const Json& config,
                                                              const std::string& where) {
  ObjectReader reader(config, where);
  const Json* source = reader.Find("chat_template");
  if (source == nullptr || source->is_null()) return {};
  const std::string path = reader.PathOf("chat_template");
  if (source->is_string()) {
    return FromText(source->get_ref<const std::string&>(), path, SpecialTokens(config));
  }
  if (!source->is_array()) {
    Throw(ErrorKind::kCorrupt, path + ": expected a text or a list of named templates");
  }
  ChatTemplate chat;
  chat.where_ = path;
  chat.special_tokens_ = SpecialTokens(config);
  for (size_t i = 0; i < source->size(); ++i) {
    ObjectReader named((*source)[i], fmt::format("{}[{}]", path, i));
    const std::string name = named.String("name");
    chat.Add(name, named.String("template"));
  }
  if (chat.templates_.empty()) return {};
  return chat;
}

std::optional<ChatTemplate> ChatTemplate::FromFolder(const std::string& folder) {
  const FolderTemplate found = FindTemplateOfFolder(folder);
  if (found.source.is_null()) return {};
  Json config = SpecialTokensOfFolder(folder);
  if (found.is_file()) return FromText(found.source.get<std::string>(), found.path, config);
  config["chat_template"] = found.source;
  return FromTokenizerConfig(config, found.path);
}

std::optional<ChatTemplate> ChatTemplate::FromGguf(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.chat_template", kPrefix = "tokenizer.chat_template.";
  ChatTemplate chat;
  chat.where_ = fmt::format("{}: {}", file.path(), kKey);
  chat.special_tokens_ = SpecialTokensOfGguf(file);
  if (file.HasKey(kKey)) chat.Add("default", file.String(kKey));
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with(kPrefix)) continue;
    const std::string name(key.substr(kPrefix.size()));
    if (name != "default" || chat.templates_.empty()) chat.Add(name, file.String(key));
  }
  if (chat.templates_.empty()) return {};
  return chat;
}

void ChatTemplate::Add(const std::string& name, std::string_view source) {
  templates_.emplace_back(name,
                          jinja::Template::Parse(source, fmt::format("{} \"{}\"", where_, name)));
}

const jinja::Template& ChatTemplate::Choose(bool has_tools) const {
  if (templates_.size() == 1) return templates_[0].second;
  const auto find = [&](std::string_view name) {
    return std::find_if(templates_.begin(), templates_.end(),
                        [&](const auto& named) { return named.first == name; });
  };
  auto found = has_tools ? find("tool_use") : templates_.end();
  if (found == templates_.end()) found = find("default");
  if (found == templates_.end()) {
    Throw(ErrorKind::kUnsupported, fmt::format("{}: none of its {} templates is named \"default\"",
                                               where_, templates_.size()));
  }
  return found->second;
}

jinja::Rendered ChatTemplate::RenderVariables(Json variables, const jinja::CivilTime& now) const {
  if (!variables.is_object()) {
    Throw(ErrorKind::kInvalidArgument, where_ + ": the variables of a template are an object");
  }
  if (variables.contains("messages")) {
    for (const char* name : {"tools", "documents"}) {
      if (!variables.contains(name)) variables[name] = nullptr;
    }
    if (!variables.contains("add_generation_prompt")) variables["add_generation_prompt"] = false;
  }
  for (const auto& [name, token] : special_tokens_.items()) {
    if (!variables.contains(name)) variables[name] = token;
  }
  const auto tools = variables.find("tools");
  return Choose(tools != variables.end() && !tools->is_null()).Render(variables, now);
}

ChatPrompt ChatTemplate::Render(const ChatRequest& request, const jinja::CivilTime& now) const {
  Json variables = request.extra.is_null() ? Json::object() : request.extra;
  const auto set = [&](const char* name, const Json& value) {
    if (variables.contains(name)) {
      Throw(
          ErrorKind::kInvalidArgument,
          fmt::format("{}: \"{}\" is no extra variable; it has a place of its own", where_, name));
    }
    variables[name] = value;
  };
  if (!variables.is_object()) {
    Throw(ErrorKind::kInvalidArgument, where_ + ": extra variables are an object");
  }
  if (!request.messages.is_array()) {
    Throw(ErrorKind::kInvalidArgument, where_ + ": messages are an array");
  }
  set("messages", request.messages);
  set("tools", request.tools);
  set("documents", request.documents);
  set("add_generation_prompt", request.add_generation_prompt && !request.continue_final_message);
  jinja::Rendered rendered = RenderVariables(variables, now);
  ChatPrompt prompt{std::move(rendered.text), 0, std::move(rendered.generation)};
  if (request.continue_final_message) {
    CutAfterFinalMessage(request.messages, where_, prompt.text);
    if (!request.messages.empty()) variables["messages"].erase(request.messages.size() - 1);
  }
  // What the prompt has beyond the conversation so far is the assistant's turn.
  variables["add_generation_prompt"] = false;
  try {
    const std::string before = RenderVariables(std::move(variables), now).text;
    const auto [end, other] =
        std::mismatch(prompt.text.begin(), prompt.text.end(), before.begin(), before.end());
    prompt.answer_begin = static_cast<size_t>(end - prompt.text.begin());
  } catch (const Error&) {
    prompt.answer_begin = 0;  // a template may refuse a conversation that ends otherwise
  }
  return prompt;
}

}  // namespace reckon
