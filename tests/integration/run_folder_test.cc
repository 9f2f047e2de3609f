// What a run leaves: summary, receipt and report.

#include "tests/integration/run_folder.h"

#include "model/weights.h"

namespace reckon {
namespace {

class ARunFolder : public testing::Test {
 protected:
  void SetUp() override { Finish(WriteTinyRecipe(folder_.path()), out_); }
  TemporaryFolder folder_;
  std::string out_ = folder_ / "out";
};

void ExpectKeys(const Json& json, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    EXPECT_TRUE(json.contains(key) && !json[key].is_null()) << key << " of " << json.dump();
  }
}

bool IsSha256(const Json& json) {
  return json.is_string() && json.get<std::string>().size() == 64 &&
         json.get<std::string>().find_first_not_of("0123456789abcdef") == std::string::npos;
}

TEST_F(ARunFolder, SummaryHasEveryStageAndTheHashOfTheLastWeights) {
  const Json summary = ReadJsonFile(out_ + "/summary.json");
  EXPECT_EQ(StageNames(out_), (std::vector<std::string>{"base", "tuned", "grpo"}));
  for (const Json& stage : summary["stages"]) {
    for (const char* key :
         {"name", "pass1_greedy", "pass1_sampled", "mean_response_tokens", "seconds"}) {
      EXPECT_TRUE(stage.contains(key)) << key;
    }
    EXPECT_GT(stage["seconds"], 0);
    // "base" is told not to be evaluated.
    EXPECT_EQ(stage["pass1_greedy"].is_number(), stage["name"] != "base");
  }
  EXPECT_GT(summary["wall_s"], 0);
  EXPECT_EQ(summary["seed"], 5);
  EXPECT_EQ(summary["weight_hash"], WeightHash(*LoadModel(out_ + "/grpo/model")));
}

TEST_F(ARunFolder, ReceiptSaysWhatRanHowMuchHowLongAndAtWhatPrice) {
  const Json receipt = ReadJsonFile(out_ + "/receipt.json");
  ExpectKeys(receipt, {"recipe_sha256", "seed", "versions", "machine", "model", "price"});
  ExpectKeys(receipt["versions"], {"reckon", "compiler"});
  ExpectKeys(receipt["machine"], {"cpu", "isa", "threads"});
  EXPECT_EQ(receipt["price"], (Json{{"usd_per_hour", 0.08}, {"source", "a test"}}));
  EXPECT_EQ(receipt["final_weight_sha256"], ReadJsonFile(out_ + "/summary.json")["weight_hash"]);
  EXPECT_TRUE(IsSha256(receipt["initial_weight_sha256"]));
  double flops = 0;
  int64_t trained_tokens = 0;
  for (const Json& stage : receipt["stages"]) {
    EXPECT_TRUE(IsSha256(stage["data_sha256"])) << stage["name"];
    EXPECT_TRUE(IsSha256(stage["weight_sha256"])) << stage["name"];
    EXPECT_GT(stage["seconds"], 0);
    EXPECT_GT(stage["model_flops_trained"], 0);
    trained_tokens += stage["trained"]["tokens"].get<int64_t>();
    for (const char* part : {"trained", "sampled", "evaluated"}) {
      flops += stage[std::string("model_flops_") + part].get<double>();
    }
  }
  const Json& total = receipt["total"];
  EXPECT_DOUBLE_EQ(total["model_flops"], flops);
  EXPECT_EQ(total["trained_tokens"], trained_tokens);
  EXPECT_GT(total["generated_tokens"], 0);
  EXPECT_DOUBLE_EQ(total["cost_usd"], total["wall_s"].get<double>() / 3600 * 0.08);
}

TEST_F(ARunFolder, ReportLoadsNothingFromElsewhere) {
  const std::string html = ReadFile(out_ + "/report.html");
  for (const char* part : {"http:", "https:", "src=", "href=", "url(", "@import", "<link"}) {
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  }
  for (const std::string& stage : StageNames(out_)) {
    EXPECT_THAT(html, testing::HasSubstr(stage));
  }
  EXPECT_THAT(html, testing::HasSubstr("<svg"));
}

TEST_F(ARunFolder, EachStageIsAFolderThatReckonOpens) {
  for (const std::string& stage : StageNames(out_)) {
    const std::string folder = out_ + "/" + stage + "/model";
    for (const char* file : {"/config.json", "/tokenizer.json", "/tokenizer_config.json",
                             "/generation_config.json", "/model.safetensors"}) {
      EXPECT_TRUE(FileExists(folder + file)) << folder << file;
    }
    const ProcessResult result =
        RunReckon({"generate", folder, "--prompt", "p:01=", "--max-new-tokens", "4"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
}

}  // namespace
}  // namespace reckon
