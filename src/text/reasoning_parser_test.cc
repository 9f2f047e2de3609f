#include "text/reasoning_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace reckon {
namespace {

using Parts = std::pair<std::string, std::string>;  // reasoning, answer

Parts Split(const std::vector<std::string>& pieces, bool starts_in_reasoning) {
  ReasoningParser parser(starts_in_reasoning);
  Parts parts;
  const auto add = [&](const ReasoningDelta& delta) {
    parts.first += delta.reasoning;
    parts.second += delta.answer;
  };
  for (const std::string& piece : pieces) add(parser.Push(piece));
  add(parser.Finish());
  return parts;
}

struct Case {
  const char* output;
  bool starts_in_reasoning;
  Parts parts;
};

const std::vector<Case> kCases = {
    {"let me see\n</think>\n\n4", true, {"let me see", "4"}},
    {"<think>\nlet me\n\nsee\n</think>\n\n4", false, {"let me\n\nsee", "4"}},
    {"<think>\nagain</think>4", true, {"again", "4"}},
    {"\n<think>a</think>b", false, {"a", "b"}},
    {"just 4", false, {"", "just 4"}},
    {"  \n4 ", false, {"", "  \n4 "}},
    {"", false, {"", ""}},
    {"", true, {"", ""}},
    {"   ", false, {"", "   "}},
    {"</think>4", true, {"", "4"}},
    {"\n\n</think>\n\n4", true, {"", "4"}},
    {"never ends", true, {"never ends", ""}},
    {"ends in blanks \n", true, {"ends in blanks", ""}},
    {"a </thin", true, {"a </thin", ""}},
    {"a < b </ c </think>d", true, {"a < b </ c", "d"}},
    {"a </think> b <think> c </think>", true, {"a", "b <think> c </think>"}},
    {"<thin", false, {"", "<thin"}},
    {"<thin", true, {"<thin", ""}},
    {" <thin", false, {"", " <thin"}},
    {"<thinking> hard", false, {"", "<thinking> hard"}},
    {"\xE4\xBD\xA0\xE5\xA5\xBD</think>\xE2\x82\xAC",
     true,
     {"\xE4\xBD\xA0\xE5\xA5\xBD", "\xE2\x82\xAC"}},
    {"</think></think>x", true, {"", "</think>x"}},
    {"a</think>  ", true, {"a", ""}},
};

TEST(ReasoningParser, SplitsTheWholeOutput) {
  for (const Case& c : kCases) {
    EXPECT_EQ(Split({c.output}, c.starts_in_reasoning), c.parts) << c.output;
  }
}

TEST(ReasoningParser, SplitsTheSameHoweverTheOutputIsCut) {
  for (const Case& c : kCases) {
    const std::string output = c.output;
    std::vector<std::string> bytes;
    for (char byte : output) bytes.emplace_back(1, byte);
    EXPECT_EQ(Split(bytes, c.starts_in_reasoning), c.parts) << output;
    for (size_t i = 0; i <= output.size(); ++i) {
      for (size_t j = i; j <= output.size(); ++j) {
        EXPECT_EQ(Split({output.substr(0, i), output.substr(i, j - i), output.substr(j)},
                        c.starts_in_reasoning),
                  c.parts)
            << output << " cut at " << i << ", " << j;
      }
    }
  }
}

TEST(ReasoningParser, HoldsBackOnlyWhatMayBeAMark) {
  ReasoningParser parser(true);
  EXPECT_EQ(parser.Push("one two").reasoning, "one two");
  EXPECT_EQ(parser.Push(" <").reasoning, "");
  EXPECT_EQ(parser.Push("b").reasoning, " <b");
  EXPECT_TRUE(parser.in_reasoning());
  EXPECT_EQ(parser.Push("</think>").reasoning, "");
  EXPECT_FALSE(parser.in_reasoning());
  EXPECT_EQ(parser.Push("x </think").answer, "x </think") << "no mark counts in an answer";
}

TEST(EndsInReasoning, LooksAtTheAssistantsTurnOnly) {
  EXPECT_TRUE(EndsInReasoning("<|User|>hi<|Assistant|><think>\n", 10));
  EXPECT_FALSE(EndsInReasoning("<|User|>hi<|Assistant|><think>\n</think>\n", 10));
  EXPECT_FALSE(EndsInReasoning("<|User|>what is <think>?<|Assistant|>", 24));
  EXPECT_TRUE(EndsInReasoning("<|Assistant|><think>a</think>b<think>", 0));
  EXPECT_FALSE(EndsInReasoning("", 5));
}

}  // namespace
}  // namespace reckon
