#include "text/normalizer.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

std::string Result(const char* json, const std::string& text) {
  return Normalizer::FromJson(ParseJson(json, "t"), "t").Normalize(text);
}

TEST(Normalizer, DoesWhatEachTypeSays) {
  EXPECT_EQ(Normalizer::FromJson(nullptr, "t").Normalize("aB"), "aB");
  EXPECT_EQ(Result(R"({"type": "Lowercase"})", "aBÇ\u0130\u03A3"), "abçi\u0307\u03C3");
  EXPECT_EQ(Result(R"({"type": "StripAccents"})", "e\u0301\u0E49x"), "ex");
  EXPECT_EQ(Result(R"({"type": "Strip", "strip_left": true, "strip_right": true})", "\u3000 a b\n"),
            "a b");
  EXPECT_EQ(Result(R"({"type": "Strip", "strip_left": false, "strip_right": true})", " a "), " a");
  EXPECT_EQ(Result(R"({"type": "Strip", "strip_left": true, "strip_right": false})", "  "), "");
  EXPECT_EQ(Result(R"({"type": "Nmt"})",
                   "a\x01"
                   "b\tc\u200Bd\uFEFF"),
            "ab c d ");
  EXPECT_EQ(Result(R"({"type": "Prepend", "prepend": "_"})", "a"), "_a");
  EXPECT_EQ(Result(R"({"type": "Prepend", "prepend": "_"})", ""), "");
  EXPECT_EQ(Result(R"({"type": "Replace", "pattern": {"String": "."}, "content": "!"})", "a.b."),
            "a!b!");
  EXPECT_EQ(
      Result(R"({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})", "a   b c"),
      "a b c");
  EXPECT_EQ(Result(R"({"type": "ByteLevel"})", "a é"), "a\u0120\u00C3\u00A9");
  EXPECT_EQ(
      Result(R"({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]})",
             "\uFF21"),
      "a");
}

TEST(Normalizer, RefusesWhatItDoesNotKnow) {
  for (const char* json : {R"({"type": "BertNormalizer"})", R"({"type": "NFC", "more": 1})", "[]",
                           "{}", R"({"type": "Precompiled", "precompiled_charsmap": "!"})",
                           R"({"type": "Precompiled", "precompiled_charsmap": "AAAA"})",
                           R"({"type": "Replace", "pattern": {"String": 1}, "content": ""})"}) {
    EXPECT_THROW(Normalizer::FromJson(ParseJson(json, "t"), "t"), Error) << json;
  }
}

// A double-array trie with one rule, "a" to "bb": the root's child for 'a' and its value below it.
std::string OneRule() {
  std::vector<uint32_t> units(256, 0);
  units[0] = 1u << 10;                          // the root's children are at 1 ^ label
  units[1 ^ 'a'] = 'a' | 1u << 8 | (2u << 10);  // has a value, at its place ^ 2
  units[(1 ^ 'a') ^ 2] = 1u << 31;              // value 0
  std::string bytes;
  const auto add = [&](uint32_t word) {
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(word >> (8 * i) & 0xFF);
  };
  add(static_cast<uint32_t>(units.size() * 4));
  for (uint32_t unit : units) add(unit);
  return bytes + std::string("bb\0", 3);
}

TEST(Charsmap, FindsRulesAndStaysWithinItsBytes) {
  const std::string bytes = OneRule();
  const Charsmap map = Charsmap::FromBytes(bytes, "t");
  EXPECT_EQ(map.LongestPrefix("ab"), (std::pair<size_t, std::string_view>(1, "bb")));
  EXPECT_EQ(map.LongestPrefix("ba").first, 0u);
  EXPECT_EQ(map.LongestPrefix("a\u0301").first, 1u);
  EXPECT_EQ(map.ReplaceByClusters("ac a"), "bbc bb");
  for (size_t size = 1; size < bytes.size(); size += 7) {
    try {
      Charsmap::FromBytes(bytes.substr(0, size), "t").LongestPrefix("a");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    }
  }
  for (size_t at = 0; at < bytes.size(); ++at) {  // whatever a byte becomes
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x9F);
    try {
      Charsmap::FromBytes(damaged, "t").ReplaceByClusters("a ab\u00e9 a");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    }
  }
}

TEST(Normalizer, RemovesSpacesAsSentencePieceDoes) {
  SentencePieceNormalizer settings;
  EXPECT_EQ(Normalizer::FromSentencePiece(settings).Normalize("  a  b "), "\u2581a\u2581b");
  EXPECT_EQ(Normalizer::FromSentencePiece(settings).Normalize("   "), "");
  settings.remove_extra_whitespaces = false;
  EXPECT_EQ(Normalizer::FromSentencePiece(settings).Normalize(" a "), "\u2581\u2581a\u2581");
  settings.whitespace_as_suffix = true;
  EXPECT_EQ(Normalizer::FromSentencePiece(settings).Normalize("a"), "a\u2581");
  settings.add_dummy_prefix = settings.escape_whitespaces = false;
  EXPECT_EQ(Normalizer::FromSentencePiece(settings).Normalize("a b"), "a b");
}

}  // namespace
}  // namespace reckon
