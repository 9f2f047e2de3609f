// reckon perplexity: the figures it prints, and what it refuses.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "formats/json.h"
#include "tests/support/process.h"
#include "tests/support/tiny_recipe.h"

namespace reckon {
namespace {

using testing::HasSubstr;

class PerplexityCommand : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(model_);
    WriteFileAtomically(text_, "p:0110=1p:10=1p:1110=1");
  }
  ProcessResult Run(std::vector<std::string> more, const char* threads = "1") {
    more.insert(more.begin(), {"perplexity", "--model", model_, "--file", text_});
    return RunReckon(more, {{{"RECKON_THREADS", threads}}, "", 0});
  }
  Json Measured(std::vector<std::string> more = {}, const char* threads = "1") {
    more.push_back("--json");
    const ProcessResult result = Run(more, threads);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "") << "no progress is shown of work below two seconds";
    Json json = ParseJson(result.out, "standard output");
    json.erase("seconds");
    return json;
  }
  void SetKey(const std::string& file, const std::string& key, const Json& value) {
    Json json = ReadJsonFile(model_ + "/" + file);
    json[key] = value;
    WriteJsonFile(model_ + "/" + file, json);
  }

  TemporaryFolder folder_;
  std::string model_ = folder_ / "model", text_ = folder_ / "text.txt";
};

TEST_F(PerplexityCommand, PredictsEveryTokenAfterABos) {
  const Json json = Measured({"--context", "8"});
  EXPECT_EQ(json["n_ids"], 22);
  EXPECT_EQ(json["n_windows"], 4) << "of 7, 7, 7 and 1 tokens";
  EXPECT_EQ(json["n_predicted"], 22);
  EXPECT_NEAR(json["perplexity"], std::exp(json["mean_nll"].get<double>()), 1e-12);
  EXPECT_EQ(Measured({"--context", "8"}, "2"), json);
  const ProcessResult text = Run({"--context", "8"});
  EXPECT_THAT(text.out, HasSubstr("n_predicted  22\n"));
  EXPECT_THAT(text.out, HasSubstr("perplexity   "));
  EXPECT_EQ(Measured({"--context", "8", "--windows", "2"})["n_predicted"], 14);
}

TEST_F(PerplexityCommand, TakesTheModelsContextUpTo512) {
  const int64_t context = ReadJsonFile(model_ + "/config.json")["max_position_embeddings"];
  ASSERT_LT(context, 512);
  EXPECT_EQ(Measured()["context"], context);
  SetKey("config.json", "max_position_embeddings", 2048);
  EXPECT_EQ(Measured()["context"], 512);
}

TEST_F(PerplexityCommand, LeavesTheFirstTokenOutWhereTheModelHasNoBos) {
  WriteJsonFile(model_ + "/tokenizer_config.json", Json({{"bos_token", nullptr}}));
  const Json json = Measured({"--context", "8"});
  EXPECT_EQ(json["bos_token_id"], nullptr);
  EXPECT_EQ(json["n_windows"], 3) << "of 8, 8 and 6 tokens";
  EXPECT_EQ(json["n_predicted"], 19);
}

TEST_F(PerplexityCommand, SaysWhatItCannotMeasure) {
  const ProcessResult short_context = Run({"--context", "1"});
  EXPECT_EQ(short_context.exit_code, 2);
  EXPECT_THAT(short_context.err, HasSubstr("a context of 1 tokens"));
  const ProcessResult long_context = Run({"--context", "100000"});
  EXPECT_EQ(long_context.exit_code, 2);
  EXPECT_THAT(long_context.err, HasSubstr("max_position_embeddings"));
  WriteFileAtomically(text_, "");
  EXPECT_EQ(Run({}).exit_code, 2);
  EXPECT_THAT(Run({}).err, HasSubstr("a text of 0 tokens"));
  text_ = folder_ / "txet.txt";
  EXPECT_EQ(Run({}).exit_code, 1);
  EXPECT_THAT(Run({}).err, HasSubstr("txet.txt"));
}

TEST_F(PerplexityCommand, SaysThatTheModelHasNoTokenizer) {
  std::filesystem::remove(model_ + "/tokenizer.json");
  EXPECT_EQ(Run({}).exit_code, 1);
  EXPECT_THAT(Run({}).err, HasSubstr("tokenizer.json"));
}

}  // namespace
}  // namespace reckon
