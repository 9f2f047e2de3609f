#include "text/gguf_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/gguf_cuts.h"

namespace reckon {
namespace {

using Ids = std::vector<int32_t>;
using ::testing::HasSubstr;

// Bytes are tokens 0..255; then "he", <s> (control) and "ü" (user-defined).
GgufVocabulary Bytes(const std::string& pre) {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = pre;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back(ToByteAlphabet(std::string(1, static_cast<char>(byte))));
  }
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

}  // namespace
}  // namespace reckon
