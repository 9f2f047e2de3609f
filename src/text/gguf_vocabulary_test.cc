#include "text/gguf_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "base/error.h"
#include "text/gguf_cuts.h"
#include "text/vocabulary_case.h"

namespace reckon {
namespace {

using Ids = std::vector<int32_t>;
using ::testing::HasSubstr;

// Bytes are tokens 0..255; then "he", <s> (control) and "ü" (user-defined).
GgufVocabulary Bytes(const std::string& pre) {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = pre;
  vocabulary.tokens = ByteTokens();
  for (const char* token : {"he", "<s>", "\u00fc"}) vocabulary.tokens.push_back(token);
  vocabulary.tokens[0xFC] = "[0xFC]";  // "ü" would be twice there
  vocabulary.token_types.assign(257, 1);
  vocabulary.token_types.insert(vocabulary.token_types.end(), {3, 4});
  vocabulary.merges = {"h e"};
  vocabulary.bos_id = 257;
  return vocabulary;
}

TEST(GgufVocabulary, EncodesByteLevelBpe) {
  for (const std::string& pre : GgufPreTokenizers()) {
    const Tokenizer tokenizer = FromGgufVocab(Bytes(pre));
    EXPECT_EQ(tokenizer.Encode("he<s>h\u00fc"), (Ids{256, 257, 'h', 258})) << pre;
    EXPECT_EQ(tokenizer.Decode(Ids{256, 257, 258}), "he<s>\u00fc") << pre;
    EXPECT_EQ(tokenizer.Decode(Ids{256, 257}, true), "he") << pre;
    EXPECT_EQ(tokenizer.Encode("h", true), pre == "llama-bpe" ? (Ids{257, 'h'}) : Ids{'h'}) << pre;
  }
  GgufVocabulary vocabulary = Bytes("qwen2");
  vocabulary.add_bos = true;
  EXPECT_EQ(FromGgufVocab(vocabulary).Encode("h", true), (Ids{257, 'h'}));
}

GgufVocabulary Pieces(const std::string& model) {
  GgufVocabulary vocabulary;
  vocabulary.model = model;
  vocabulary.tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "<0xC3>", "<0xA9>"};
  vocabulary.token_types = {2, 3, 3, 1, 1, 1, 1, 6, 6};
  vocabulary.scores = {0, 0, 0, -3, -3, -3, -1, 0, 0};
  vocabulary.bos_id = 1;
  vocabulary.eos_id = 2;
  vocabulary.unk_id = 0;
  return vocabulary;
}

TEST(GgufVocabulary, EncodesPieces) {
  const Tokenizer llama = FromGgufVocab(Pieces("llama"));
  EXPECT_EQ(llama.Encode("ab  \u00e9", true), (Ids{1, 3, 6, 3, 3, 7, 8})) << "spaces stay";
  EXPECT_EQ(llama.Decode(Ids{3, 6, 3, 7, 8}), "ab \u00e9");
  GgufVocabulary vocabulary = Pieces("llama");
  vocabulary.add_space_prefix = false;
  EXPECT_EQ(FromGgufVocab(vocabulary).Encode("ab"), Ids{6});
  EXPECT_EQ(FromGgufVocab(vocabulary).Decode(Ids{3, 6}), " ab");
  const Tokenizer t5 = FromGgufVocab(Pieces("t5"));
  EXPECT_EQ(t5.Encode("ab  a", true), (Ids{3, 6, 3, 4, 2})) << "spaces go";
}

std::string FailureOf(const GgufVocabulary& vocabulary) {
  try {
    FromGgufVocab(vocabulary, "v.gguf").Encode("he");
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("v.gguf"));
    return error.what();
  }
  return "";
}

TEST(GgufVocabulary, SaysWhatIsWrong) {
  GgufVocabulary wrong = Bytes("qwen2");
  wrong.pre = "chinchilla";
  EXPECT_THAT(FailureOf(wrong), HasSubstr("chinchilla"));
  wrong = Bytes("qwen2");
  wrong.model = "rwkv";
  EXPECT_THAT(FailureOf(wrong), HasSubstr("rwkv"));
  wrong = Bytes("qwen2");
  wrong.token_types.pop_back();
  EXPECT_THAT(FailureOf(wrong), HasSubstr("token types"));
  wrong = Bytes("qwen2");
  wrong.token_types[3] = -7;
  EXPECT_THAT(FailureOf(wrong), HasSubstr("-7"));
  wrong = Bytes("qwen2");
  wrong.merges = {"he"};
  EXPECT_THAT(FailureOf(wrong), HasSubstr("\"he\""));
  wrong.merges = {"h zz"};
  EXPECT_THAT(FailureOf(wrong), HasSubstr("zz"));
  wrong = Bytes("qwen2");
  wrong.bos_id = 1 << 20;
  EXPECT_THAT(FailureOf(wrong), HasSubstr("1048576"));
  wrong = Bytes("qwen2");
  wrong.tokens[256] = "\xFF";
  EXPECT_THAT(FailureOf(wrong), HasSubstr("UTF-8"));
  wrong.tokens.clear();
  EXPECT_THAT(FailureOf(wrong), HasSubstr("0 tokens"));
}

TEST(GgufVocabulary, RefusesIdsThatAreNegativeHugeOrWrapAround) {
  for (const int64_t id : {int64_t{-2}, int64_t{INT32_MIN}, INT64_MIN, int64_t{259},
                           (int64_t{1} << 32) + 3, INT64_MAX}) {
    for (auto member : {&GgufVocabulary::bos_id, &GgufVocabulary::eos_id, &GgufVocabulary::unk_id,
                        &GgufVocabulary::pad_id}) {
      GgufVocabulary wrong = Bytes("qwen2");
      wrong.*member = id;
      EXPECT_THAT(FailureOf(wrong), HasSubstr(std::to_string(id) + " of 259 tokens"));
    }
  }
  GgufVocabulary none = Bytes("qwen2");  // what converters write where there is none
  none.bos_id = -1;
  none.eos_id = UINT32_MAX;
  EXPECT_EQ(FailureOf(none), "");
}

TEST(GgufVocabulary, TakesByteTokensThatAreNoneAsText) {
  GgufVocabulary vocabulary = Pieces("llama");
  const size_t first = vocabulary.tokens.size();
  for (const char* token : {"<0x-1>", "<0x100>", "<0xG0>", "<0x>", "<0x 41>", "<0x41"}) {
    vocabulary.tokens.emplace_back(token);
    vocabulary.token_types.push_back(6);
    vocabulary.scores.push_back(0);
  }
  const Tokenizer tokenizer = FromGgufVocab(vocabulary);
  for (size_t id = first; id < vocabulary.tokens.size(); ++id) {
    EXPECT_EQ(tokenizer.TokenText(static_cast<int32_t>(id)), vocabulary.tokens[id]);
  }
  EXPECT_EQ(tokenizer.Encode("A"), (Ids{3, 0})) << "no byte of it is there: unknown";
}

TEST(GgufVocabulary, TakesATokenOfMegabytes) {
  GgufVocabulary vocabulary = Pieces("llama");
  const std::string longest(3 << 20, 'a');
  vocabulary.tokens[6] = longest;
  const Tokenizer tokenizer = FromGgufVocab(vocabulary);
  EXPECT_EQ(tokenizer.Decode(Ids{6}), longest);
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("aab")), "aab");
}

// Arrays whose elements are of other widths than converters write.
TEST(GgufVocabulary, ReadsTypesOfAnyWidthWithoutCuttingThem) {
  GgufMetadata metadata;
  metadata.AddString("tokenizer.ggml.model", "llama");
  const std::vector<std::string_view> tokens = {"<unk>", "a"};
  metadata.AddStrings("tokenizer.ggml.tokens", tokens);
  const std::string path = ::testing::TempDir() + "/reckon_vocabulary.gguf";
  // 2^32 + 2: as 32 bits it would be 2, the type of the unknown token.
  const std::array<uint64_t, 2> types = {(uint64_t{1} << 32) + 2, 1};
  GgufValue value{GgufType::kArray, GgufType::kU64, 2, std::as_bytes(std::span(types))};
  metadata.Add("tokenizer.ggml.token_type", value);
  WriteGguf(path, metadata, {}, [](size_t, const WriteBytes&) {});
  try {
    FromGgufVocab(VocabularyOf(GgufFile(path)), path);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::AllOf(HasSubstr(path), HasSubstr("4294967298")));
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace reckon
