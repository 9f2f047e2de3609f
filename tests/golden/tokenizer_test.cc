// Real vocabularies against the ids of their authors' programs.

#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "formats/json.h"
#include "tests/golden/shared.h"
#include "text/gguf_vocabulary.h"
#include "text/streaming_decode.h"

namespace reckon {
namespace {

using Ids = std::vector<int32_t>;

// Token by token a text comes out as it does at once.
std::string Streamed(const Tokenizer& tokenizer, const Ids& ids) {
  StreamingDecoder decoder(tokenizer);
  std::string text;
  for (int32_t id : ids) text += decoder.Push(id);
  return text + decoder.Finish();
}

std::vector<std::string> Sections(const std::string& path) {
  const std::string text = ReadFile(path), mark = "\n__ggml_vocab_test__\n";
  std::vector<std::string> sections;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(mark, at), text.size());
    sections.push_back(text.substr(at, end - at));
    at = end + mark.size();
  }
  return sections;
}

// The last line, of the empty last section, is empty and lacks a line end.
std::vector<Ids> Lines(const std::string& path) {
  std::vector<Ids> lines;
  std::istringstream in(ReadFile(path));
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    lines.push_back(Ids{std::istream_iterator<int32_t>(words), {}});
  }
  lines.emplace_back();
  return lines;
}

class GgmlVocabulary : public testing::TestWithParam<const char*> {};

TEST_P(GgmlVocabulary, GivesTheIdsOfTheirVectors) {
  const std::string path =
      SharedPath(std::string("data/tokenizers/ggml/ggml-vocab-") + GetParam() + ".gguf");
  if (!FileExists(path)) GTEST_SKIP() << path << " is absent; set RECKON_SHARED";
  const Tokenizer tokenizer = Tokenizer::FromFile(path);
  const std::vector<std::string> texts = Sections(path + ".inp");
  const std::vector<Ids> ids = Lines(path + ".out");
  ASSERT_EQ(ids.size(), 47u);
  ASSERT_EQ(texts.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(tokenizer.Encode(texts[i]), ids[i]) << "section " << i << ": " << texts[i];
    EXPECT_EQ(tokenizer.Decode(ids[i]), texts[i]) << "section " << i;
    EXPECT_EQ(Streamed(tokenizer, ids[i]), texts[i]) << "section " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GgmlVocabulary,
                         testing::Values("deepseek-llm", "deepseek-coder", "gpt-2"),
                         [](const auto& test) { return CaseName(test.param); });

struct PieceCase {
  const char* model;    // in spm_expected.json and of the .model file
  const char* weights;  // folder of the tokenizer.json and the GGUF file made from it
};
class Pieces : public testing::TestWithParam<PieceCase> {
 protected:
  void SetUp() override {
    folder_ = SharedPath("data/tokenizers/spm");
    if (!FileExists(folder_ + "/spm_expected.json")) {
      GTEST_SKIP() << folder_ << " is absent; set RECKON_SHARED";
    }
    cases_ = ReadJsonFile(folder_ + "/spm_expected.json")["models"].at(GetParam().model);
    ASSERT_EQ(cases_.size(), 54u);
  }
  std::string Weights(const std::string& file) const {
    return SharedPath(std::string("data/weights/") + GetParam().weights + "/" + file);
  }
  std::string folder_;
  Json cases_;
};

TEST_P(Pieces, OfTheModelFileAreThoseOfSentencePiece) {
  const Tokenizer tokenizer =
      Tokenizer::FromFile(folder_ + "/" + GetParam().model + std::string(".model"));
  for (const Json& c : cases_) {
    const auto text = c.at("text").get<std::string>();
    const Ids ids = c.at("sentencepiece").get<Ids>();
    EXPECT_EQ(tokenizer.Encode(text), ids) << text;
    EXPECT_EQ(tokenizer.Decode(ids), c.at("sentencepiece_decoded").get<std::string>()) << text;
    EXPECT_EQ(Streamed(tokenizer, ids), tokenizer.Decode(ids)) << text;
  }
}

TEST_P(Pieces, OfTheTokenizerJsonAreThoseOfHuggingFace) {
  const Tokenizer tokenizer = Tokenizer::FromFile(Weights("tokenizer.json"));
  for (const Json& c : cases_) {
    const auto text = c.at("text").get<std::string>();
    const Ids ids = c.at("bpe").get<Ids>();
    EXPECT_EQ(tokenizer.Encode(text), ids) << text;
    const bool has_unknown = std::count(ids.begin(), ids.end(), 0) > 0;
    if (!has_unknown) {
      EXPECT_EQ(tokenizer.Decode(ids), text);
    }
    EXPECT_EQ(Streamed(tokenizer, ids), tokenizer.Decode(ids)) << text;
  }
}

TEST_P(Pieces, OfTheGgufFileAreThoseOfTheTokenizerJson) {
  const Tokenizer tokenizer =
      Tokenizer::FromFile(Weights(GetParam().weights + std::string(".f32.gguf")));
  for (const Json& c : cases_) {
    const auto text = c.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.Encode(text), c.at("bpe").get<Ids>()) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Pieces,
                         testing::Values(PieceCase{"tok512", "stories260k"},
                                         PieceCase{"tok105", "babyllama"}),
                         [](const auto& test) { return std::string(test.param.model); });

class WholeTexts : public testing::TestWithParam<const char*> {};

TEST_P(WholeTexts, ComeBackFromTheirIds) {
  const std::string path =
      SharedPath(std::string("data/tokenizers/") + GetParam() + "/tokenizer.json");
  const std::string text_path = SharedPath("data/text/wikitext-2.valid.txt");
  if (!FileExists(path) || !FileExists(text_path)) {
    GTEST_SKIP() << path << " or " << text_path << " is absent; set RECKON_SHARED";
  }
  const Tokenizer tokenizer = Tokenizer::FromFile(path);
  const std::string text = ReadFile(text_path);
  const Ids ids = tokenizer.Encode(text);
  EXPECT_EQ(tokenizer.Decode(ids), text);
  EXPECT_EQ(Streamed(tokenizer, ids), text);
}

INSTANTIATE_TEST_SUITE_P(Files, WholeTexts,
                         testing::Values("deepseek-v3", "r1-distill-qwen", "r1-distill-llama"),
                         [](const auto& test) { return CaseName(test.param); });

}  // namespace
}  // namespace reckon
