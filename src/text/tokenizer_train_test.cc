#include "text/tokenizer_train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/rng.h"
#include "text/byte_alphabet.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"

namespace reckon {
namespace {

using Ids = std::vector<int32_t>;

std::string RandomProse(uint64_t seed, int words) {
  const std::vector<std::string> syllables = {"to",  "ken", "is",  "ing", "the", "a",  "re",
                                              "son", "é",   "aaa", "42",  "...", "\n", "'s"};
  std::string text;
  Rng rng(seed, {StreamName("prose")});
  for (int i = 0; i < words; ++i) {
    for (int64_t j = rng.Below(4); j >= 0; --j) {
      text += syllables[static_cast<size_t>(rng.Below(static_cast<int64_t>(syllables.size())))];
    }
    text += ' ';
  }
  return text;
}

// The definition, counted anew for every merge.
std::vector<std::string> NaiveMerges(const std::string& text, int num_merges) {
  std::vector<std::string> pieces;
  PreTokenizer::Gpt2().Split(text, true,
                             [&](std::string_view piece) { pieces.emplace_back(piece); });
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(ToByteAlphabet(std::string(1, static_cast<char>(byte))));
  }
  std::vector<Ids> words;
  for (const std::string& piece : pieces) {
    Ids& word = words.emplace_back();
    for (char c : piece) word.push_back(static_cast<uint8_t>(c));
  }
  std::vector<std::string> merges;
  while (static_cast<int>(merges.size()) < num_merges) {
    std::map<std::pair<int32_t, int32_t>, int> counts;  // ordered: the first of equals wins
    for (const Ids& word : words) {
      for (size_t i = 1; i < word.size(); ++i) ++counts[{word[i - 1], word[i]}];
    }
    const auto best = std::max_element(counts.begin(), counts.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
    if (best == counts.end() || best->second < 2) break;
    const auto [left, right] = best->first;
    merges.push_back(tokens[static_cast<size_t>(left)] + " " + tokens[static_cast<size_t>(right)]);
    const auto id = static_cast<int32_t>(tokens.size());
    tokens.push_back(tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)]);
    for (Ids& word : words) {
      Ids joined;
      for (size_t i = 0; i < word.size(); ++i) {
        const bool here = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
        joined.push_back(here ? id : word[i]);
        i += here ? 1 : 0;
      }
      word = joined;
    }
  }
  return merges;
}

TEST(TrainByteLevelBpe, FindsTheMergesOfTheDefinition) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const std::string text = RandomProse(seed, 400);
    const Json json = TrainByteLevelBpe({text}, 256 + 120, {});
    EXPECT_EQ(json["model"]["merges"].get<std::vector<std::string>>(), NaiveMerges(text, 120));
  }
}

TEST(TrainByteLevelBpe, DependsOnNothingButItsArguments) {
  const std::string text = RandomProse(9, 500), more = RandomProse(10, 500);
  const Json once = TrainByteLevelBpe({text, more}, 400, {"<end>"});
  EXPECT_EQ(TrainByteLevelBpe({text, more}, 400, {"<end>"}), once);
  EXPECT_EQ(TrainByteLevelBpe({more, text}, 400, {"<end>"}), once) << "only counts matter";
}

TEST(TrainByteLevelBpe, NumbersSpecialTokensThenBytesThenMerges) {
  const std::string text = RandomProse(1, 500);
  const Tokenizer tokenizer =
      Tokenizer::FromJson(TrainByteLevelBpe({text}, 320, {"<end>", "<think>"}), "t");
  EXPECT_EQ(tokenizer.vocab_size(), 320);
  EXPECT_EQ(tokenizer.TokenId("<end>"), 0);
  EXPECT_EQ(tokenizer.TokenId("<think>"), 1);
  EXPECT_TRUE(tokenizer.IsSpecial(1));
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(tokenizer.TokenText(2 + byte), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
  EXPECT_LT(tokenizer.Encode(text).size(), text.size() * 2 / 3);
}

TEST(TrainByteLevelBpe, KeepsSpecialTokensOutOfTheWords) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "<end>";
  const Json json = TrainByteLevelBpe({text}, 300, {"<end>"});
  EXPECT_TRUE(json["model"]["merges"].empty());
  EXPECT_EQ(json["model"]["vocab"].size(), 257u) << "no pair is left to join";
}

TEST(TrainByteLevelBpe, NeverSpellsASpecialTokenByMerging) {
  const Json json = TrainByteLevelBpe({"abc abc abc", "ab ab ab"}, 270, {"xyz", "Ġabc"});
  const Tokenizer tokenizer = Tokenizer::FromJson(json, "t");
  EXPECT_EQ(tokenizer.TokenId("Ġabc"), 1);
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("abc abc")), "abc abc");
}

TEST(TrainByteLevelBpe, TakesTextThatIsNotUtf8) {
  const std::string text = "ab\xFF ab\xFE ab";
  const Tokenizer tokenizer = Tokenizer::FromJson(TrainByteLevelBpe({text}, 258, {}), "t");
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
}

TEST(TrainByteLevelBpe, RefusesSizesAndTokensThatCannotBe) {
  EXPECT_THROW(TrainByteLevelBpe({}, 255, {}), Error);
  EXPECT_THROW(TrainByteLevelBpe({}, 256, {"<end>"}), Error);
  EXPECT_THROW(TrainByteLevelBpe({}, -1, {}), Error);
  EXPECT_THROW(TrainByteLevelBpe({}, int64_t{1} << 40, {}), Error);
  EXPECT_THROW(TrainByteLevelBpe({}, 300, {"a", "a"}), Error);
  EXPECT_THROW(TrainByteLevelBpe({}, 300, {"<end>", "<end>"}), Error);
  EXPECT_THROW(TrainByteLevelBpe({}, 300, {""}), Error);
  EXPECT_THROW(TrainByteLevelBpe({}, 300, {"\xFF"}), Error);
}

TEST(MakeCharTokenizer, NumbersSpecialTokensThenCharacters) {
  const Tokenizer tokenizer =
      Tokenizer::FromJson(MakeCharTokenizer("01é \n+10", {"<pad>", "<think>"}), "t");
  EXPECT_EQ(tokenizer.Encode("<think>10\né "), (Ids{1, 3, 2, 6, 4, 5}));
  EXPECT_EQ(tokenizer.Decode(Ids{1, 3, 2, 6, 4, 5, 7}), "<think>10\né +");
  EXPECT_EQ(tokenizer.Decode(Ids{1, 3, 0}, true), "1");
  EXPECT_EQ(tokenizer.vocab_size(), 8);
}

TEST(MakeCharTokenizer, SaysWhichCharactersThereAreWhenItRefusesOne) {
  const Tokenizer tokenizer = Tokenizer::FromJson(MakeCharTokenizer("+10é", {"<think>"}), "t");
  try {
    tokenizer.Encode("1h");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "the tokenizer has no token for \"h\"; it knows the characters \"+01é\"");
  }
}

TEST(MakeCharTokenizer, RefusesOtherCharactersUnlessThereIsAnUnknownToken) {
  EXPECT_THROW(Tokenizer::FromJson(MakeCharTokenizer("ab", {}), "t").Encode("abc"), Error);
  EXPECT_THROW(Tokenizer::FromJson(MakeCharTokenizer("ab", {}), "t").Encode("a\xFF"), Error);
  const Tokenizer tokenizer = Tokenizer::FromJson(MakeCharTokenizer("ab", {"<unk>"}), "t");
  EXPECT_EQ(tokenizer.Encode("acb"), (Ids{1, 0, 2}));
  EXPECT_THROW(MakeCharTokenizer("a\xFF", {}), Error);
}

}  // namespace
}  // namespace reckon
