#include "text/pattern.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace reckon {
namespace {

std::vector<std::string> Matches(const Pattern& pattern, const std::string& text) {
  std::vector<std::string> matches;
  pattern.ForEachMatch(
      text, [&](size_t begin, size_t end) { matches.push_back(text.substr(begin, end - begin)); });
  return matches;
}
std::vector<std::string> Matches(const char* regex, const std::string& text) {
  return Matches(Pattern::FromRegex(regex, "test"), text);
}
using Strings = std::vector<std::string>;

TEST(Pattern, FindsUnicodeLettersNumbersAndSpaces) {
  EXPECT_EQ(Matches("\\p{L}+", "ab é 你好 1"), (Strings{"ab", "é", "你好"}));
  EXPECT_EQ(Matches("\\p{N}{1,3}", "12345 ²"), (Strings{"123", "45", "²"}));
  EXPECT_EQ(Matches("\\s+", "a\xC2\xA0 b\xE3\x80\x80"), (Strings{"\xC2\xA0 ", "\xE3\x80\x80"}));
  EXPECT_EQ(Matches("[^\\s\\p{L}]+", "a1 é?\xC2\xA0"), (Strings{"1", "?"}));
  EXPECT_EQ(Matches("\\s", "\xE1\xA0\x8E"), Strings{}) << "U+180E is no white space";
  EXPECT_EQ(Matches("[\\u4e00-\\u4e02]", "\xE4\xB8\x81"), (Strings{"\xE4\xB8\x81"}));
  EXPECT_EQ(Matches("\\p{Han}+", "a你好ー"), (Strings{"你好"}));
}

TEST(Pattern, KnowsCaseGroupsAndLookahead) {
  EXPECT_EQ(Matches("(?i:'s|'ll)", "It's he'LL"), (Strings{"'s", "'LL"}));
  EXPECT_EQ(Matches("\\s+(?!\\S)|\\s+", "a   b"), (Strings{"  ", " "}));
  EXPECT_EQ(Matches("a$", "a\na"), (Strings{"a", "a"}));
}

TEST(Pattern, StepsOverEmptyMatchesByWholeCharacters) { EXPECT_EQ(Matches("x*", "é").size(), 2u); }

TEST(Pattern, MatchesALiteralAsItStands) {
  EXPECT_EQ(Matches(Pattern::FromLiteral("a.b", "test"), "a.b axb"), (Strings{"a.b"}));
}

TEST(Pattern, KnowsCharactersOfUnicode16WhateverPcre2Knows) {
  EXPECT_EQ(Matches("\\p{N}+", "a\U0001CCF6"), (Strings{"\U0001CCF6"}));
  EXPECT_EQ(Matches("[^\\p{L}]+", "1\U00031350"), (Strings{"1"}));
  EXPECT_EQ(Matches("\\P{L}+", "1\U00031350"), (Strings{"1"}));
  EXPECT_EQ(Matches("\\p{^Letter}+", "1\U00031350"), (Strings{"1"}));
}

TEST(Pattern, RefusesWhatMeansSomethingElseInOniguruma) {
  for (const char* regex : {"\\h", "\\w+", "\\bx", "[a&&b]", "[a[b]]", "x{1,3}+", "(", "\\p{Nope}",
                            "\\", "\\u12", "[]a]"}) {
    try {
      Pattern::FromRegex(regex, "t.json");
      ADD_FAILURE() << regex;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
      EXPECT_NE(std::string(error.what()).find(regex), std::string::npos) << error.what();
    }
  }
  EXPECT_NO_THROW(Pattern::FromRegex("\\p{N}+[[:alpha:]]\\x{41}+", "t.json"));
}

TEST(Pattern, GivesUpOnExplosiveBacktrackingWithAnError) {
  const Pattern pattern = Pattern::FromRegex("(?:a+)+[bd]", "test");
  EXPECT_THROW(Matches(pattern, std::string(40, 'a') + "c"), Error);
}

TEST(Pattern, TakesALongRunInOneMatch) {
  const std::string spaces(1 << 20, ' ');
  EXPECT_EQ(Matches("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", spaces + "x").size(), 2u);
}

}  // namespace
}  // namespace reckon
