// No vocabulary or template, however wrong, makes its reader allocate more than a small multiple of
// its own size.
#include <gtest/gtest.h>

#include "base/error.h"
#include "formats/json.h"
#include "tests/support/allocation_meter.h"
#include "text/gguf_vocabulary.h"
#include "text/jinja.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"

namespace reckon {
namespace {

constexpr size_t kFileBytes = size_t{2} << 20;

template <typename Next>
std::string Many(const std::string& begin, const Next& next, const std::string& end) {
  std::string text = begin;
  for (uint64_t i = 0; text.size() < kFileBytes; ++i) text += next(i);
  return text + end;
}

template <typename Read>
void ExpectSmall(const std::string& bytes, const Read& read) {
  const AllocationMeter meter;
  try {
    read(bytes);
  } catch (const Error&) {
  }
  EXPECT_LE(meter.peak(), AllowedAllocation(bytes.size())) << bytes.substr(0, 60);
}

void ReadTokenizer(const std::string& text) {
  Tokenizer::FromJson(ParseJson(text, "t.json"), "t.json").Encode("a");
}

std::string Token(uint64_t i) { return "\"" + std::to_string(i) + "\":" + std::to_string(i) + ","; }

TEST(TextAllocation, OfATokenizerIsAMultipleOfTheFile) {
  ExpectSmall(Many(R"({"model":{"type":"WordLevel","unk_token":"x","vocab":{)", Token,
                   R"("x":10000000}}})"),
              ReadTokenizer);
  ExpectSmall(Many(R"({"model":{"type":"BPE","merges":[],"vocab":{)", Token, R"("x":999999}}})"),
              ReadTokenizer);
  ExpectSmall(
      Many(R"({"model":{"type":"Unigram","unk_id":0,"vocab":[)",
           [](uint64_t i) { return "[\"" + std::to_string(i) + "\",0],"; }, R"(["x",0]]}})"),
      ReadTokenizer);
  ExpectSmall(Many(R"({"model":{"type":"BPE","vocab":{"a":0,"aa":1},"merges":[)",
                   [](uint64_t) { return "\"a a\","; }, R"("a a"]}})"),
              ReadTokenizer);
  ExpectSmall(Many(R"({"model":{"type":"BPE","merges":[],"vocab":{}},"added_tokens":[)",
                   [](uint64_t i) {
                     return R"({"id":)" + std::to_string(i) + R"(,"content":")" +
                            std::to_string(i) + "\"},";
                   },
                   R"({"id":16777215,"content":"x"}]})"),
              ReadTokenizer);
}

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string Field(int number, const std::string& bytes) {
  return Varint(static_cast<uint64_t>(number) << 3 | 2) + Varint(bytes.size()) + bytes;
}

TEST(TextAllocation, OfPiecesIsAMultipleOfTheFile) {
  const auto read = [](const std::string& bytes) {
    TokenizerOfSentencePiece(bytes, "t.model").Encode("a");
  };
  const auto piece = [](uint64_t i) { return Field(1, Field(1, std::to_string(i))); };
  const std::string user_defined = Varint(3 << 3) + Varint(4);
  for (const char model_type : {'\1', '\2'}) {
    const std::string trainer = Field(2, Varint(3 << 3) + model_type);
    ExpectSmall(Many("", piece, trainer), read);
    ExpectSmall(
        Many(
            "", [&](uint64_t i) { return Field(1, Field(1, std::to_string(i)) + user_defined); },
            trainer),
        read);
  }
  ExpectSmall(Varint(1 << 3 | 2) + Varint(uint64_t{1} << 62) + "x", read);
}

// Of `count` tokens with the fewest bytes that a file can hold them in.
TEST(TextAllocation, OfAGgufVocabularyIsAMultipleOfTheFile) {
  for (const char* model : {"gpt2", "llama", "t5"}) {
    GgufVocabulary vocabulary;
    vocabulary.model = model;
    size_t file_bytes = 0;
    for (int i = 0; i < 200'000; ++i) {
      vocabulary.tokens.push_back(std::to_string(i));
      vocabulary.token_types.push_back(i % 2 == 0 ? 4 : 3);  // user-defined, control
      file_bytes += 8 + vocabulary.tokens.back().size() + 1;
    }
    const AllocationMeter meter;
    try {
      FromGgufVocab(vocabulary, "v.gguf");
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    EXPECT_LE(meter.peak(), AllowedAllocation(file_bytes)) << model;
  }
}

// A tree takes up to 200 bytes for a byte of source (docs/templates.md); rendering has budgets.
TEST(TextAllocation, OfATemplateIsBounded) {
  const auto tree = [](const std::string& source) {
    const AllocationMeter meter;
    try {
      jinja::Template::Parse(source, "t");
    } catch (const Error&) {
    }
    EXPECT_LE(meter.peak(), AllowedAllocation(0) + 200 * source.size()) << source.substr(0, 20);
  };
  for (const char* item : {"{{a}}", "{%if a%}{%endif%}", "x{#", "{{[]}}", "{{a.b.c}}"}) {
    std::string source;
    while (source.size() < 250'000) source += item;
    tree(source);
  }
}

}  // namespace
}  // namespace reckon
