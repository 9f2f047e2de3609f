#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

using Strings = std::vector<std::string>;

Strings Cut(const PreTokenizer& pre_tokenizer, const std::string& text) {
  Strings pieces;
  pre_tokenizer.Split(text, true, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
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
  EXPECT_EQ(Cut(SplitJson("MergedWithPrevious", "false").c_str(), "ab12c3"),
            (Strings{"ab1", "2", "c3"}));
  EXPECT_EQ(Cut(SplitJson("MergedWithNext", "false").c_str(), "ab12c3"),
            (Strings{"ab", "1", "2c", "3"}));
  EXPECT_EQ(Cut(SplitJson("MergedWithNext", "false").c_str(), "1ab"), (Strings{"1ab"}));
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

TEST(PreTokenizer, WritesSpacesAsMetaspace) {
  const char* always = R"({"type": "Metaspace"})";
  EXPECT_EQ(Cut(always, "a b  c"), (Strings{"\u2581a", "\u2581b", "\u2581", "\u2581c"}));
  EXPECT_EQ(Cut(always, " a"), Strings{"\u2581a"}) << "one is there already";
  const char* never = R"({"type": "Metaspace", "prepend_scheme": "never", "split": false})";
  EXPECT_EQ(Cut(never, "a b"), Strings{"a\u2581b"});
  EXPECT_EQ(Cut(R"({"type": "Metaspace", "add_prefix_space": false})", "a b"),
            (Strings{"a", "\u2581b"}));
  const PreTokenizer first = PreTokenizer::FromJson(
      ParseJson(R"({"type": "Metaspace", "prepend_scheme": "first"})", "t"), "t");
  for (const bool at_start : {true, false}) {
    Strings pieces;
    first.Split("a b", at_start, [&](std::string_view piece) { pieces.emplace_back(piece); });
    EXPECT_EQ(pieces, (Strings{at_start ? "\u2581a" : "a", "\u2581b"}));
  }
}

TEST(PreTokenizer, CutsAtSpaceWordsAndPunctuation) {
  EXPECT_EQ(Cut(R"({"type": "WhitespaceSplit"})", " a, b\u00a0c\n"), (Strings{"a,", "b", "c"}));
  EXPECT_EQ(Cut(R"({"type": "Whitespace"})", "a_1, b\u0301.."),
            (Strings{"a_1", ",", "b\u0301", ".."}));
  EXPECT_EQ(Cut(R"({"type": "Punctuation"})", "a$b\u3002"), (Strings{"a", "$", "b", "\u3002"}));
  EXPECT_EQ(Cut(R"({"type": "BertPreTokenizer"})", "Hi, a b"), (Strings{"Hi", ",", "a", "b"}));
  EXPECT_EQ(Cut(R"({"type": "CharDelimiterSplit", "delimiter": "-"})", "a-b"), (Strings{"a", "b"}));
}

TEST(PreTokenizer, RefusesWhatItDoesNotKnow) {
  for (const char* json :
       {R"({"type": "UnicodeScripts"})",
        R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Sideways"})",
        R"({"type": "Metaspace", "replacement": "ab"})",
        R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})",
        R"({"type": "ByteLevel", "surprise": 1})", R"({"pattern": 1})", "[]"}) {
    EXPECT_THROW(PreTokenizer::FromJson(ParseJson(json, "t"), "t"), Error) << json;
  }
}

}  // namespace
}  // namespace reckon
