#include "text/streaming_decode.h"

#include <gtest/gtest.h>

#include "text/tokenizer_train.h"
#include "text/utf8.h"

namespace reckon {
namespace {

// One token a byte: every character of several bytes is spread over several tokens.
Tokenizer Bytes() { return Tokenizer::FromJson(TrainByteLevelBpe({}, 257, {"<end>"}), "test"); }

TEST(StreamingDecoder, HoldsBackUnfinishedCharacters) {
  const Tokenizer tokenizer = Bytes();
  const std::string text = "a é 你 😀 z";
  StreamingDecoder decoder(tokenizer);
  std::string all;
  for (int32_t id : tokenizer.Encode(text)) {
    const std::string part = decoder.Push(id);
    EXPECT_EQ(ValidUtf8Prefix(part), part);
    all += part;
  }
  EXPECT_EQ(all + decoder.Finish(), text);
}

TEST(StreamingDecoder, GivesACharacterWithItsLastByte) {
  const Tokenizer tokenizer = Bytes();
  StreamingDecoder decoder(tokenizer);
  const std::vector<int32_t> ids = tokenizer.Encode("é");
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(decoder.Push(ids[0]), "");
  EXPECT_EQ(decoder.Push(ids[1]), "é");
  EXPECT_EQ(decoder.Finish(), "");
}

TEST(StreamingDecoder, ReplacesBytesThatBecomeNoCharacter) {
  const Tokenizer tokenizer = Bytes();
  StreamingDecoder decoder(tokenizer);
  std::string all;
  for (int32_t id : tokenizer.Encode("a\xFF\xE2\x82z\xF0\x9F")) all += decoder.Push(id);
  all += decoder.Finish();
  EXPECT_EQ(all, "a\uFFFD\uFFFDz\uFFFD");
}

TEST(StreamingDecoder, SkipsSpecialTokensWhenAsked) {
  const Tokenizer tokenizer = Bytes();
  StreamingDecoder shows(tokenizer), skips(tokenizer, true);
  EXPECT_EQ(shows.Push(*tokenizer.TokenId("<end>")), "<end>");
  EXPECT_EQ(skips.Push(*tokenizer.TokenId("<end>")), "");
  EXPECT_EQ(shows.Push(100000), "") << "an id without a token";
}

// Two tokens of a model written as SentencePiece does.
Tokenizer Pieces(const char* decoder) {
  Json json = TrainByteLevelBpe({}, 256, {});
  json["pre_tokenizer"] = nullptr;
  json["decoder"] = ParseJson(decoder, "decoder");
  json["model"] = ParseJson(
      R"({"type": "Unigram", "vocab": [["\u2581a", 0], ["<0xC3>", 0], ["<0xA9>", 0]]})", "model");
  return Tokenizer::FromJson(json, "test");
}

TEST(StreamingDecoder, GivesWhatDecodeGivesUnderEveryDecoder) {
  for (const char* decoder : {R"({"type": "Metaspace"})", "null", R"({"type": "Fuse"})",
                              R"({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})"}) {
    const Tokenizer tokenizer = Pieces(decoder);
    for (const std::vector<int32_t>& ids :
         {std::vector<int32_t>{0, 0, 1, 2, 0}, {1, 2, 0}, {0}, {99, 0, 0}}) {
      StreamingDecoder streaming(tokenizer);
      std::string all;
      for (int32_t id : ids) {
        const std::string part = streaming.Push(id);
        EXPECT_EQ(ValidUtf8Prefix(part), part);
        all += part;
      }
      EXPECT_EQ(all + streaming.Finish(), tokenizer.Decode(ids)) << decoder;
    }
  }
}

TEST(StreamingDecoder, KeepsTheSpaceOfATextThatContinues) {
  const Tokenizer tokenizer = Pieces(R"({"type": "Metaspace"})");
  EXPECT_EQ(StreamingDecoder(tokenizer).Push(0), "a");
  EXPECT_EQ(StreamingDecoder(tokenizer, false, true).Push(0), " a");
}

}  // namespace
}  // namespace reckon
