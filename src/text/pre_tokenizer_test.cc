#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

using Strings = std::vector<std::string>;

Strings Cut(const PreTokenizer& pre_tokenizer, const std::string& text) {
  Pieces pieces;
  pre_tokenizer.Split(text, pieces);
  return {pieces.views.begin(), pieces.views.end()};
}
Strings Cut(const char* json, const std::string& text) {
  return Cut(PreTokenizer::FromJson(ParseJson(json, "t"), "t"), text);
}
std::string SplitJson(const char* behavior, const char* invert) {
  return std::string(R"({"type": "Split", "pattern": {"Regex": "[0-9]"}, "behavior": ")") +
         behavior + R"(", "invert": )" + invert + "}";
}

TEST(PreTokenizer, CutsWordsAsGpt2Does) {
  EXPECT_EQ(Cut(PreTokenizer::Gpt2(), "Hello, it's  3 o'clock\n"),
            (Strings{"Hello", ",", " it", "'s", " ", " 3", " o", "'", "clock", "\n"}));
  EXPECT_EQ(Cut(PreTokenizer::Gpt2(), ""), Strings{});
}

TEST(PreTokenizer, IsolatesRemovesOrJoinsWhatAPatternMatches) {
  EXPECT_EQ(Cut(SplitJson("Isolated", "false").c_str(), "ab12c"), (Strings{"ab", "1", "2", "c"}));
  EXPECT_EQ(Cut(SplitJson("Removed", "false").c_str(), "1ab12c"), (Strings{"ab", "c"}));
  EXPECT_EQ(Cut(SplitJson("Contiguous", "false").c_str(), "ab12c"), (Strings{"ab", "12", "c"}));
  EXPECT_EQ(Cut(SplitJson("Removed", "true").c_str(), "ab12c"), (Strings{"1", "2"}));
}

TEST(PreTokenizer, SeparatesDigitsOneByOneOrInRuns) {
  EXPECT_EQ(Cut(R"({"type": "Digits", "individual_digits": true})", "a12"),
            (Strings{"a", "1", "2"}));
  EXPECT_EQ(Cut(R"({"type": "Digits", "individual_digits": false})", "a12b"),
            (Strings{"a", "12", "b"}));
}

TEST(PreTokenizer, RunsASequenceStepByStep) {
  EXPECT_EQ(Cut(R"({"type": "Sequence", "pretokenizers": [
                     {"type": "Digits", "individual_digits": true},
                     {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]})",
                "a b12 c"),
            (Strings{"a", " b", "1", "2", " c"}));
}

TEST(PreTokenizer, AddsASpaceInFrontWhereAsked) {
  EXPECT_EQ(Cut(R"({"type": "ByteLevel", "add_prefix_space": true})", "a b"),
            (Strings{" a", " b"}));
  EXPECT_EQ(Cut(R"({"type": "ByteLevel", "add_prefix_space": true})", " a"), (Strings{" a"}));
}

TEST(PreTokenizer, RefusesWhatItDoesNotKnow) {
  for (const char* json :
       {R"({"type": "Metaspace"})",
        R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "MergedWithNext"})",
        R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})",
        R"({"type": "ByteLevel", "surprise": 1})", R"({"pattern": 1})", "[]"}) {
    EXPECT_THROW(PreTokenizer::FromJson(ParseJson(json, "t"), "t"), Error) << json;
  }
}

}  // namespace
}  // namespace reckon
