#include "text/tool_call_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace reckon {
namespace {

struct Parsed {
  std::string text;
  std::vector<std::pair<std::string, std::string>> calls;
  bool operator==(const Parsed&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Parsed& parsed) {
  out << "\"" << parsed.text << "\"";
  for (const auto& [name, arguments] : parsed.calls) out << " " << name << "(" << arguments << ")";
  return out;
}

Parsed Parse(ToolCallFormat format, const std::vector<std::string>& pieces) {
  ToolCallParser parser(format);
  Parsed parsed;
  const auto add = [&](const ToolCallDelta& delta) {
    parsed.text += delta.text;
    for (const ToolCall& call : delta.calls) {
      EXPECT_EQ(call.index, parsed.calls.size());
      parsed.calls.emplace_back(call.name, call.arguments);
    }
  };
  for (const std::string& piece : pieces) add(parser.Push(piece));
  add(parser.Finish());
  EXPECT_EQ(parser.num_calls(), parsed.calls.size());
  return parsed;
}

const std::string kCalls = "<｜tool▁calls▁begin｜>", kCallsEnd = "<｜tool▁calls▁end｜>",
                  kCall = "<｜tool▁call▁begin｜>", kEnd = "<｜tool▁call▁end｜>",
                  kSep = "<｜tool▁sep｜>";

std::string V3Call(const std::string& name, const std::string& arguments) {
  return kCall + "function" + kSep + name + "\n```json\n" + arguments + "\n```" + kEnd;
}
std::string V31Call(const std::string& name, const std::string& arguments) {
  return kCall + name + kSep + arguments + kEnd;
}

struct Case {
  ToolCallFormat format;
  std::string output;
  Parsed parsed;
};

std::vector<Case> Cases() {
  const ToolCallFormat v3 = ToolCallFormat::kDeepSeekV3, v31 = ToolCallFormat::kDeepSeekV31,
                       hermes = ToolCallFormat::kHermes;
  const std::string bad =
      kCalls + kCall + "function" + kSep + "f\n```json\n{\"a\": \n```" + kEnd + kCallsEnd;
  return {
      {v3, "no call < at all ", {"no call < at all ", {}}},
      {v3, kCalls + V3Call("f", "{\"a\": 1}") + kCallsEnd, {"", {{"f", "{\"a\": 1}"}}}},
      {v3,
       "Let me look.\n\n" + kCalls + V3Call("f", "{}") + "\n" + V3Call("g", "{\"b\": \"```\"}") +
           kCallsEnd,
       {"Let me look.", {{"f", "{}"}, {"g", "{\"b\": \"```\"}"}}}},
      {v3, V3Call("f", "{}") + " and on", {" and on", {{"f", "{}"}}}},
      {v3, kCalls + V3Call("f", "{}") + kCallsEnd + "\nDone.", {"\nDone.", {{"f", "{}"}}}},
      {v3, bad, {bad, {}}},
      {v3, kCalls + kCallsEnd, {kCalls + kCallsEnd, {}}},
      {v3,
       "a " + kCalls + kCall + "function" + kSep + "f",
       {"a " + kCalls + kCall + "function" + kSep + "f", {}}},
      {v3,
       kCalls + kCall + "function" + kSep + "f\n```json\n{\"a\": 1}\n```",
       {"", {{"f", "{\"a\": 1}"}}}},
      {v31,
       kCalls + V31Call("f", "{\"a\": [1, 2]}") + V31Call("g", "{}") + kCallsEnd,
       {"", {{"f", "{\"a\": [1, 2]}"}, {"g", "{}"}}}},
      {v31,
       "text" + kCalls + V31Call("f", "{\"s\": \"</tool_call> <｜\"}") + kCallsEnd,
       {"text", {{"f", "{\"s\": \"</tool_call> <｜\"}"}}}},
      {v31, kCalls + V31Call("f", ""), {"", {{"f", "{}"}}}},
      {v31,
       kCalls + V31Call("f", "[1]") + kCallsEnd,
       {kCalls + V31Call("f", "[1]") + kCallsEnd, {}}},
      {v31, kCalls + V31Call("not a name", "{}"), {kCalls + V31Call("not a name", "{}"), {}}},
      {v31,
       kCalls + kCall + "f" + kSep + "{}" + kCall + "g" + kSep + "{}" + kCallsEnd,
       {"", {{"f", "{}"}, {"g", "{}"}}}},
      {hermes,
       "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1,\"b\":\"\xC3\xA9\"}}\n</tool_call>",
       {"", {{"f", "{\"a\": 1, \"b\": \"\xC3\xA9\"}"}}}},
      {hermes,
       "Sure.\n<tool_call>{\"name\": \"f\"}</tool_call>\n<tool_call>{\"name\": \"g\", "
       "\"parameters\": {}}"
       "</tool_call>\n",
       {"Sure.", {{"f", "{}"}, {"g", "{}"}}}},
      {hermes,
       "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
       {"", {{"f", "{\"a\": 1}"}}}},
      {hermes,
       "<tool_call>{\"name\": 5}</tool_call> x",
       {"<tool_call>{\"name\": 5}</tool_call> x", {}}},
      {hermes, "<tool_call>nonsense", {"<tool_call>nonsense", {}}},
      {hermes, "a <tool_", {"a <tool_", {}}},
      {hermes,
       "<tool_call>{bad}</tool_call><tool_call>{\"name\": \"f\"}</tool_call>",
       {"<tool_call>{bad}</tool_call>", {{"f", "{}"}}}},
  };
}

TEST(ToolCallParser, FindsCallsAndLeavesTheRestAsText) {
  for (const Case& c : Cases()) EXPECT_EQ(Parse(c.format, {c.output}), c.parsed) << c.output;
}

TEST(ToolCallParser, FindsTheSameHoweverTheOutputIsCut) {
  for (const Case& c : Cases()) {
    std::vector<std::string> bytes;
    for (char byte : c.output) bytes.emplace_back(1, byte);
    EXPECT_EQ(Parse(c.format, bytes), c.parsed) << c.output;
    for (size_t i = 0; i <= c.output.size(); ++i) {
      EXPECT_EQ(Parse(c.format, {c.output.substr(0, i), c.output.substr(i)}), c.parsed)
          << c.output << " cut at " << i;
    }
  }
}

TEST(ToolCallParser, TextComesOutAsSoonAsItCanBeNoMark) {
  ToolCallParser parser(ToolCallFormat::kDeepSeekV31);
  EXPECT_EQ(parser.Push("Hello").text, "Hello");
  EXPECT_EQ(parser.Push(" <").text, "");
  EXPECT_EQ(parser.Push("b>").text, " <b>");
  const ToolCallDelta delta = parser.Push(kCalls + kCall + "f" + kSep + "{}" + kEnd);
  EXPECT_EQ(delta.text, "");
  ASSERT_EQ(delta.calls.size(), 1u) << "before the section ends";
}

TEST(ToolCallParser, LongArgumentsByTheByteTakeLinearTime) {
  ToolCallParser parser(ToolCallFormat::kHermes);
  parser.Push("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"");
  for (int i = 0; i < 1'000'000; ++i) parser.Push("x");
  EXPECT_EQ(parser.Push("\"}}</tool_call>").calls.size(), 1u);
}

TEST(ToolCallFormats, AreToldFromTheTemplate) {
  EXPECT_EQ(ToolCallFormatOf("'<｜tool▁call▁begin｜>' + x + '```json'"),
            ToolCallFormat::kDeepSeekV3);
  EXPECT_EQ(ToolCallFormatOf("'<｜tool▁call▁begin｜>' + x"), ToolCallFormat::kDeepSeekV31);
  EXPECT_EQ(ToolCallFormatOf("<tool_call>\n{\"name\": <function-name>"), ToolCallFormat::kHermes);
  EXPECT_EQ(ToolCallFormatOf("<tool_call>{name}<arg_key>"), std::nullopt);
  EXPECT_EQ(ToolCallFormatOf("{{ messages }}"), std::nullopt);
}

}  // namespace
}  // namespace reckon
