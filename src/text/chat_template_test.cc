#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "text/reasoning_parser.h"

namespace reckon {
namespace {

using testing::HasSubstr;

const jinja::CivilTime kNoon{2025, 1, 20, 12, 0, 0};

constexpr const char* kSource =
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if thinking %}<think>\n{% endif %}{% endif %}"
    "{% if tools %}{{ tools | tojson }}{% endif %}";

Json Conversation() { return {{{"role", "user"}, {"content", "What is <think>?"}}}; }

template <typename Work>
std::string MessageOf(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ChatTemplate, RendersMessagesToolsTokensAndExtraVariables) {
  const ChatTemplate chat =
      ChatTemplate::FromText(kSource, "t", {{"bos_token", "[B]"}, {"eos_token", "[E]"}});
  ChatRequest request;
  request.messages = Conversation();
  EXPECT_EQ(chat.Render(request, kNoon).text, "[B]<user>What is <think>?[E]<assistant>");
  request.extra = {{"thinking", true}};
  request.tools = {{{"name", "f"}}};
  const ChatPrompt prompt = chat.Render(request, kNoon);
  EXPECT_EQ(prompt.text, "[B]<user>What is <think>?[E]<assistant><think>\n[{\"name\": \"f\"}]");
  request.add_generation_prompt = false;
  EXPECT_EQ(chat.Render(request, kNoon).text, "[B]<user>What is <think>?[E][{\"name\": \"f\"}]");
  request.extra = {{"messages", 1}};
  EXPECT_THAT(MessageOf([&] { chat.Render(request, kNoon); }), HasSubstr("\"messages\""));
}

TEST(ChatTemplate, SaysWhereTheAnswerBeginsSoThatReasoningIsSeen) {
  const ChatTemplate chat = ChatTemplate::FromText(kSource, "t");
  ChatRequest request;
  request.messages = Conversation();
  ChatPrompt prompt = chat.Render(request, kNoon);
  EXPECT_EQ(prompt.text.substr(prompt.answer_begin), "<assistant>");
  EXPECT_FALSE(EndsInReasoning(prompt.text, prompt.answer_begin)) << "the user's <think> is text";
  request.extra["thinking"] = true;
  prompt = chat.Render(request, kNoon);
  EXPECT_TRUE(EndsInReasoning(prompt.text, prompt.answer_begin));
}

TEST(ChatTemplate, ContinuesTheFinalMessage) {
  const ChatTemplate chat = ChatTemplate::FromText(kSource, "t", {{"eos_token", "[E]"}});
  ChatRequest request;
  request.messages = Conversation();
  request.messages.push_back({{"role", "assistant"}, {"content", "<think>\nLet me "}});
  request.continue_final_message = true;
  const ChatPrompt prompt = chat.Render(request, kNoon);
  EXPECT_EQ(prompt.text, "<user>What is <think>?[E]<assistant><think>\nLet me ");
  EXPECT_EQ(prompt.text.substr(prompt.answer_begin), "<assistant><think>\nLet me ");
  EXPECT_TRUE(EndsInReasoning(prompt.text, prompt.answer_begin));
  request.messages.back()["content"] = "";
  EXPECT_THAT(MessageOf([&] { chat.Render(request, kNoon); }), HasSubstr("cannot be continued"));
}

TEST(ChatTemplate, OpensTokenizerConfigs) {
  const Json config = {
      {"chat_template", "{{ bos_token }}{{ tools is none }}{{ messages | length }}"},
      {"bos_token", {{"content", "<s>"}, {"lstrip", false}}},
      {"eos_token", nullptr}};
  const Json data = {{"messages", Json::array()}};
  EXPECT_EQ(ChatTemplate::FromTokenizerConfig(config, "c")->RenderVariables(data, kNoon).text,
            "<s>True0");
  EXPECT_FALSE(ChatTemplate::FromTokenizerConfig({{"a", 1}}, "c").has_value());
  EXPECT_THAT(MessageOf([] {
                ChatTemplate::FromTokenizerConfig({{"chat_template", 5}}, "c");
              }),
              HasSubstr("c: chat_template"));
}

TEST(ChatTemplate, ChoosesAmongNamedTemplates) {
  const Json config = {{"chat_template",
                        {{{"name", "default"}, {"template", "plain"}},
                         {{"name", "tool_use"}, {"template", "tools"}}}}};
  const std::optional<ChatTemplate> chat = ChatTemplate::FromTokenizerConfig(config, "c");
  ChatRequest request;
  EXPECT_EQ(chat->Render(request, kNoon).text, "plain");
  request.tools = Json::array({1});
  EXPECT_EQ(chat->Render(request, kNoon).text, "tools");
  const Json other = {
      {"chat_template", {{{"name", "a"}, {"template", "x"}}, {{"name", "b"}, {"template", "y"}}}}};
  EXPECT_THAT(
      MessageOf([&] { ChatTemplate::FromTokenizerConfig(other, "c")->Render(request, kNoon); }),
      HasSubstr("\"default\""));
}

class GgufTemplate : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(folder_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  GgufFile File(const std::vector<std::pair<std::string, std::string>>& templates) {
    GgufMetadata metadata;
    const std::vector<std::string_view> tokens = {"<s>", "</s>", "a"};
    metadata.AddStrings("tokenizer.ggml.tokens", tokens);
    metadata.AddU32("tokenizer.ggml.bos_token_id", 0);
    metadata.AddU32("tokenizer.ggml.eos_token_id", 1);
    metadata.AddU32("tokenizer.ggml.padding_token_id", 77);
    for (const auto& [key, text] : templates) metadata.AddString(key, text);
    WriteGguf(folder_ + "/m.gguf", metadata, {}, {});
    return GgufFile(folder_ + "/m.gguf");
  }
  std::string folder_ =
      (std::filesystem::temp_directory_path() / "reckon-chat-gguf-XXXXXX").string();
};

TEST_F(GgufTemplate, IsReadWithTheSpecialTokensOfTheVocabulary) {
  const auto chat = ChatTemplate::FromGguf(File(
      {{"tokenizer.chat_template", "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}"}}));
  ASSERT_TRUE(chat.has_value());
  EXPECT_EQ(chat->RenderVariables(Json::object(), kNoon).text, "<s></s>False");
  EXPECT_EQ(chat->where(), folder_ + "/m.gguf: tokenizer.chat_template");
}

TEST_F(GgufTemplate, MayBeOneOfSeveral) {
  const auto chat = ChatTemplate::FromGguf(
      File({{"tokenizer.chat_template.tool_use", "tools"}, {"tokenizer.chat_template", "plain"}}));
  ChatRequest request;
  EXPECT_EQ(chat->Render(request, kNoon).text, "plain");
  request.tools = Json::array({1});
  EXPECT_EQ(chat->Render(request, kNoon).text, "tools");
}

TEST_F(GgufTemplate, IsNothingWhereTheFileHasNone) {
  EXPECT_FALSE(ChatTemplate::FromGguf(File({})).has_value());
}

TEST_F(GgufTemplate, NamesFileAndKeyOfAMistake) {
  const std::string message = MessageOf([&] {
    ChatTemplate::FromGguf(File({{"tokenizer.chat_template", "{% if %}"}}));
  });
  EXPECT_THAT(message, HasSubstr("m.gguf: tokenizer.chat_template"));
}

TEST(ChatTemplate, OpensFolders) {
  std::string folder = (std::filesystem::temp_directory_path() / "reckon-chat-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  EXPECT_FALSE(ChatTemplate::FromFolder(folder).has_value());
  WriteFileAtomically(folder + "/tokenizer_config.json",
                      R"({"bos_token": "<s>", "chat_template": "config {{ bos_token }}"})");
  EXPECT_EQ(ChatTemplate::FromFolder(folder)->RenderVariables({{"a", 1}}, kNoon).text,
            "config <s>");
  WriteFileAtomically(folder + "/chat_template.jinja", "file {{ bos_token }}\n");
  EXPECT_EQ(ChatTemplate::FromFolder(folder)->RenderVariables({{"a", 1}}, kNoon).text, "file <s>");
  std::filesystem::remove_all(folder);
}

TEST(ChatTemplate, ErrorsNameTheFileAndTheLine) {
  EXPECT_THAT(MessageOf([] { ChatTemplate::FromText("\n{% if %}", "m/chat_template.jinja"); }),
              HasSubstr("m/chat_template.jinja: line 2"));
  const ChatTemplate chat =
      ChatTemplate::FromText("{{ raise_exception('roles must alternate') }}", "t");
  EXPECT_EQ(MessageOf([&] {
              chat.RenderVariables({{"messages", 1}}, kNoon);
            }),
            "t: line 1: roles must alternate");
}

}  // namespace
}  // namespace reckon
