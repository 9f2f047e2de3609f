// reckon tokenize: text to ids and back, byte for byte.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "formats/json.h"
#include "tests/support/process.h"
#include "text/tokenizer_train.h"

namespace reckon {
namespace {

using testing::HasSubstr;

ProcessOptions Input(const std::string& text) {
  ProcessOptions options;
  options.input = text;
  return options;
}

// A folder with a tokenizer.json whose first ids are <bos>, then the bytes.
class Tokenize : public testing::Test {
 protected:
  void SetUp() override {
    WriteJsonFile(folder_ / "tokenizer.json",
                  TrainByteLevelBpe({"hello hello hello"}, 300, {"<bos>"}));
  }
  TemporaryFolder folder_;
};

TEST_F(Tokenize, WritesAJsonArrayOfIds) {
  const ProcessResult result = RunReckon({"tokenize", folder_ / "tokenizer.json"}, Input("hi\n"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "[105, 106, 11]\n");
  EXPECT_EQ(RunReckon({"tokenize", folder_.path()}, Input("hi\n")).out, result.out);
  EXPECT_EQ(RunReckon({"tokenize", folder_.path()}, Input("")).out, "[]\n");
}

TEST_F(Tokenize, GivesBackTheBytesOfAFile) {
  const std::string text = "hello\r\n\xFF <bos> \xE4\xBD\xA0";
  WriteFileAtomically(folder_ / "in.txt", text);
  const ProcessResult ids = RunReckon({"tokenize", folder_.path(), "--file", folder_ / "in.txt"});
  EXPECT_EQ(ids.exit_code, 0) << ids.err;
  WriteFileAtomically(folder_ / "ids.json", ids.out);
  const ProcessResult back =
      RunReckon({"tokenize", folder_.path(), "--decode", "--file", folder_ / "ids.json"});
  EXPECT_EQ(back.exit_code, 0) << back.err;
  EXPECT_EQ(back.out, text);
}

TEST_F(Tokenize, PutsBosInFrontWhereItIsNamed) {
  const ProcessResult unnamed = RunReckon({"tokenize", folder_.path(), "--bos"}, Input("h"));
  EXPECT_EQ(unnamed.exit_code, 2);
  EXPECT_THAT(unnamed.err, HasSubstr("tokenizer_config.json"));
  for (const Json& bos : {Json("<bos>"), Json({{"content", "<bos>"}})}) {
    WriteJsonFile(folder_ / "tokenizer_config.json", Json({{"bos_token", bos}}));
    EXPECT_EQ(RunReckon({"tokenize", folder_.path(), "--bos"}, Input("h")).out, "[0, 105]\n");
  }
}

TEST_F(Tokenize, SaysWhatItCannotRead) {
  const ProcessResult words =
      RunReckon({"tokenize", folder_.path(), "--decode"}, Input("[1, 2.5]"));
  EXPECT_EQ(words.exit_code, 2);
  EXPECT_THAT(words.err, HasSubstr("element 1"));
  EXPECT_GT(RunReckon({"tokenize", folder_.path(), "--decode"}, Input("1 2")).exit_code, 0);
  const ProcessResult missing = RunReckon({"tokenize", folder_ / "none.json"}, Input(""));
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("none.json"));
  WriteFileAtomically(folder_ / "bad.model", "\xFF\xFF");
  EXPECT_THAT(RunReckon({"tokenize", folder_ / "bad.model"}, Input("")).err,
              HasSubstr("bad.model"));
}

}  // namespace
}  // namespace reckon
