#include "text/tokenizer_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "formats/file_case.h"
#include "text/gguf_cuts.h"
#include "text/tokenizer_train.h"
#include "text/vocabulary_case.h"

namespace reckon {
namespace {

using Ids = std::vector<int32_t>;
using testing::HasSubstr;

// Bytes are tokens 0..255; then "he", "hel", <s> (control), <think> (user-defined) and padding.
GgufVocabulary Bytes(const std::string& pre) {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = pre;
  vocabulary.tokens = ByteTokens();
  for (const char* token : {"he", "hel", "<s>", "<think>", "[PAD260]", "[PAD261]"}) {
    vocabulary.tokens.push_back(token);
  }
  vocabulary.token_types.assign(258, 1);
  vocabulary.token_types.insert(vocabulary.token_types.end(), {3, 4, 5, 5});
  vocabulary.merges = {"h e", "he l"};
  vocabulary.bos_id = 258;
  vocabulary.eos_id = 258;
  vocabulary.add_bos = true;
  vocabulary.add_eos = false;
  return vocabulary;
}

// "ab" scores above "bc", so "abc" is ab and c.
GgufVocabulary Pieces(bool byte_fallback) {
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "c", "bc", "ab", "\u2581ab"};
  vocabulary.token_types = {2, 3, 3, 1, 1, 1, 1, 1, 1, 1};
  vocabulary.scores = {0, 0, 0, -3, -4, -5, -6, -2, -1, -1.5};
  if (byte_fallback) {
    for (int byte = 0; byte < 256; ++byte) {
      vocabulary.tokens.push_back(TokenOfByte(static_cast<uint8_t>(byte)));
      vocabulary.token_types.push_back(6);
      vocabulary.scores.push_back(0);
    }
  }
  vocabulary.bos_id = 1;
  vocabulary.eos_id = 2;
  vocabulary.unk_id = 0;
  vocabulary.add_bos = true;
  vocabulary.add_eos = false;
  vocabulary.add_space_prefix = true;
  return vocabulary;
}

constexpr const char* kTexts[] = {"", "hello  hel\n<s>hel<think>12345", "abc ab  cab bcab",
                                  "x\u00e9\u4f60 <0x0A> [PAD260] don't", "</s>ab<s> a"};

void ExpectSameIds(const Tokenizer& got, const Tokenizer& want, const std::string& which) {
  for (const char* text : kTexts) {
    const Ids ids = want.Encode(text, true);
    EXPECT_EQ(got.Encode(text, true), ids) << which << ": " << text;
    EXPECT_EQ(got.Decode(ids), want.Decode(ids)) << which << ": " << text;
  }
}

TEST(TokenizerJsonOf, GivesTheIdsOfByteLevelBpe) {
  for (const std::string& pre : GgufPreTokenizers()) {
    const Tokenizer back = Tokenizer::FromJson(TokenizerJsonOf(Bytes(pre), pre), pre);
    ExpectSameIds(back, FromGgufVocab(Bytes(pre)), pre);
    EXPECT_EQ(back.vocab_size(), 260) << "padding is left out";
    EXPECT_TRUE(back.IsSpecial(258) && !back.IsSpecial(259));
  }
}

TEST(TokenizerJsonOf, GivesTheIdsOfPieces) {
  for (const bool byte_fallback : {false, true}) {
    for (const bool add_space_prefix : {false, true}) {
      for (const bool remove_extra_whitespaces : {false, true}) {
        GgufVocabulary vocabulary = Pieces(byte_fallback);
        vocabulary.add_space_prefix = add_space_prefix;
        vocabulary.remove_extra_whitespaces = remove_extra_whitespaces;
        const Tokenizer want = FromGgufVocab(vocabulary);
        const Tokenizer got = Tokenizer::FromJson(TokenizerJsonOf(vocabulary, "v"), "v");
        for (const char* text : kTexts) {
          EXPECT_EQ(got.Encode(text, true), want.Encode(text, true))
              << text << byte_fallback << add_space_prefix << remove_extra_whitespaces;
        }
      }
    }
  }
}

TEST(TokenizerJsonOf, MakesMergesInTheOrderOfScoresThenOfLength) {
  const Json json = TokenizerJsonOf(Pieces(false), "v");
  EXPECT_EQ(json["model"]["merges"], (Json{"a b", "\u2581 ab", "b c"}));
}

std::string FailureOf(const GgufVocabulary& vocabulary, ErrorKind kind) {
  try {
    TokenizerJsonOf(vocabulary, "v.gguf");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("v.gguf"));
    return error.what();
  }
  return "";
}

TEST(TokenizerJsonOf, RefusesWhatItCannotWrite) {
  GgufVocabulary wrong = Pieces(false);
  wrong.model = "t5";
  EXPECT_THAT(FailureOf(wrong, ErrorKind::kUnsupported), HasSubstr("\"t5\""));
  wrong = Bytes("chinchilla");
  EXPECT_THAT(FailureOf(wrong, ErrorKind::kUnsupported), HasSubstr("chinchilla"));
  wrong = Bytes("qwen2");
  wrong.merges = {"he"};
  EXPECT_THAT(FailureOf(wrong, ErrorKind::kCorrupt), HasSubstr("\"he\""));
  wrong.tokens.clear();
  EXPECT_THAT(FailureOf(wrong, ErrorKind::kCorrupt), HasSubstr("0 tokens"));
}

TEST(TokenizerConfigOf, SaysWhatStandsAroundAText) {
  const Json config = TokenizerConfigOf(Bytes("qwen2"), "{{ x }}");
  EXPECT_EQ(config["add_bos_token"], true);
  EXPECT_EQ(config["add_eos_token"], false);
  EXPECT_EQ(config["bos_token"], "<s>");
  EXPECT_EQ(config["eos_token"], "<s>");
  EXPECT_EQ(config["pad_token"], nullptr);
  EXPECT_EQ(config["chat_template"], "{{ x }}");
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
  const Json pieces = TokenizerConfigOf(Pieces(true), "");
  EXPECT_EQ(pieces["unk_token"], "<unk>");
  EXPECT_EQ(pieces["tokenizer_class"], "LlamaTokenizerFast");
  EXPECT_FALSE(pieces.contains("chat_template"));
  EXPECT_EQ(TokenizerConfigOf(Pieces(false), "")["tokenizer_class"], "PreTrainedTokenizerFast");
}

class VocabularyFiles : public FileCase<GgufFile> {
 protected:
  VocabularyFiles() : FileCase("vocabulary.gguf") {}

  void Write(const std::string& name, const Json& json) {
    WriteJsonFile(folder_ + "/" + name, json);
  }
  // A folder as TokenizerJsonOf and TokenizerConfigOf fill it.
  void WriteFolder(const GgufVocabulary& vocabulary) {
    Write("tokenizer.json", TokenizerJsonOf(vocabulary, "v"));
    Write("tokenizer_config.json", TokenizerConfigOf(vocabulary, ""));
  }
  std::string FailureOfFolder(int64_t vocab_size = 300) {
    try {
      VocabularyOfFolder(folder_, vocab_size);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(folder_));
      return error.what();
    }
    return "";
  }
};

TEST_F(VocabularyFiles, OfAVocabularyReadBackAsItWas) {
  GgufVocabulary t5 = Pieces(false);
  t5.model = "t5";
  t5.precompiled_charsmap = std::string("\x04\x00\xFF\x7F", 4);
  t5.remove_extra_whitespaces = true;
  t5.pad_id = 2;
  for (const GgufVocabulary& vocabulary : {Bytes("deepseek-v3"), Pieces(true), t5}) {
    GgufMetadata metadata;
    AddVocabulary(vocabulary, vocabulary.model == "t5" ? "" : "{{ x }}", &metadata);
    WriteGguf(path_, metadata, {}, [](size_t, const WriteBytes&) {});
    const GgufFile file(path_);
    EXPECT_TRUE(VocabularyOf(file) == vocabulary) << vocabulary.model;
    EXPECT_EQ(file.String("tokenizer.chat_template", ""),
              vocabulary.model == "t5" ? "" : "{{ x }}");
  }
}

TEST_F(VocabularyFiles, OfAFolderGiveTheVocabularyItWasMadeOf) {
  WriteFolder(Bytes("deepseek-v3"));
  const auto bytes = VocabularyOfFolder(folder_, 262);
  ASSERT_TRUE(bytes);
  EXPECT_TRUE(*bytes == Bytes("deepseek-v3"));
  WriteFolder(Pieces(true));
  GgufVocabulary want = Pieces(true);
  const auto pieces = VocabularyOfFolder(folder_, static_cast<int64_t>(want.tokens.size()));
  ASSERT_TRUE(pieces);
  // Without a tokenizer.model the scores are other numbers in the same order.
  EXPECT_GT(pieces->scores[8], pieces->scores[9]);
  EXPECT_GT(pieces->scores[9], pieces->scores[7]);
  EXPECT_GT(pieces->scores[7], pieces->scores[4]);
  want.scores = pieces->scores;
  EXPECT_TRUE(*pieces == want);
  ExpectSameIds(FromGgufVocab(*pieces), FromGgufVocab(Pieces(true)), "pieces");
}

TEST_F(VocabularyFiles, OfATrainedTokenizerKeepItsIds) {
  Write("tokenizer.json", TrainByteLevelBpe({"hello hello help"}, 262, {"<bos>", "<eos>"}));
  Write("generation_config.json", {{"bos_token_id", 0}, {"eos_token_id", {1, 0}}});
  const auto vocabulary = VocabularyOfFolder(folder_, 264);
  ASSERT_TRUE(vocabulary);
  EXPECT_EQ(vocabulary->pre, "gpt-2");
  EXPECT_EQ(vocabulary->bos_id, 0);
  EXPECT_EQ(vocabulary->eos_id, 1);
  EXPECT_EQ(vocabulary->add_bos, false);
  EXPECT_EQ(vocabulary->tokens[263], "[PAD263]");
  EXPECT_EQ(vocabulary->token_types[263], 5);
  const Tokenizer want = Tokenizer::FromFile(folder_);
  for (const char* text : {"hello help<bos>", "don't  12345 \n x"}) {
    EXPECT_EQ(FromGgufVocab(*vocabulary).Encode(text, true), want.Encode(text, true));
  }
}

TEST_F(VocabularyFiles, TakeScoresFromASentencePieceModelBesideThem) {
  WriteFolder(Pieces(false));
  // A piece: 1: text, 2: score; here of ids 0 to 4.
  const auto piece = [](const std::string& text, const std::string& score, char type) {
    const std::string body = std::string("\x0A") + static_cast<char>(text.size()) + text + "\x15" +
                             score + "\x18" + type;
    return std::string("\x0A") + static_cast<char>(body.size()) + body;
  };
  const std::string half("\x00\x00\x00\xBF", 4);           // -0.5
  std::string model = std::string("\x12\x02\x18\x02", 4);  // trainer: BPE
  model += piece("<unk>", half, 2) + piece("<s>", half, 3) + piece("</s>", half, 3);
  model += piece("\u2581", half, 1) + piece("a", half, 1);
  WriteFileAtomically(folder_ + "/tokenizer.model", model);
  const auto both = VocabularyOfFolder(folder_, 10);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->scores[4], -0.5f);
  EXPECT_NE(both->scores[5], -0.5f);
  std::filesystem::remove(folder_ + "/tokenizer.json");
  const auto alone = VocabularyOfFolder(folder_, 6);
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->tokens[4], "a");
  EXPECT_EQ(alone->bos_id, 1);
  EXPECT_EQ(alone->unk_id, 0);
  EXPECT_EQ(alone->add_bos, true);
  EXPECT_EQ(FromGgufVocab(*alone).Encode("a a"), (Ids{3, 4, 3, 4}));
}

TEST_F(VocabularyFiles, AreNothingWhereGgufHasNoSuchTokenizer) {
  EXPECT_FALSE(VocabularyOfFolder(folder_, 300)) << "an empty folder";
  Write("tokenizer.json", MakeCharTokenizer("abc", {"<bos>"}));
  EXPECT_FALSE(VocabularyOfFolder(folder_, 300)) << "WordLevel";
  Json json = TokenizerJsonOf(Pieces(false), "v");
  json["normalizer"] = nullptr;
  Write("tokenizer.json", json);
  EXPECT_FALSE(VocabularyOfFolder(folder_, 300)) << "BPE of characters";
}

TEST_F(VocabularyFiles, AreRefusedWhereTheIdsWouldChange) {
  Json json = TokenizerJsonOf(Bytes("qwen2"), "v");
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[0-9]";
  Write("tokenizer.json", json);
  EXPECT_THAT(FailureOfFolder(), HasSubstr("[0-9]"));
  json = TokenizerJsonOf(Bytes("qwen2"), "v");
  json["normalizer"] = {{"type", "Lowercase"}};
  Write("tokenizer.json", json);
  EXPECT_THAT(FailureOfFolder(), HasSubstr("Lowercase"));
  json["normalizer"] = {{"type", "NFC"}};
  Write("tokenizer.json", json);
  EXPECT_EQ(FailureOfFolder(), "");
  EXPECT_THAT(FailureOfFolder(100), HasSubstr("vocab_size 100"));
}

TEST_F(VocabularyFiles, TakeTokensThatLookSpecialForControl) {
  Json json = TokenizerJsonOf(Bytes("qwen2"), "v");
  json["added_tokens"].push_back(
      Json{{"id", 260}, {"content", "<|tool|>"}, {"special", false}, {"normalized", false}});
  Write("tokenizer.json", json);
  const auto vocabulary = VocabularyOfFolder(folder_, 261);
  ASSERT_TRUE(vocabulary);
  EXPECT_EQ(vocabulary->token_types[260], 3);
  EXPECT_EQ(vocabulary->token_types[259], 4) << "<think>";
}

}  // namespace
}  // namespace reckon
