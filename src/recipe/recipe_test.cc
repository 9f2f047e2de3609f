#include "recipe/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "model/config_keys.h"

namespace reckon {
namespace {

using testing::HasSubstr;

constexpr const char* kRecipe = R"({
  "name": "small", "seed": 9,
  "model": {"hidden_size": 8},
  "tokenizer": {"type": "char"},
  "tasks": [{"name": "parity", "bits": 8}],
  "eval": {"problems": 10},
  "stages": [
    {"name": "first", "kind": "sft", "steps": 10,
     "data": {"type": "tasks", "tasks": [{"task": {"name": "parity", "bits": 8}}]}},
    {"name": "second", "kind": "rl", "steps": 5, "from": "first", "precision": "bf16",
     "tasks": [{"task": {"name": "parity", "bits": 8}}]},
    {"name": "third", "kind": "sft", "steps": 10, "time_limit_from": "second",
     "data": {"type": "tasks", "tasks": [{"task": {"name": "parity", "bits": 8}}]}}]})";

Recipe Parse(const Json& json) { return ParseRecipe(json, "r.json", ""); }

TEST(Recipe, ReadsWhatIsWrittenAndFillsInTheRest) {
  const Recipe recipe = Parse(Json::parse(kRecipe));
  EXPECT_EQ(recipe.name, "small");
  EXPECT_EQ(recipe.seed, 9u);
  EXPECT_EQ(recipe.price_usd_per_hour, 0);
  ASSERT_EQ(recipe.eval.tasks.size(), 1u);  // the recipe's, as eval names none
  EXPECT_EQ(recipe.eval.problems, 10);
  EXPECT_EQ(recipe.eval.seed, 9u);
  ASSERT_EQ(recipe.stages.size(), 3u);
  EXPECT_EQ(recipe.stages[0].checkpoint_every_steps, 50);
  EXPECT_EQ(recipe.stages[0].precision, Precision::kF32);
  EXPECT_TRUE(recipe.stages[0].evaluate);
  EXPECT_EQ(recipe.stages[0].data.tasks.batch_size, 64);
  EXPECT_EQ(recipe.stages[1].precision, Precision::kBF16);
  EXPECT_EQ(recipe.stages[1].from, "first");
  EXPECT_EQ(recipe.stages[1].grpo.seed, 9u);
  EXPECT_EQ(recipe.stages[2].time_limit_from, "second");
}

TEST(Recipe, EachStageDrawsExamplesOfItsOwn) {
  const Recipe recipe = Parse(Json::parse(kRecipe));
  const uint64_t first = recipe.stages[0].data.tasks.seed, third = recipe.stages[2].data.tasks.seed;
  EXPECT_NE(first, third);
  Json other = Json::parse(kRecipe);
  other["seed"] = 10;
  EXPECT_NE(Parse(other).stages[0].data.tasks.seed, first);
  EXPECT_EQ(Parse(Json::parse(kRecipe)).stages[0].data.tasks.seed, first);
}

TEST(Recipe, WithoutEvalUsesItsTasks) {
  Json json = Json::parse(kRecipe);
  json.erase("eval");
  EXPECT_EQ(Parse(json).eval.tasks.size(), 1u);
}

struct Bad {
  const char* name;
  std::function<void(Json&)> spoil;
  ErrorKind kind;
  std::vector<std::string> parts;
};

class ABadRecipe : public testing::TestWithParam<Bad> {};

TEST_P(ABadRecipe, IsRefusedByThePathOfTheKey) {
  Json json = Json::parse(kRecipe);
  GetParam().spoil(json);
  try {
    Parse(json);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), GetParam().kind);
    for (const std::string& part : GetParam().parts) EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

constexpr ErrorKind kInvalid = ErrorKind::kInvalidArgument;
const std::vector<Bad> kBad = {
    {"NoObject", [](Json& r) { r = Json::array(); }, kInvalid, {"r.json", "an object"}},
    {"SeedTooLarge", [](Json& r) { r["seed"] = int64_t{1} << 54; }, kInvalid, {"r.json: seed"}},
    {"NegativePrice",
     [](Json& r) { r["price_usd_per_hour"] = -1; },
     kInvalid,
     {"r.json: price_usd_per_hour", "-1"}},
    {"TasksThatAreNoList", [](Json& r) { r["tasks"] = 3; }, kInvalid, {"r.json: tasks", "list"}},
    {"BadTask",
     [](Json& r) { r["tasks"][0]["bits"] = 4; },
     kInvalid,
     {"r.json: tasks[0].bits", "8 to 256"}},
    {"MoreTriesThanSamples",
     [](Json& r) {
       r["eval"]["samples"] = 2;
       r["eval"]["k"] = 3;
     },
     kInvalid,
     {"r.json: eval.k", "1 to 2"}},
    {"UnknownKeyOfEval",
     [](Json& r) { r["eval"]["problem"] = 3; },
     kInvalid,
     {"r.json: eval.problem", "\"problems\""}},
    {"UnknownTokenizer",
     [](Json& r) { r["tokenizer"]["type"] = "wordpiece"; },
     kInvalid,
     {"r.json: tokenizer.type", "\"char\", \"bpe\", \"file\""}},
    {"KeyOfAnotherTokenizer",
     [](Json& r) { r["tokenizer"]["vocab_size"] = 300; },
     kInvalid,
     {"r.json: tokenizer.vocab_size"}},
    {"UnknownPrecision",
     [](Json& r) { r["stages"][0]["precision"] = "f16"; },
     kInvalid,
     {"r.json: stages[0].precision", "f16"}},
    {"DataWithoutTasks",
     [](Json& r) { r["stages"][0]["data"]["tasks"] = Json::array(); },
     kInvalid,
     {"r.json: stages[0].data.tasks", "at least one"}},
    {"ShareAboveOne",
     [](Json& r) { r["stages"][0]["data"]["tasks"][0]["long_probability"] = 1.5; },
     kInvalid,
     {"r.json: stages[0].data.tasks[0].long_probability", "1.5"}},
    {"WeightOfNothing",
     [](Json& r) { r["stages"][1]["tasks"][0]["weight"] = 0; },
     kInvalid,
     {"r.json: stages[1].tasks[0].weight"}},
    {"KeyOfAnotherKind",
     [](Json& r) { r["stages"][1]["mtp_loss_weight"] = 0.1; },
     kInvalid,
     {"r.json: stages[1].mtp_loss_weight"}},
    {"TimeLimitOfRl",
     [](Json& r) { r["stages"][1]["time_limit_from"] = "first"; },
     kInvalid,
     {"r.json: stages[1].time_limit_from", "only pretrain and sft"}},
    {"TimeLimitFromALaterStage",
     [](Json& r) { r["stages"][0]["time_limit_from"] = "second"; },
     kInvalid,
     {"r.json: stages[0].time_limit_from", "no earlier stage \"second\""}},
    {"LongerWarmupThanTheStage",
     [](Json& r) { r["stages"][0]["warmup_steps"] = 11; },
     kInvalid,
     {"r.json: stages[0].warmup_steps", "0 to 10"}},
    {"MinimumAboveTheLearningRate",
     [](Json& r) {
       r["stages"][0]["learning_rate"] = 0.001;
       r["stages"][0]["min_learning_rate"] = 0.01;
     },
     kInvalid,
     {"r.json: stages[0].min_learning_rate", "0.01"}},
    {"GroupOfOne",
     [](Json& r) { r["stages"][1]["num_generations"] = 1; },
     kInvalid,
     {"r.json: stages[1].num_generations", "from 2"}},
    {"TextThatIsNotThere",
     [](Json& r) {
       r["stages"][0]["data"] = {{"type", "text"}, {"files", {"nowhere.txt"}}};
     },
     ErrorKind::kNotFound,
     {"r.json: stages[0].data.files[0]", "nowhere.txt"}},
};

INSTANTIATE_TEST_SUITE_P(All, ABadRecipe, testing::ValuesIn(kBad),
                         [](const auto& test) { return std::string(test.param.name); });

class RecipeFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    MakeFolders(folder_ + "/recipes");
    MakeFolders(folder_ + "/texts");
    WriteFileAtomically(folder_ + "/texts/a.txt", "text");
    WriteFileAtomically(folder_ + "/recipes/a.txt", "text");
    WriteJsonFile(folder_ + "/model.json", {{"hidden_size", 16}});
    Json json = Json::parse(kRecipe);
    json["model"] = "../model.json";
    json["tokenizer"] = {{"type", "bpe"}, {"files", {"a.txt"}}, {"vocab_size", 300}};
    json["stages"][0]["data"] = {{"type", "text"}, {"files", {"a.txt", folder_ + "/texts/a.txt"}}};
    WriteJsonFile(path_, json);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_ = testing::TempDir() + "recipe_test_" + std::to_string(::getpid());
  std::string path_ = folder_ + "/recipes/r.json";
};

TEST_F(RecipeFolder, IsWhereRelativePathsStart) {
  const Recipe recipe = ReadRecipe(path_);
  EXPECT_EQ(recipe.model["hidden_size"], 16);
  EXPECT_EQ(recipe.model_where, folder_ + "/model.json");
  EXPECT_EQ(recipe.tokenizer.files, (std::vector<std::string>{folder_ + "/recipes/a.txt"}));
  EXPECT_EQ(recipe.stages[0].data.text.files[1], folder_ + "/texts/a.txt");
}

TEST_F(RecipeFolder, GivesWayToADataFolderForTexts) {
  const Recipe recipe = ReadRecipe(path_, folder_ + "/texts");
  EXPECT_EQ(recipe.model["hidden_size"], 16);
  EXPECT_EQ(recipe.tokenizer.files[0], folder_ + "/texts/a.txt");
  EXPECT_EQ(recipe.stages[0].data.text.files[0], folder_ + "/texts/a.txt");
}

TEST(Recipe, ThoseThatComeWithReckonAreRead) {
  const std::string folder = RECKON_SOURCE_DIR "/configs/recipes/";
  EXPECT_EQ(ReadRecipe(folder + "quickstart.json").stages.back().time_limit_from, "grpo");
  EXPECT_EQ(ReadRecipe(folder + "parity.json").stages.size(), 2u);
}

// The words in backticks of the first column of the table below a heading.
std::vector<std::string> FirstColumn(const std::string& document, const std::string& heading) {
  std::vector<std::string> words;
  size_t at = document.find(heading);
  const size_t end = document.find("\n## ", at + 1);
  while ((at = document.find("\n| `", at)) < end) {
    const size_t line_end = document.find(" |", at + 3);
    for (size_t tick = document.find('`', at); tick < line_end;) {
      const size_t close = document.find('`', tick + 1);
      words.push_back(document.substr(tick + 1, close - tick - 1));
      tick = document.find('`', close + 1);
    }
    at = line_end;
  }
  return words;
}

TEST(Recipe, EveryKeyOfTheModelInItsDocumentIsKnown) {
  const std::vector<std::string> keys =
      FirstColumn(ReadFile(RECKON_SOURCE_DIR "/docs/recipes.md"), "\n## `model`");
  EXPECT_GT(keys.size(), 30u);
  for (const std::string& key : keys) {
    EXPECT_TRUE(UnknownModelKeys({{key, 1}}).empty()) << key;
  }
}

// The keys that a refusal of an unknown one lists.
std::vector<std::string> KnownKeys(const std::function<void(Json&)>& spoil) {
  Json json = Json::parse(kRecipe);
  spoil(json);
  std::vector<std::string> keys;
  try {
    Parse(json);
  } catch (const Error& error) {
    const std::string message = error.what();
    size_t at = message.find("Known keys: ");
    while (at != std::string::npos && (at = message.find('"', at)) != std::string::npos) {
      const size_t end = message.find('"', at + 1);
      keys.push_back(message.substr(at + 1, end - at - 1));
      at = end + 1;
    }
  }
  return keys;
}

TEST(Recipe, EveryKeyIsInItsDocument) {
  const std::string document = ReadFile(RECKON_SOURCE_DIR "/docs/recipes.md");
  const std::function<void(Json&)> spoils[] = {
      [](Json& r) { r["@"] = 1; },
      [](Json& r) { r["tokenizer"]["@"] = 1; },
      [](Json& r) {
        r["tokenizer"] = {{"type", "bpe"}, {"files", {"/"}}, {"vocab_size", 300}, {"@", 1}};
      },
      [](Json& r) {
        r["tokenizer"] = {{"type", "file"}, {"path", "/"}, {"@", 1}};
      },
      [](Json& r) { r["eval"]["@"] = 1; },
      [](Json& r) { r["stages"][0]["@"] = 1; },
      [](Json& r) { r["stages"][0]["data"]["@"] = 1; },
      [](Json& r) { r["stages"][0]["data"]["tasks"][0]["@"] = 1; },
      [](Json& r) {
        r["stages"][0]["data"] = {{"type", "text"}, {"files", {"/"}}, {"@", 1}};
      },
      [](Json& r) { r["stages"][1]["@"] = 1; },
      [](Json& r) { r["stages"][1]["tasks"][0]["@"] = 1; }};
  for (const auto& spoil : spoils) {
    const std::vector<std::string> keys = KnownKeys(spoil);
    EXPECT_FALSE(keys.empty());
    for (const std::string& key : keys) EXPECT_THAT(document, HasSubstr("`" + key + "`"));
  }
  for (const std::string& task : TaskNames()) {
    const auto unknown = [&](Json& r) { r["tasks"][0] = {{"name", task}, {"@", 1}}; };
    for (const std::string& key : KnownKeys(unknown)) {
      EXPECT_THAT(document, HasSubstr("`" + key + "`"));
    }
    EXPECT_THAT(document, HasSubstr("`" + task + "`"));
  }
}

}  // namespace
}  // namespace reckon
