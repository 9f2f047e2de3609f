// What a run leaves: summary, receipt and report.

#include "tests/integration/run_folder.h"

#include <set>

#include "model/weights.h"

namespace reckon {
namespace {

class ARunFolder : public testing::Test {
 protected:
  void SetUp() override {
    Json recipe = TinyRecipe();
    recipe["tasks"].push_back({{"name", "digit_sum"}, {"digits", 4}});
    const ProcessResult result =
        RunReckon(RunArguments(WriteTinyRecipe(folder_.path(), recipe), out_));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    printed_ = result.out;
  }
  TemporaryFolder folder_;
  std::string printed_;
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
  EXPECT_EQ(summary["final_weight_sha256"], WeightHash(*LoadModel(out_ + "/grpo/model")));
}

void ExpectShareWithInterval(const Json& row, const std::string& key) {
  ASSERT_TRUE(row.contains(key) && row.contains(key + "_ci95")) << key << " of " << row.dump();
  const double share = row[key], low = row[key + "_ci95"][0], high = row[key + "_ci95"][1];
  EXPECT_TRUE(0 <= low && low <= share && share <= high && high <= 1) << row.dump();
}

TEST_F(ARunFolder, SummaryHasTheSharesOfEachTaskWithTheirIntervals) {
  const Json summary = ReadJsonFile(out_ + "/summary.json");
  EXPECT_FALSE(summary["stages"][0].contains("tasks")) << "base is told not to be evaluated";
  const Json& stage = summary["stages"][2];
  ASSERT_EQ(stage["tasks"].size(), 2u);
  EXPECT_EQ(stage["problems"], 32);
  EXPECT_EQ(stage["tasks"][0]["task"], "parity");
  EXPECT_EQ(stage["tasks"][1]["task"], "digit_sum");
  EXPECT_EQ(stage["tasks"][1]["problems"], 16);
  for (const Json& row : {stage, stage["tasks"][0], stage["tasks"][1]}) {
    ExpectShareWithInterval(row, "pass1_greedy");
    ExpectShareWithInterval(row, "pass1_sampled");
    EXPECT_GT(row["mean_response_tokens"], 0);
  }
  const double mean = (stage["tasks"][0]["pass1_greedy"].get<double>() +
                       stage["tasks"][1]["pass1_greedy"].get<double>()) /
                      2;
  EXPECT_DOUBLE_EQ(stage["pass1_greedy"], mean);
}

TEST_F(ARunFolder, TheTableThatIsPrintedHasALineForEachTask) {
  for (const char* line : {"\ngrpo +32 +[0-9.]+% \\([0-9.]+-[0-9.]+\\)",
                           "\n  parity +16 +[0-9.]+% \\([0-9.]+-[0-9.]+\\)",
                           "\n  digit_sum +16 +[0-9.]+% \\([0-9.]+-[0-9.]+\\)"}) {
    EXPECT_THAT(printed_, testing::ContainsRegex(line));
  }
}

TEST_F(ARunFolder, AProblemOfEachTaskIsShownToTypeIntoChat) {
  const Json summary = ReadJsonFile(out_ + "/summary.json");
  EXPECT_EQ(summary["final_stage"], "grpo");
  ASSERT_EQ(summary["examples"].size(), 2u);
  EXPECT_THAT(printed_, testing::HasSubstr("reckon chat " + out_ + "/grpo/model"));
  for (const Json& example : summary["examples"]) {
    const std::string prompt = example["prompt"];
    EXPECT_EQ(prompt.back(), '=');
    EXPECT_THAT(printed_, testing::HasSubstr("\n  " + prompt + "  ("));
  }
}

TEST_F(ARunFolder, ReceiptSaysWhatRanHowMuchHowLongAndAtWhatPrice) {
  const Json receipt = ReadJsonFile(out_ + "/receipt.json");
  ExpectKeys(receipt, {"recipe_sha256", "seed", "versions", "machine", "model", "price"});
  ExpectKeys(receipt["versions"], {"reckon"});
  EXPECT_THAT(receipt["versions"]["compiler"].get<std::string>(),
              testing::MatchesRegex(".*(GCC|Clang) [0-9]+\\.[0-9].*"));
  ExpectKeys(receipt["machine"], {"cpu", "isa", "threads"});
  EXPECT_EQ(receipt["price"], (Json{{"usd_per_hour", 0.08}, {"source", "a test"}}));
  EXPECT_EQ(receipt["final_weight_sha256"],
            ReadJsonFile(out_ + "/summary.json")["final_weight_sha256"]);
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

// All keys of an object and what it holds.
void CollectKeys(const Json& json, std::set<std::string>& keys) {
  for (const auto& item : json.items()) {
    if (json.is_object()) keys.insert(item.key());
    if (item.value().is_structured()) CollectKeys(item.value(), keys);
  }
}

TEST_F(ARunFolder, EveryKeyOfReceiptAndSummaryIsInTheirDocument) {
  const std::string document = ReadFile(RECKON_SOURCE_DIR "/docs/receipt.md");
  std::set<std::string> keys;
  for (const char* file : {"/receipt.json", "/summary.json"}) {
    CollectKeys(ReadJsonFile(out_ + file), keys);
  }
  EXPECT_GT(keys.size(), 50u);
  for (const std::string& key : keys) EXPECT_THAT(document, testing::HasSubstr("`" + key + "`"));
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
