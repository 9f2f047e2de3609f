// Real vocabularies carried over from Hugging Face folders to GGUF files and back give the same
// ids.

#include "text/tokenizer_export.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/golden/shared.h"
#include "tests/support/process.h"

namespace reckon {
namespace {

using Ids = std::vector<int32_t>;

// In NFC, which GGUF files leave to the writer of the text.
std::vector<std::string> SampleTexts() {
  std::vector<std::string> texts = {
      "",
      "Hello",
      "  Hello  world \n\n\t x = 12345.678;",
      "Don't SHE'LL they've\r\n \r\n",
      "\u00e9t\u00e9 na\u00efve \u4f60\u597d\u4e16\u754c \u3053\u3093 \u0440\u0443\u0441",
      "\U0001f680\U0001f44d\u200d \u00a0\u2028",
      "<think>\nLet x be 3.\n</think>\n\n<|im_start|> <s></s><unk>",
      "<\uff5cUser\uff5c>Hi<\uff5cAssistant\uff5c><\uff5cend\u2581of\u2581sentence\uff5c>",
      "[PAD128900] <0x0A> #!/bin/sh ;;; ((a+b)*c) ___",
  };
  for (const char* file : {"data/text/wikitext-2.valid.txt", "data/text/tinyshakespeare.txt"}) {
    const std::string path = SharedPath(file);
    if (FileExists(path)) texts.push_back(ReadFile(path).substr(0, 100000));
  }
  return texts;
}

void ExpectSameIds(const Tokenizer& got, const Tokenizer& want, bool decode = true) {
  for (const std::string& text : SampleTexts()) {
    const Ids ids = want.Encode(text);
    EXPECT_EQ(got.Encode(text), ids) << text.substr(0, 80);
    EXPECT_EQ(got.Encode(text, true), want.Encode(text, true)) << text.substr(0, 80);
    if (decode) {
      EXPECT_EQ(got.Decode(ids), want.Decode(ids)) << text.substr(0, 80);
    }
  }
}

// What AddVocabulary writes, read back.
GgufVocabulary ThroughAFile(const GgufVocabulary& vocabulary) {
  const TemporaryFolder folder;
  GgufMetadata metadata;
  metadata.AddString("general.architecture", "llama");
  AddVocabulary(vocabulary, "{{ messages }}", &metadata);
  WriteGguf(folder / "v.gguf", metadata, {}, [](size_t, const WriteBytes&) {});
  const GgufFile file(folder / "v.gguf");
  EXPECT_EQ(file.String("tokenizer.chat_template"), "{{ messages }}");
  return VocabularyOf(file);
}

struct FolderCase {
  const char* folder;  // of shared data
  int64_t vocab_size;
  const char* model;
  const char* pre;
};
void PrintTo(const FolderCase& c, std::ostream* out) { *out << c.folder; }

class TokenizersOfFolders : public testing::TestWithParam<FolderCase> {};

TEST_P(TokenizersOfFolders, KeepTheirIdsInGgufFilesAndBack) {
  const std::string folder = SharedPath(std::string("data/") + GetParam().folder);
  if (!FileExists(folder + "/tokenizer.json")) GTEST_SKIP() << "nothing at " << folder;
  const auto vocabulary = VocabularyOfFolder(folder, GetParam().vocab_size);
  ASSERT_TRUE(vocabulary);
  EXPECT_EQ(vocabulary->model, GetParam().model);
  EXPECT_EQ(vocabulary->pre, GetParam().pre);
  EXPECT_EQ(vocabulary->tokens.size(), static_cast<size_t>(GetParam().vocab_size));
  EXPECT_TRUE(vocabulary->bos_id && vocabulary->eos_id);
  EXPECT_TRUE(ThroughAFile(*vocabulary) == *vocabulary);
  const Tokenizer tokenizer = Tokenizer::FromFile(folder + "/tokenizer.json");
  ExpectSameIds(FromGgufVocab(*vocabulary), tokenizer, vocabulary->model == "gpt2");
  const Json back = TokenizerJsonOf(*vocabulary, "back");
  const Tokenizer again = Tokenizer::FromJson(back, "back");
  ExpectSameIds(again, tokenizer);
  EXPECT_LE(again.vocab_size(), tokenizer.vocab_size()) << "padding is left out";
}

INSTANTIATE_TEST_SUITE_P(
    Files, TokenizersOfFolders,
    testing::Values(FolderCase{"tokenizers/deepseek-v3", 129280, "gpt2", "deepseek-v3"},
                    FolderCase{"tokenizers/r1-distill-llama", 128256, "gpt2", "llama-bpe"},
                    FolderCase{"tokenizers/r1-distill-qwen", 151936, "gpt2", "qwen2"},
                    FolderCase{"weights/stories260k", 512, "llama", ""},
                    FolderCase{"weights/babyllama", 105, "llama", ""}),
    [](const auto& test) {
      const std::string folder = test.param.folder;
      return CaseName(folder.substr(folder.find('/') + 1));
    });

// The converter of transformers made the same merges of the same scores.
TEST(TokenizersOfGgufFiles, HaveTheMergesOfTransformersConverter) {
  const std::string folder = SharedPath("data/weights/stories260k");
  if (!FileExists(folder + "/tokenizer.json")) GTEST_SKIP() << "nothing at " << folder;
  const GgufVocabulary vocabulary = VocabularyOf(GgufFile(folder + "/stories260k.f32.gguf"));
  const Json made = TokenizerJsonOf(vocabulary, "made"),
             given = ReadJsonFile(folder + "/tokenizer.json");
  EXPECT_EQ(made["model"]["merges"], given["model"]["merges"]);
  EXPECT_EQ(made["model"]["vocab"], given["model"]["vocab"]);
  EXPECT_EQ(made["normalizer"], given["normalizer"]);
  EXPECT_EQ(made["decoder"], given["decoder"]);
  EXPECT_EQ(made["post_processor"], given["post_processor"]);
}

class GgmlVocabularies : public testing::TestWithParam<const char*> {};

TEST_P(GgmlVocabularies, KeepTheirIdsAsATokenizerJson) {
  const std::string path =
      SharedPath(std::string("data/tokenizers/ggml/ggml-vocab-") + GetParam() + ".gguf");
  if (!FileExists(path)) GTEST_SKIP() << "nothing at " << path;
  const GgufVocabulary vocabulary = VocabularyOf(GgufFile(path));
  const Tokenizer tokenizer = Tokenizer::FromJson(TokenizerJsonOf(vocabulary, path), "back");
  ExpectSameIds(tokenizer, FromGgufVocab(vocabulary));
  EXPECT_TRUE(ThroughAFile(vocabulary) == vocabulary);
}

INSTANTIATE_TEST_SUITE_P(Files, GgmlVocabularies,
                         testing::Values("deepseek-llm", "deepseek-coder", "gpt-2"),
                         [](const auto& test) { return CaseName(test.param); });

}  // namespace
}  // namespace reckon
