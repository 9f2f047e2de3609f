#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "base/files.h"
#include "base/rng.h"
#include "text/tokenizer_train.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

// Bytes are tokens 0..255 in the byte alphabet; then h e, l l, ll o, he llo (with rank).
Json SmallBpe() {
  Json json = TrainByteLevelBpe({}, 256, {});
  Json& model = json["model"];
  int id = 256;
  for (const char* merge : {"h e", "l l", "ll o", "he llo", "Ġ he"}) {
    std::string joined = merge;
    joined.erase(joined.find(' '), 1);
    model["vocab"][joined] = id++;
    model["merges"].push_back(merge);
  }
  return json;
}
Json Added(int id, const char* content, bool special, bool normalized = false) {
  return {{"id", id},        {"content", content},       {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", normalized}, {"special", special}};
}
Tokenizer From(const Json& json) { return Tokenizer::FromJson(json, "t.json"); }

std::string FailureOf(const std::function<void(Json&)>& change,
                      ErrorKind kind = ErrorKind::kUnsupported) {
  Json json = SmallBpe();
  change(json);
  try {
    From(json);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), ::testing::StartsWith("t.json"));
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(Tokenizer, JoinsPairsByRank) {
  const Tokenizer tokenizer = From(SmallBpe());
  EXPECT_EQ(tokenizer.Encode("hello"), Ids{259});
  EXPECT_EQ(tokenizer.Encode("hell"), (Ids{256, 257}));
  EXPECT_EQ(tokenizer.Encode("llll"), (Ids{257, 257}));
  EXPECT_EQ(tokenizer.Encode("lllo"), (Ids{257, 'l', 'o'})) << "of equal ranks the leftmost";
  EXPECT_EQ(tokenizer.Encode(" hello"), (Ids{' ', 259})) << "he llo ranks before Ġ he";
  EXPECT_EQ(tokenizer.Encode(" he"), Ids{260});
  EXPECT_EQ(tokenizer.Encode(""), Ids{});
  EXPECT_EQ(tokenizer.Decode(Ids{260, 257, 'o'}), " hello");
  EXPECT_EQ(tokenizer.vocab_size(), 261);
  EXPECT_EQ(tokenizer.TokenId("Ġhe"), 260);
  EXPECT_EQ(tokenizer.TokenId(" he"), std::nullopt);
  EXPECT_EQ(tokenizer.TokenText(260), " he");
  EXPECT_EQ(tokenizer.TokenText(-1), "");
  EXPECT_EQ(tokenizer.TokenText(5000), "");
}

TEST(Tokenizer, ReadsMergesAsPairsToo) {
  Json json = SmallBpe();
  Json pairs = Json::array();
  for (const Json& merge : json["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    pairs.push_back({text.substr(0, space), text.substr(space + 1)});
  }
  json["model"]["merges"] = pairs;
  EXPECT_EQ(From(json).Encode("hello hell"), From(SmallBpe()).Encode("hello hell"));
}

TEST(Tokenizer, TakesAWholeWordBeforeMergesWhereTheFileSaysSo) {
  Json json = SmallBpe();
  json["model"]["vocab"]["lllo"] = 261;
  EXPECT_EQ(From(json).Encode("lllo").size(), 3u);
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(From(json).Encode("lllo"), Ids{261});
}

TEST(Tokenizer, CutsOutAddedTokensLeftmostAndLongest) {
  Json json = SmallBpe();
  json["added_tokens"] = {Added(300, "<a>", true), Added(301, "<a><b>", false),
                          Added(302, "你", false)};
  const Tokenizer tokenizer = From(json);
  EXPECT_EQ(tokenizer.Encode("<a><b><a>hello<a"), (Ids{301, 300, 259, '<', 'a'}));
  EXPECT_EQ(tokenizer.Encode("你<a><"), (Ids{302, 300, '<'}));
  EXPECT_EQ(tokenizer.Decode(Ids{300, 301, 302}), "<a><a><b>你");
  EXPECT_EQ(tokenizer.Decode(Ids{300, 301, 302}, true), "<a><b>你");
  EXPECT_TRUE(tokenizer.IsSpecial(300));
  EXPECT_FALSE(tokenizer.IsSpecial(301));
  EXPECT_FALSE(tokenizer.IsSpecial(-1));
  EXPECT_EQ(tokenizer.TokenId("<a>"), 300);
  EXPECT_EQ(tokenizer.vocab_size(), 303);
  EXPECT_EQ(tokenizer.Decode(Ids{299, 9999, -3, 'h'}), "h") << "ids without a token are silent";
}

TEST(Tokenizer, MatchesNormalizedAddedTokensAfterTheOthers) {
  Json json = SmallBpe();
  json["added_tokens"] = {Added(300, "xy", false, true), Added(301, "yz", false, false)};
  EXPECT_EQ(From(json).Encode("xyz"), (Ids{'x', 301}));
}

TEST(Tokenizer, GivesBackEveryByteSequence) {
  const std::string text = "hello hello, hello there: the hellish shell <think>";
  const Tokenizer tokenizer = From(TrainByteLevelBpe({text}, 300, {"<think>"}));
  for (uint64_t round = 0; round < 300; ++round) {
    Rng rng(11, {StreamName("tokenizer-test"), round});
    std::string bytes;
    const int64_t length = rng.Below(200);
    while (static_cast<int64_t>(bytes.size()) < length) {
      const int64_t kind = rng.Below(3);
      if (kind == 0) bytes += static_cast<char>(rng.Below(256));
      if (kind == 1) bytes += static_cast<char>(32 + rng.Below(95));
      if (kind == 2) bytes += text.substr(static_cast<size_t>(rng.Below(40)), 8);
    }
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(bytes)), bytes);
  }
}

TEST(Tokenizer, EncodesAMegabyteWithoutSpaces) {
  const Tokenizer tokenizer = From(SmallBpe());
  EXPECT_EQ(tokenizer.Encode(std::string(1 << 20, 'l')).size(), size_t{1} << 19);
}

TEST(Tokenizer, NamesWhatItDoesNotSupport) {
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["type"] = "Unigram"; }), HasSubstr("Unigram"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["normalizer"] = {{"type", "Lowercase"}};
              }),
              HasSubstr("Lowercase"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["pre_tokenizer"] = {{"type", "Metaspace"}};
              }),
              HasSubstr("Metaspace"));
  EXPECT_THAT(FailureOf([](Json& j) { j["pre_tokenizer"] = nullptr; }), HasSubstr("ByteLevel"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["decoder"] = {{"type", "WordPiece"}};
              }),
              HasSubstr("WordPiece"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["post_processor"] = {{"type", "BertProcessing"}};
              }),
              HasSubstr("BertProcessing"));
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["byte_fallback"] = true; }),
              HasSubstr("byte_fallback"));
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["dropout"] = 0.1; }), HasSubstr("dropout"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["truncation"] = {{"max_length", 5}};
              }),
              HasSubstr("truncation"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["added_tokens"] = Json::array({Added(300, "<m>", true)});
                j["added_tokens"][0]["lstrip"] = true;
              }),
              HasSubstr("added_tokens[0].lstrip"));
}

TEST(Tokenizer, RefusesFilesThatContradictThemselves) {
  const ErrorKind corrupt = ErrorKind::kCorrupt, invalid = ErrorKind::kInvalidArgument;
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["vocab"]["zz"] = 5; }, corrupt),
              HasSubstr("id 5"));
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["vocab"]["zz"] = -5; }, corrupt),
              HasSubstr("\"zz\""));
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["merges"].push_back("q q"); }, corrupt),
              HasSubstr("\"qq\""));
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["merges"].push_back("qq"); }, corrupt),
              HasSubstr("merges[5]"));
  EXPECT_THAT(FailureOf([](Json& j) { j["added_tokens"] = Json::array({Added(300, "he", false)}); },
                        corrupt),
              HasSubstr("\"he\""));
  FailureOf([](Json& j) { j["model"].erase("vocab"); }, invalid);
  FailureOf([](Json& j) { j.erase("model"); }, invalid);
  FailureOf([](Json& j) { j["surprise"] = 1; }, invalid);
  FailureOf([](Json& j) { j["added_tokens"] = 1; }, invalid);
  FailureOf([](Json& j) { j = Json::array(); }, invalid);
}

TEST(Tokenizer, SaysWhichByteTheVocabularyLacks) {
  Json json = SmallBpe();
  json["model"]["vocab"].erase("q");
  const Tokenizer tokenizer = From(json);
  try {
    tokenizer.Encode("q");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("0x71"));
  }
}

TEST(Tokenizer, RefusesTextThatNfcMightChangeAndLeavesTheRestAsItIs) {
  Json json = SmallBpe();
  json["normalizer"] = {{"type", "Sequence"},
                        {"normalizers", Json::array({Json{{"type", "NFC"}}})}};
  const Tokenizer tokenizer = From(json);
  for (const char* text : {"hello", "é 你好 привет 한국어 😀", "ΩA ½ € – “x”"}) {
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
  }
  for (const char* text : {"e\u0301", "\u212B", "\u1112\u1161"}) {
    EXPECT_THROW(tokenizer.Encode(text), Error) << text;
  }
}

// Whatever a damaged file says, the answer is a tokenizer or our own error.
TEST(Tokenizer, MeetsDamagedFilesWithAnError) {
  Json json = SmallBpe();
  json["added_tokens"] = Json::array({Added(300, "<a>", true), Added(301, "<b>", false)});
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  json["post_processor"] = {{"type", "Sequence"}, {"processors", Json::array()}};
  const Json flat = json.flatten();
  const std::vector<Json> wrong = {
      nullptr, -1, 1.5, 1 << 30, "x", true, Json::array(), Json::object(), Json::array({1})};
  Rng rng(3, {StreamName("damage")});
  for (int round = 0; round < 600; ++round) {
    // Any value, or a container above it, becomes something else.
    auto item = flat.begin();
    std::advance(item, rng.Below(static_cast<int64_t>(flat.size())));
    Json::json_pointer place(item.key());
    for (int64_t up = rng.Below(3); up > 0 && !place.empty(); --up) place.pop_back();
    Json damaged = json;
    damaged[place] = wrong[static_cast<size_t>(rng.Below(static_cast<int64_t>(wrong.size())))];
    try {
      From(damaged).Encode("<a>hello<b>");
    } catch (const Error&) {
    } catch (const std::exception& error) {
      ADD_FAILURE() << place << ": " << error.what();
    }
  }
}

std::filesystem::path Shared() {
  const char* shared = std::getenv("RECKON_SHARED");
  return shared != nullptr ? shared : RECKON_SOURCE_DIR "/../shared";
}

// Ids of Hugging Face tokenizers 0.23.1 for the text below.
struct RealCase {
  const char* folder;
  Ids ids;
};
class RealTokenizer : public ::testing::TestWithParam<RealCase> {};

constexpr const char* kRealText =
    "<think>\nI'll sum 12345+67 = 12412 …  naïve 你好，世界！\r\n\tif (x != y) { } </think>";

TEST_P(RealTokenizer, GivesTheIdsOfTheReference) {
  const auto file = Shared() / "data/tokenizers" / GetParam().folder / "tokenizer.json";
  if (!std::filesystem::exists(file)) {
    GTEST_SKIP() << file << " is not there; set RECKON_SHARED to the folder of real data";
  }
  const Tokenizer tokenizer = Tokenizer::FromFile(file.string());
  EXPECT_EQ(tokenizer.Encode(kRealText), GetParam().ids);
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(kRealText)), kRealText);
}

INSTANTIATE_TEST_SUITE_P(
    Files, RealTokenizer,
    ::testing::Values(
        RealCase{"deepseek-v3",
                 {128798, 201, 43,   5922, 2595,   223, 6895,  1883, 13,   3186,  438, 223,
                  9006,   736, 5532, 223,  112752, 223, 30594, 303,  3427, 1175,  204, 201,
                  5733,   343, 90,   6269, 383,    11,  680,   837,  223,  128799}},
        RealCase{"r1-distill-qwen",
                 {151648, 198,  40,  3278, 2629, 220, 16,  17,   18,  19,    20,  10,  21,     22,
                  284,    220,  16,  17,   19,   16,  17,  4593, 220, 94880, 586, 220, 108386, 3837,
                  99489,  6313, 319, 743,  320,  87,  961, 379,  8,   314,   335, 220, 151649}},
        RealCase{"r1-distill-llama",
                 {128013, 198, 40,   3358, 2694,  220, 4513,   1774,  10,   3080,   284,  220,
                  8874,   717, 4696, 220,  95980, 588, 118195, 53901, 3922, 102616, 6447, 319,
                  748,    320, 87,   976,  379,   8,   314,    335,   220,  128014}}),
    [](const auto& real_case) {
      std::string name = real_case.param.folder;
      for (char& c : name) c = c == '-' ? '_' : c;
      return name;
    });

}  // namespace
}  // namespace reckon
