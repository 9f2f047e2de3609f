#include "text/sentencepiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "base/rng.h"

namespace reckon {
namespace {

using Ids = std::vector<int32_t>;
using ::testing::HasSubstr;

// Protocol buffers, written as little as needed.
std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string Number(int field, uint64_t value) {
  return Varint(static_cast<uint64_t>(field) << 3) + Varint(value);
}
std::string Bytes(int field, const std::string& bytes) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(bytes.size()) + bytes;
}
std::string Float(int field, float value) {
  std::string bytes = Varint(static_cast<uint64_t>(field) << 3 | 5);
  const auto word = std::bit_cast<uint32_t>(value);
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(word >> (8 * i) & 0xFF);
  return bytes;
}
std::string Piece(const std::string& text, float score, PieceType type = PieceType::kNormal) {
  return Bytes(1, Bytes(1, text) + Float(2, score) + Number(3, static_cast<uint64_t>(type)));
}

enum ModelType { kUnigram = 1, kBpe = 2, kWord = 3 };
// <unk> <s> </s>, then the pieces given.
std::string Model(ModelType type, const std::string& pieces, const std::string& normalizer = "",
                  bool byte_fallback = false) {
  return Piece("<unk>", 0, PieceType::kUnknown) + Piece("<s>", 0, PieceType::kControl) +
         Piece("</s>", 0, PieceType::kControl) + pieces +
         Bytes(2, Number(3, type) + Number(35, byte_fallback ? 1 : 0)) + Bytes(3, normalizer);
}
Tokenizer From(const std::string& bytes) { return TokenizerOfSentencePiece(bytes, "t.model"); }

std::string SmallBpe() {
  return Model(kBpe, Piece("\u2581", -9) + Piece("a", -9) + Piece("b", -9) + Piece("ab", -1) +
                         Piece("\u2581a", -2) + Piece("aab", -3) + Piece("x", -9));
}

TEST(SentencePiece, JoinsTheBestPieceFirst) {
  const Tokenizer tokenizer = From(SmallBpe());
  EXPECT_EQ(tokenizer.Encode("ab"), (Ids{3, 6})) << "ab before \u2581a";
  EXPECT_EQ(tokenizer.Encode("aab"), (Ids{7, 6})) << "\u2581a before aab";
  EXPECT_EQ(tokenizer.Encode("xaab"), (Ids{3, 9, 8}));
  EXPECT_EQ(tokenizer.Encode("  x   a "), (Ids{3, 9, 7})) << "extra spaces go";
  EXPECT_EQ(tokenizer.Encode("a??b"), (Ids{7, 0, 5})) << "neighbouring unknown are one";
  EXPECT_EQ(tokenizer.Decode(Ids{7, 6, 3, 9}), "aab x");
  EXPECT_EQ(tokenizer.Decode(Ids{7, 0, 5}), "a \u2047 b");
  EXPECT_EQ(tokenizer.Encode("<s>a"), (Ids{1, 7}));
  EXPECT_EQ(tokenizer.Encode("a", true), (Ids{1, 7}));
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_TRUE(tokenizer.IsSpecial(1));
}

TEST(SentencePiece, TakesUnusedPiecesApartAndUserDefinedOnesWhole) {
  const Tokenizer tokenizer = From(Model(
      kBpe, Piece("\u2581", -9) + Piece("a", -9) + Piece("b", -9) +
                Piece("ab", -1, PieceType::kUnused) + Piece("bab", 0, PieceType::kUserDefined)));
  EXPECT_EQ(tokenizer.Encode("ab"), (Ids{3, 4, 5}));
  EXPECT_EQ(tokenizer.Encode("babb"), (Ids{3, 7, 5}));
}

TEST(SentencePiece, FallsBackToBytes) {
  std::string pieces = Piece("\u2581", -9);
  for (int byte = 0; byte < 256; ++byte) {
    pieces += Piece(TokenOfByte(static_cast<uint8_t>(byte)), 0, PieceType::kByte);
  }
  for (const ModelType type : {kBpe, kUnigram}) {
    const Tokenizer tokenizer = From(Model(type, pieces, "", true));
    EXPECT_EQ(tokenizer.Encode("é"), (Ids{3, 4 + 0xC3, 4 + 0xA9}));
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("é <0x41>")), "é <0x41>");
  }
}

TEST(SentencePiece, FindsTheBestSegmentationOfUnigram) {
  const Tokenizer tokenizer =
      From(Model(kUnigram,
                 Piece("\u2581", -2) + Piece("a", -3) + Piece("b", -3) + Piece("ab", -5) +
                     Piece("aba", -5.5) + Piece("ba", -4) + Piece("qq", 0, PieceType::kUserDefined),
                 Number(3, 0)));
  EXPECT_EQ(tokenizer.Encode("aba"), Ids{7});
  EXPECT_EQ(tokenizer.Encode("abba"), (Ids{6, 8}));
  EXPECT_EQ(tokenizer.Encode("zza"), (Ids{0, 4}));
  EXPECT_EQ(tokenizer.Encode("aqqa"), (Ids{4, 9, 4}));
}

std::string FailureOf(const std::string& bytes) {
  try {
    From(bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(SentencePiece, SaysWhatIsWrong) {
  EXPECT_THAT(FailureOf(""), HasSubstr("no pieces"));
  EXPECT_THAT(FailureOf(Model(kWord, "")), HasSubstr("type 3"));
  EXPECT_THAT(FailureOf(Model(kBpe, Piece("\xFF", 0))), HasSubstr("piece 3"));
  EXPECT_THAT(FailureOf(Model(kBpe, Piece("a", 0, static_cast<PieceType>(9)))),
              HasSubstr("type 9"));
  EXPECT_THAT(FailureOf(Model(kBpe, Piece("a", std::numeric_limits<float>::quiet_NaN()))),
              HasSubstr("not a number"));
  EXPECT_THAT(FailureOf(Varint(1 << 3 | 2) + Varint(UINT64_MAX) + "x"), HasSubstr("ends early"));
  EXPECT_THAT(FailureOf("\x0B"), HasSubstr("wire type"));
  EXPECT_THAT(FailureOf(std::string(20, '\xFF')), HasSubstr("ten bytes"));
}

TEST(SentencePiece, TakesByteTokensThatAreNoneAsText) {
  std::string pieces = Piece("\u2581", -9);
  for (const char* token : {"<0x-1>", "<0x100>", "<0x4>"})
    pieces += Piece(token, 0, PieceType::kByte);
  for (const ModelType type : {kBpe, kUnigram}) {
    const Tokenizer tokenizer = From(Model(type, pieces, "", true));
    EXPECT_EQ(tokenizer.Encode("A"), (Ids{3, 0}));
    EXPECT_EQ(tokenizer.TokenText(4), "<0x-1>");
  }
}

// A length of 2^32 + 1 is not 1, nor is one of 2^64 - 1 or 2^63 a negative one.
TEST(SentencePiece, RefusesLengthsBeyondTheFile) {
  for (const uint64_t length :
       {(uint64_t{1} << 32) + 1, uint64_t{1} << 31, uint64_t{1} << 63, UINT64_MAX}) {
    EXPECT_THAT(FailureOf(Varint(1 << 3 | 2) + Varint(length) + "xxxx"), HasSubstr("ends early"));
    EXPECT_THAT(FailureOf(Bytes(1, Varint(1 << 3 | 2) + Varint(length) + "xxxx")),
                HasSubstr("ends early"));
  }
}

TEST(SentencePiece, MeetsDamagedFilesWithAnError) {
  const std::string good = SmallBpe();
  const auto read = [](const std::string& bytes) {
    try {
      const Tokenizer tokenizer = From(bytes);
      tokenizer.Decode(tokenizer.Encode("aab x \u00e9 <s>"));
    } catch (const Error&) {
    }
  };
  for (size_t size = 0; size < good.size(); ++size) read(good.substr(0, size));
  Rng rng(2, {StreamName("sentencepiece-damage")});
  for (int round = 0; round < 5000; ++round) {
    std::string damaged = good;
    for (int64_t i = rng.Below(4); i >= 0; --i) {
      const auto at = static_cast<size_t>(rng.Below(static_cast<int64_t>(damaged.size())));
      damaged[at] = static_cast<char>(rng.Below(256));
    }
    read(damaged);
  }
}

}  // namespace
}  // namespace reckon
