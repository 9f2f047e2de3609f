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
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["type"] = "WordPiece"; }), HasSubstr("WordPiece"));
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["type"] = "Unigram"; }), HasSubstr("ByteLevel"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["normalizer"] = {{"type", "BertNormalizer"}};
              }),
              HasSubstr("BertNormalizer"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["pre_tokenizer"] = {{"type", "UnicodeScripts"}};
              }),
              HasSubstr("UnicodeScripts"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["decoder"] = {{"type", "WordPiece"}};
              }),
              HasSubstr("WordPiece"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["post_processor"] = {{"type", "Moving"}};
              }),
              HasSubstr("Moving"));
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["dropout"] = 0.1; }), HasSubstr("dropout"));
  EXPECT_THAT(FailureOf([](Json& j) {
                j["truncation"] = {{"max_length", 5}};
              }),
              HasSubstr("truncation"));
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

TEST(Tokenizer, ComposesCharactersWhereTheFileSaysNfc) {
  Json json = SmallBpe();
  json["normalizer"] = {{"type", "Sequence"},
                        {"normalizers", Json::array({Json{{"type", "NFC"}}})}};
  const Tokenizer tokenizer = From(json);
  for (const char* text : {"hello", "é 你好 привет 한국어 😀", "ΩA ½ € – “x”"}) {
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
  }
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("e\u0301 \u212B \u1112\u1161")),
            "\u00e9 \u00c5 \uD558");
}

TEST(Tokenizer, AddsWhatThePostProcessorSaysOnlyWhenAsked) {
  Json json = SmallBpe();
  json["added_tokens"] = {Added(300, "<s>", true), Added(301, "</s>", true)};
  json["post_processor"] = ParseJson(
      R"({"type": "Sequence", "processors": [
          {"type": "ByteLevel", "trim_offsets": false},
          {"type": "TemplateProcessing",
           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                      {"Sequence": {"id": "A", "type_id": 0}},
                      {"SpecialToken": {"id": "</s>", "type_id": 0}}],
           "pair": [],
           "special_tokens": {"<s>": {"id": "<s>", "ids": [300], "tokens": ["<s>"]},
                              "</s>": {"id": "</s>", "ids": [301], "tokens": ["</s>"]}}}]})",
      "t");
  const Tokenizer tokenizer = From(json);
  EXPECT_EQ(tokenizer.Encode("hello"), Ids{259});
  EXPECT_EQ(tokenizer.Encode("hello", true), (Ids{300, 259, 301}));
  EXPECT_EQ(tokenizer.Encode("", true), (Ids{300, 301}));
  EXPECT_EQ(tokenizer.bos_id(), 300);
  json["post_processor"] =
      ParseJson(R"({"type": "BertProcessing", "cls": ["<s>", 300], "sep": ["</s>", 301]})", "t");
  EXPECT_EQ(From(json).Encode("hello", true), (Ids{300, 259, 301}));
}

TEST(Tokenizer, StripsSpaceAroundAddedTokensAndKeepsThemOutOfWords) {
  Json json = SmallBpe();
  json["added_tokens"] = {Added(300, "<l>", true), Added(301, "<r>", true),
                          Added(302, "and", false)};
  json["added_tokens"][0]["lstrip"] = true;
  json["added_tokens"][1]["rstrip"] = true;
  json["added_tokens"][2]["single_word"] = true;
  const Tokenizer tokenizer = From(json);
  EXPECT_EQ(tokenizer.Encode("o \n<l> o"), (Ids{'o', 300, ' ', 'o'}));
  EXPECT_EQ(tokenizer.Encode("o <r>\u3000 o"), (Ids{'o', ' ', 301, 'o'}));
  EXPECT_EQ(tokenizer.Encode("<r> <l>"), (Ids{301, 300}));
  EXPECT_EQ(tokenizer.Encode("and,and"), (Ids{302, ',', 302}));
  EXPECT_EQ(tokenizer.Encode("band"), (Ids{'b', 'a', 'n', 'd'}));
  json["added_tokens"][0]["content"] = json["added_tokens"][1]["content"] = " ";
  json["added_tokens"][0]["rstrip"] = json["added_tokens"][1]["lstrip"] = true;
  json["added_tokens"][1]["id"] = 300;
  EXPECT_EQ(From(json).Encode(std::string(1 << 20, ' ')).size(), size_t{1} << 20) << "in no time";
}

// SentencePiece's way of writing BPE as a tokenizer.json.
Json PieceBpe() {
  Json json = ParseJson(
      R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
          "normalizer": {"type": "Sequence", "normalizers": [
             {"type": "Prepend", "prepend": "\u2581"},
             {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
          "pre_tokenizer": null, "post_processor": null,
          "decoder": {"type": "Sequence", "decoders": [
             {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
             {"type": "ByteFallback"}, {"type": "Fuse"},
             {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
          "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "fuse_unk": true,
             "byte_fallback": true, "vocab": {"<unk>": 0, "\u2581": 1, "a": 2, "b": 3, "ab": 4,
                "\u2581ab": 5}, "merges": ["a b", "\u2581 ab"]}})",
      "t");
  return json;
}

TEST(Tokenizer, EncodesCharactersWithFallbackToBytes) {
  Json json = PieceBpe();
  EXPECT_EQ(From(json).Encode("ab xyb"), (Ids{5, 1, 0, 3})) << "two unknown are one";
  json["model"]["fuse_unk"] = false;
  EXPECT_EQ(From(json).Encode("xy"), (Ids{1, 0, 0}));
  json["model"]["vocab"]["<0xC3>"] = 6;
  json["model"]["vocab"]["<0xA9>"] = 7;
  const Tokenizer tokenizer = From(json);
  EXPECT_EQ(tokenizer.Encode("aéb"), (Ids{1, 2, 6, 7, 3}));
  EXPECT_EQ(tokenizer.Decode(Ids{5, 1, 2, 6, 7, 3}), "ab aéb");
  EXPECT_EQ(tokenizer.Decode(Ids{1, 1, 2}), " a") << "one space is taken off";
  json["model"]["unk_token"] = nullptr;
  EXPECT_THROW(From(json).Encode("x"), Error);
  EXPECT_EQ(tokenizer.Encode("a\xFF"), (Ids{1, 2, 0})) << "U+FFFD is unknown";
}

TEST(Tokenizer, FindsTheBestSegmentationOfUnigram) {
  Json json = PieceBpe();
  json["model"] = ParseJson(
      R"({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
          "vocab": [["<unk>", 0], ["\u2581", -2], ["a", -3], ["b", -3], ["ab", -5], ["aba", -5.5],
                    ["ba", -4]]})",
      "t");
  const Tokenizer tokenizer = From(json);
  EXPECT_EQ(tokenizer.Encode("aba"), (Ids{1, 5}));
  EXPECT_EQ(tokenizer.Encode("abba"), (Ids{1, 4, 6}));
  EXPECT_EQ(tokenizer.Encode("xyab"), (Ids{1, 0, 4})) << "neighbouring unknown are one";
  EXPECT_EQ(tokenizer.Decode(Ids{1, 4, 6}), "abba");
}

TEST(Tokenizer, JoinsTokensWithSpacesWhereThereIsNoDecoder) {
  Json json = PieceBpe();
  json["decoder"] = nullptr;
  EXPECT_EQ(From(json).Decode(Ids{2, 3, 4}), "a b ab");
  json["decoder"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}};
  EXPECT_EQ(From(json).Decode(Ids{5, 5}), "ab ab");
}

TEST(Tokenizer, KeepsToAMultipleOfTheFilesSize) {
  const ErrorKind corrupt = ErrorKind::kCorrupt, unsupported = ErrorKind::kUnsupported;
  EXPECT_THAT(FailureOf([](Json& j) { j["model"]["vocab"]["zz"] = (1 << 24) - 1; }, corrupt),
              HasSubstr("16777215"));
  FailureOf([](Json& j) { j["model"]["vocab"]["zz"] = 1e300; }, corrupt);
  FailureOf([](Json& j) { j["model"]["vocab"]["zz"] = UINT64_MAX; }, corrupt);
  FailureOf(
      [](Json& j) {
        j["decoder"] = {{"type", "Replace"},
                        {"pattern", {{"String", "l"}}},
                        {"content", std::string(1 << 20, 'x')}};
      },
      unsupported);
  FailureOf(
      [](Json& j) {
        Json many = Json::array();
        for (int i = 0; i < 5000; ++i) many.push_back({{"type", "NFC"}});
        j["normalizer"] = {{"type", "Sequence"}, {"normalizers", many}};
      },
      unsupported);
  // Eight steps that each make a character a thousand.
  Json json = SmallBpe();
  Json steps = Json::array();
  for (int i = 0; i < 8; ++i) {
    steps.push_back(
        {{"type", "Replace"}, {"pattern", {{"String", "h"}}}, {"content", std::string(1000, 'h')}});
  }
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  EXPECT_THROW(From(json).Encode("hh"), Error);
}

// Whatever a damaged file says, the answer is a tokenizer or our own error.
void Damage(const Json& json) {
  const Json flat = json.flatten();
  const std::vector<Json> wrong = {
      nullptr, -1, 1.5, 1 << 30, "x", true, Json::array(), Json::object(), Json::array({1})};
  Rng rng(3, {StreamName("damage")});
  for (int round = 0; round < 400; ++round) {
    // Any value, or a container above it, becomes something else.
    auto item = flat.begin();
    std::advance(item, rng.Below(static_cast<int64_t>(flat.size())));
    Json::json_pointer place(item.key());
    for (int64_t up = rng.Below(3); up > 0 && !place.empty(); --up) place.pop_back();
    Json damaged = json;
    damaged[place] = wrong[static_cast<size_t>(rng.Below(static_cast<int64_t>(wrong.size())))];
    try {
      const Tokenizer tokenizer = From(damaged);
      tokenizer.Decode(tokenizer.Encode("<a>hello<b>", true));
    } catch (const Error&) {
    } catch (const std::exception& error) {
      ADD_FAILURE() << place << ": " << error.what();
    }
  }
}

TEST(Tokenizer, MeetsDamagedFilesWithAnError) {
  Json json = SmallBpe();
  json["added_tokens"] = Json::array({Added(300, "<a>", true), Added(301, "<b>", false)});
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  json["post_processor"] = {{"type", "Sequence"}, {"processors", Json::array()}};
  Damage(json);
  Damage(PieceBpe());
  json["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"split", true}};
  json["decoder"] = json["pre_tokenizer"];
  json["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "BAAAAAAAAAAA"}};
  json["model"] =
      ParseJson(R"({"type": "Unigram", "unk_id": 0, "vocab": [["a", -1], ["b", 0]]})", "t");
  Damage(json);
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
