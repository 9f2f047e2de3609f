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

}  // namespace
}  // namespace reckon
