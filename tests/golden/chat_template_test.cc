// Chat templates of real models and the small cases of shared/data/templates, against what Jinja2
// 3.1.6 printed, byte for byte; what was an error there is an error here.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "tests/golden/shared.h"

namespace reckon {
namespace {

const jinja::CivilTime kNoon{2025, 1, 20, 12, 0, 0};

// Nothing: an error.
std::optional<std::string> RenderedOrError(const ChatTemplate& chat, const Json& variables) {
  try {
    return chat.RenderVariables(variables, kNoon).text;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument) << error.what();
    EXPECT_NE(std::string(error.what()).find(": line "), std::string::npos) << error.what();
    return {};
  }
}

// "FILE", or "FILE:KEY" for a member of a JSON file.
ChatTemplate OpenNamed(const std::string& name) {
  const size_t colon = name.rfind(':');
  const std::string path = SharedPath("data/templates/" + name.substr(0, colon));
  if (colon == std::string::npos) return ChatTemplate::FromText(ReadFile(path), name);
  return ChatTemplate::FromText(ReadJsonFile(path).at(name.substr(colon + 1)).get<std::string>(),
                                name);
}

TEST(ChatTemplateGolden, EveryCaseIsRenderedAsJinja2DoesOrIsAnErrorInBoth) {
  const std::string path = SharedPath("data/templates/chat_template_goldens.json");
  if (!FileExists(path)) GTEST_SKIP() << "no goldens at " << path;
  const Json goldens = ReadJsonFile(path);
  int same = 0, errors = 0;
  for (const Json& c : goldens.at("cases")) {
    const std::string conversation = c.at("conversation");
    SCOPED_TRACE(c.at("template").get<std::string>() + " " + conversation);
    Json variables = {{"messages", goldens.at("conversations").at(conversation)},
                      {"add_generation_prompt", c.at("add_generation_prompt")},
                      {"bos_token", c.at("bos_token")},
                      {"eos_token", c.at("eos_token")}};
    if (goldens.at("tools").contains(conversation)) {
      variables["tools"] = goldens.at("tools").at(conversation);
    }
    const ChatTemplate chat = OpenNamed(c.at("template"));
    const std::optional<std::string> text = RenderedOrError(chat, variables);
    if (c.contains("rendered")) {
      EXPECT_EQ(text.value_or("(an error)"), c.at("rendered").get<std::string>());
      ++same;
    } else {
      EXPECT_FALSE(text.has_value()) << c.at("error") << " there, here: " << *text;
      ++errors;
    }
  }
  EXPECT_EQ(same, 396);
  EXPECT_EQ(errors, 64);
}

// Where the JavaScript engine that the small cases come from prints something else than Python
// (true for True, say): what Jinja2 3.1.6 prints; nothing where it raises an exception.
const std::map<std::string, std::optional<std::string>> kPythonPrints = {
    {"BOOLEAN_LITERALS", "|True|False|True|False|"},
    {"LOGICAL_AND", "TrueFalseFalseFalse"},
    {"LOGICAL_OR", "TrueTrueTrueFalse"},
    {"LOGICAL_NOT", "FalseTrue"},
    {"LOGICAL_NOT_NOT", "TrueFalse"},
    {"LOGICAL_AND_OR", "TrueTrueTrueTrueFalse"},
    {"LOGICAL_AND_NOT", "FalseTrueFalseFalse"},
    {"LOGICAL_OR_NOT", "TrueTrueFalseTrue"},
    {"LOGICAL_COMBINED", "FalseTrue"},
    {"FOR_LOOP_UNPACKING", {}},
    {"FOR_LOOP_OBJECTS", {}},
    {"BINOP_EXPR", "1TrueFalseFalseTrueTrueTrue5"},
    {"BINOP_EXPR_1", "1+2=3 is True"},
    {"PROPERTIES_1",
     "|[['zero-zero-zero', 'zero-zero-one'], ['zero-one-zero', 'zero-one-one']]|['zero-one-zero', "
     "'zero-one-one']|zero-one-one|mixed-indexing|"},
    {"MEMBERSHIP", "|True|True|True|True|True|False|"},
    {"MEMBERSHIP_NEGATION_1", "|False|False|False|False|False|True|"},
    {"MEMBERSHIP_NEGATION_2", "|False|False|False|False|False|True|"},
    {"MEMBERSHIP_UNDEFINED", "|False|False|False|False|False|False|"},
    {"UNARY_SIGN_EXPRESSIONS", "|yes|True|True|True|True|1|True|-1|1|2|-2|-1.5|-0.0|1|-1|0|"},
    {"SUBSTRING_INCLUSION", "|True|True|False|True|False|True|False|"},
    {"FILTER_OPERATOR_4", {}},
    {"FILTER_OPERATOR_5", {}},
    {"FILTER_OPERATOR_6", {}},
    {"FILTER_OPERATOR_7", {}},
    {"FILTER_OPERATOR_11", {}},
    {"FILTER_OPERATOR_12", {}},
    {"FILTER_OPERATOR_13", "[{'name': 'some_tool', 'arguments': {'some_name': 'string'}}]"},
    {"FILTER_OPERATOR_16", "|hello|False|hello|hello|"},
    {"SORT_BASIC_STRINGS", "['Apple', 'banana', 'cherry']"},
    {"SORT_CASE_SENSITIVE", "['Apple', 'banana', 'cherry']"},
    {"SORT_CASE_INSENSITIVE", "['Apple', 'banana', 'cherry']"},
    {"SORT_ATTRIBUTE_SIMPLE", "['Alice', 'Bob', 'Charlie']"},
    {"SORT_CHAINED", "['Bob', 'Alice', 'Charlie', 'David']"},
    {"SORT_STABLE", "['apple', 'banana', 'carrot', 'broccoli']"},
    {"SORT_POSITIONAL_REVERSE_CASE", "['Apple', 'banana', 'cherry']"},
    {"SORT_POSITIONAL_ALL", "['Alice', 'Bob', 'Charlie']"},
    {"SORT_NULL_VALUES", "[None, None]"},
    {"SORT_UNDEFINED_VALUES", "[Undefined, Undefined, Undefined]"},
    {"SORT_MIXED_BOOL_NUM", "[0, False, 0.5, True, 1]"},
    {"BOOLEAN_NUMERICAL", "|2|0|0|0|1|1|1|0|False|True|"},
    {"BOOLEAN_STRINGS", "|b||||a|a|a||False|True|"},
    {"BOOLEAN_MIXED", "|1|0|False|False|True|True|1|0|"},
    {"BOOLEAN_MIXED_2", "||a||a||True|False|a|"},
    {"IS_OPERATOR", "|False|True|True|False|"},
    {"IS_OPERATOR_2", "|True|False|False|True|True|False|"},
    {"IS_OPERATOR_3", "|True|False|False|True|True|False|True|False|"},
    {"IS_OPERATOR_5", "|True|False|False|True|"},
    {"IS_OPERATOR_6", "|False|False|False|True|"},
    {"SHORT_CIRCUIT", "False"},
    {"SHORT_CIRCUIT_1", "True"},
    {"NAMESPACE_1", "False"},
    {"NAMESPACE_2", "|False|2|"},
    {"OBJECT_OPERATORS", "|True|False|False|True|"},
    {"OBJECT_OPERATORS_1", "|True|True|True|"},
    {"OBJECT_OPERATORS_2", {}},
    {"SCOPE", "found=True"},
    {"SCOPE_1", "found=False"},
    {"MACROS_2", {}},
};

TEST(ChatTemplateGolden, TheSmallCasesPrintWhatPythonDoes) {
  const std::string path = SharedPath("data/templates/jinja/hf_jinja_unit.json");
  if (!FileExists(path)) GTEST_SKIP() << "no cases at " << path;
  int compared = 0;
  const Json file = ReadJsonFile(path);
  for (const Json& c : file.at("cases")) {
    const std::string name = c.at("name");
    SCOPED_TRACE(name);
    const auto python = kPythonPrints.find(name);
    const std::optional<std::string> want =
        python != kPythonPrints.end() ? python->second : c.at("expected").get<std::string>();
    const ChatTemplate chat = ChatTemplate::FromText(c.at("template").get<std::string>(), name);
    EXPECT_EQ(RenderedOrError(chat, c.at("context")).value_or("(an error)"),
              want.value_or("(an error)"));
    ++compared;
  }
  EXPECT_EQ(compared, 157);
}

TEST(ChatTemplateGolden, TokenizerConfigsOpenWithTheirTokens) {
  const std::string path = SharedPath("data/tokenizers/deepseek-v3/tokenizer_config.json");
  if (!FileExists(path)) GTEST_SKIP() << "no config at " << path;
  const std::optional<ChatTemplate> chat =
      ChatTemplate::FromTokenizerConfig(ReadJsonFile(path), path);
  ASSERT_TRUE(chat.has_value());
  ChatRequest request;
  request.messages = {{{"role", "user"}, {"content", "Hi"}}};
  const ChatPrompt prompt = chat->Render(request, kNoon);
  EXPECT_EQ(prompt.text, "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜>");
  EXPECT_EQ(prompt.text.substr(prompt.answer_begin), "<｜Assistant｜>");
}

}  // namespace
}  // namespace reckon
