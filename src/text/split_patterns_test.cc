#include "text/split_patterns.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "text/pattern.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace reckon {
namespace {

using Strings = std::vector<std::string>;

Strings Cut(KnownSplit split, std::string_view text) {
  Strings pieces;
  SplitByKnown(split, text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

// The definition: what PCRE2 makes of the patterns, one after another.
Strings CutByPatterns(const std::vector<Pattern>& patterns, std::string_view text) {
  Strings pieces = {std::string(text)};
  for (const Pattern& pattern : patterns) {
    Strings next;
    for (const std::string& piece : pieces) {
      size_t end = 0;
      const auto part = [&](size_t begin) {
        if (begin > end) next.push_back(piece.substr(end, begin - end));
        end = begin;
      };
      pattern.ForEachMatch(piece, [&](size_t match_begin, size_t match_end) {
        part(match_begin);
        part(match_end);
      });
      part(piece.size());
    }
    pieces = std::move(next);
  }
  return pieces;
}

// Whether PCRE2, whose Unicode version may be another, has the character in the same classes.
bool MeansTheSame(uint32_t code_point) {
  static const auto* const same = [] {
    auto* table = new std::vector<bool>(0x110000, true);
    std::string all;
    std::vector<uint32_t> code_point_at;
    for (uint32_t c = 0; c < 0x110000; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      AppendUtf8(c, all);
      code_point_at.resize(all.size(), c);
    }
    const std::pair<const char*, uint8_t> classes[] = {
        {"\\p{L}", kIsLetter},      {"\\p{M}", kIsMark},   {"\\p{N}", kIsNumber},
        {"\\p{P}", kIsPunctuation}, {"\\p{S}", kIsSymbol}, {"\\s", kIsSpace}};
    for (const auto& [regex, flag] : classes) {
      std::vector<bool> matches(0x110000);
      Pattern::FromRegex(regex, "test").ForEachMatch(all, [&](size_t begin, size_t) {
        matches[code_point_at[begin]] = true;
      });
      for (uint32_t c = 0; c < 0x110000; ++c) {
        if (matches[c] != ((CodePointFlags()[c] & flag) != 0)) (*table)[c] = false;
      }
    }
    return table;
  }();
  return (*same)[code_point];
}

std::string RandomText(Rng& rng) {
  static const std::string common =
      " \t\n\r'sStTlLdDmMrReEvV09aZ.,!$_-\u017f\u00a0\u0301\u4e00\u30fb";
  std::string text;
  for (int64_t length = rng.Below(40); length > 0; --length) {
    const int64_t kind = rng.Below(8);
    if (kind < 5) {
      const size_t at = static_cast<size_t>(rng.Below(static_cast<int64_t>(common.size())));
      size_t begin = at;
      while ((static_cast<uint8_t>(common[begin]) & 0xC0) == 0x80) --begin;
      text += common.substr(begin, FirstUtf8(common.substr(begin)).length);
      continue;
    }
    const auto c = static_cast<uint32_t>(rng.Below(kind == 5   ? 0x3100
                                                   : kind == 6 ? 0x11000
                                                               : 0x110000));
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    if (MeansTheSame(c)) AppendUtf8(c, text);
  }
  return text;
}

TEST(SplitPatterns, CutRandomTextsAsPcre2Does) {
  for (const KnownSplit split :
       {KnownSplit::kGpt2, KnownSplit::kLlama3, KnownSplit::kQwen2, KnownSplit::kDeepSeekV3}) {
    std::vector<Pattern> patterns;
    for (const std::string& regex : RegexesOf(split)) {
      patterns.push_back(Pattern::FromRegex(regex, "test"));
    }
    Rng rng(5, {StreamName("split"), static_cast<uint64_t>(split)});
    for (int round = 0; round < 20000; ++round) {
      const std::string text = RandomText(rng);
      ASSERT_EQ(Cut(split, text), CutByPatterns(patterns, text)) << text;
    }
  }
}

TEST(SplitPatterns, CutNothingIntoNothingAndOneLongRunIntoOne) {
  EXPECT_EQ(Cut(KnownSplit::kLlama3, ""), Strings{});
  EXPECT_EQ(Cut(KnownSplit::kLlama3, std::string(1 << 20, 'a')).size(), 1u);
  EXPECT_EQ(Cut(KnownSplit::kDeepSeekV3, std::string(1 << 20, ' ') + "x").size(), 2u);
  EXPECT_EQ(Cut(KnownSplit::kDeepSeekV3, "1234567"), (Strings{"123", "456", "7"}));
  EXPECT_EQ(Cut(KnownSplit::kQwen2, "12"), (Strings{"1", "2"}));
}

}  // namespace
}  // namespace reckon
