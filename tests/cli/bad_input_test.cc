// What reckon says, and leaves behind, when it is asked for something it cannot do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <ostream>

#include "base/files.h"
#include "formats/safetensors.h"
#include "tests/support/process.h"
#include "tests/support/tiny_recipe.h"

namespace reckon {
namespace {

using testing::HasSubstr;

// A failure that names what is wrong, and `folder` (not there or empty) as it was.
void ExpectRefused(const ProcessResult& result, const std::vector<std::string>& parts,
                   const std::string& folder) {
  EXPECT_GT(result.exit_code, 0) << "ended by signal " << result.signal;
  for (const std::string& part : parts) EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_THAT(result.err, testing::Not(HasSubstr("terminate called")));
  EXPECT_TRUE(!FileExists(folder) || std::filesystem::is_empty(folder)) << folder << " is left";
}

struct BadRecipe {
  const char* name;
  std::function<void(Json&)> spoil;
  std::vector<std::string> parts;  // of the message
};
std::ostream& operator<<(std::ostream& out, const BadRecipe& bad) { return out << bad.name; }

class ARecipeIsRefused : public testing::TestWithParam<BadRecipe> {};

TEST_P(ARecipeIsRefused, NamingThePlaceAndLeavingNothing) {
  const TemporaryFolder folder;
  Json recipe = TinyRecipe();
  GetParam().spoil(recipe);
  const std::string path = WriteTinyRecipe(folder.path(), recipe);
  ExpectRefused(RunReckon({"recipe", "run", path, "--out", folder / "out"}), GetParam().parts,
                folder / "out");
}

const std::vector<BadRecipe> kBadRecipes = {
    {"UnknownKey",
     [](Json& r) { r["sede"] = 3; },
     {"recipe.json: sede", "unknown key", "\"seed\""}},
    {"UnknownKeyOfAStage",
     [](Json& r) { r["stages"][1]["learning_rte"] = 0.1; },
     {"stages[1].learning_rte", "did you mean \"learning_rate\""}},
    {"UnknownKeyOfData",
     [](Json& r) { r["stages"][0]["data"]["seqlen"] = 8; },
     {"stages[0].data.seqlen", "\"seq_len\""}},
    {"UnknownKeyOfTheModel",
     [](Json& r) { r["model"]["num_nextn_predict_layer"] = 1; },
     {"recipe.json: model.num_nextn_predict_layer: unknown key",
      "did you mean \"num_nextn_predict_layers\"?"}},
    {"UnknownKeyOfTheModelsRope",
     [](Json& r) {
       r["model"]["rope_scaling"] = {{"type", "yarn"}, {"factor", 2}, {"beta_fst", 16}};
     },
     {"recipe.json: model.rope_scaling.beta_fst", "did you mean \"beta_fast\"?"}},
    {"MissingKey", [](Json& r) { r.erase("name"); }, {"recipe.json: name", "missing"}},
    {"TextForANumber",
     [](Json& r) { r["stages"][2]["steps"] = "many"; },
     {"stages[2].steps", "an integer from 1", "\"many\""}},
    {"FractionForAnInteger",
     [](Json& r) { r["stages"][0]["steps"] = 1.5; },
     {"stages[0].steps", "1.5"}},
    {"NegativeSize",
     [](Json& r) { r["stages"][0]["data"]["batch_size"] = -4; },
     {"stages[0].data.batch_size", "-4"}},
    {"NegativeSizeOfTheModel",
     [](Json& r) { r["model"]["hidden_size"] = -32; },
     {"model.hidden_size", "-32"}},
    {"HugeSizeOfTheModel",
     [](Json& r) { r["model"]["hidden_size"] = int64_t{1} << 40; },
     {"model.hidden_size", "1099511627776"}},
    {"OddRope", [](Json& r) { r["model"]["qk_rope_head_dim"] = 7; }, {"qk_rope_head_dim", "even"}},
    {"VocabularySmallerThanTheTokenizers",
     [](Json& r) { r["model"]["vocab_size"] = 100; },
     {"recipe.json: model: vocab_size 100", "leave it out"}},
    {"UnknownKind",
     [](Json& r) { r["stages"][0]["kind"] = "pretain"; },
     {"stages[0].kind", "\"pretrain\", \"sft\", \"rl\""}},
    {"UnknownTask",
     [](Json& r) { r["tasks"][0]["name"] = "partiy"; },
     {"tasks[0].name", "\"partiy\"", "\"parity\""}},
    {"UnknownKnob",
     [](Json& r) { r["stages"][2]["tasks"][0]["task"]["bist"] = 9; },
     {"stages[2].tasks[0].task.bist", "did you mean \"bits\""}},
    {"StageFromNowhere",
     [](Json& r) { r["stages"][2]["from"] = "tned"; },
     {"stages[2].from", "there is no earlier stage \"tned\""}},
    {"StageFromItself",
     [](Json& r) { r["stages"][1]["from"] = "tuned"; },
     {"stages[1].from", "there is no earlier stage"}},
    {"TwoStagesOfOneName",
     [](Json& r) { r["stages"][1]["name"] = "base"; },
     {"stages[1].name", "taken"}},
    {"StageNameThatIsAPath",
     [](Json& r) { r["stages"][0]["name"] = "../base"; },
     {"stages[0].name", "letters, digits"}},
    {"NoStages", [](Json& r) { r["stages"] = Json::array(); }, {"stages", "at least one"}},
    {"MissingText",
     [](Json& r) {
       r["stages"][0]["data"]["files"] = {"text.txt", "txet.txt"};
     },
     {"stages[0].data.files[1]", "txet.txt", "relative paths start from"}},
    {"MissingTextOfTheTokenizer",
     [](Json& r) { r["tokenizer"]["files"] = {"txet.txt"}; },
     {"tokenizer.files[0]", "txet.txt"}},
    {"MissingModelFile", [](Json& r) { r["model"] = "modle.json"; }, {"model", "modle.json"}},
    {"MissingInitialWeights",
     [](Json& r) { r["init_from"] = "weights"; },
     {"init_from", "weights"}},
    {"CharactersWithoutTasks",
     [](Json& r) {
       r["tokenizer"] = {{"type", "char"}};
       r["tasks"] = Json::array();
       r.erase("eval");
       r["stages"].erase(2);
       r["stages"].erase(1);
     },
     {"char tokenizer", "names none"}},
    {"AnswersLongerThanTheModelsContext",
     [](Json& r) { r["stages"][2]["max_completion_length"] = 60; },
     {"grpo", "max_completion_length 60", "max_position_embeddings 64"}},
    {"MoreMiniBatchesThanSamples",
     [](Json& r) { r["stages"][2]["num_mini_batches"] = 99; },
     {"stages[2].num_mini_batches", "24 samples"}},
};

INSTANTIATE_TEST_SUITE_P(All, ARecipeIsRefused, testing::ValuesIn(kBadRecipes),
                         [](const auto& test) { return std::string(test.param.name); });

struct BadCommand {
  const char* name;
  std::vector<std::string> arguments;
  std::vector<std::string> parts;
};
std::ostream& operator<<(std::ostream& out, const BadCommand& bad) { return out << bad.name; }

class ACommandIsRefused : public testing::TestWithParam<BadCommand> {};

TEST_P(ACommandIsRefused, NamingWhatIsWrong) {
  const ProcessResult result = RunReckon(GetParam().arguments);
  EXPECT_EQ(result.exit_code, 2);
  for (const std::string& part : GetParam().parts) EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_EQ(result.out, "");
}

const std::vector<BadCommand> kBadCommands = {
    {"NoCommand", {}, {"subcommand", "recipe, ", "--help"}},
    {"UnknownCommand",
     {"dcotor"},
     {"reckon: there is no command \"dcotor\"; did you mean doctor?"}},
    {"UnknownFlag",
     {"doctor", "--jsno"},
     {"reckon doctor: unknown option --jsno; did you mean --json?"}},
    {"UnknownFlagWithAValue",
     {"recipe", "run", "r.json", "--seeed=3"},
     {"reckon recipe run: unknown option --seeed; did you mean --seed?"}},
    {"UnknownFlagOfReckonItself",
     {"recipe", "run", "r.json", "--thread", "2"},
     {"unknown option --thread; did you mean --threads?"}},
    {"ArgumentsTooMany",
     {"recipe", "run", "r.json", "one", "two"},
     {"reckon recipe run: not expected: \"one\" \"two\""}},
    {"RecipeWithoutACommand", {"recipe"}, {"reckon recipe: a subcommand is missing: run"}},
    {"RecipeWithoutRun", {"recipe", "r.json"}, {"for a file: reckon recipe run r.json"}},
    {"RecipeWithAMisspeltCommand", {"recipe", "rnu", "r.json"}, {"did you mean run?"}},
    {"NoFile", {"recipe", "run"}, {"file"}},
    {"NoThreads", {"--threads", "0", "doctor"}, {"--threads"}},
    {"NegativeSeed", {"recipe", "run", "r.json", "--seed", "-1"}, {"--seed"}},
    {"NoPrompt", {"generate", "nowhere"}, {"--prompt"}},
    {"NegativeTokens",
     {"generate", "m", "--prompt", "1", "--max-new-tokens", "-5"},
     {"--max-new-tokens"}},
    {"WrongPrecision", {"generate", "m", "--prompt", "1", "--precision", "f8"}, {"f8", "bf16"}},
    {"UnknownTask", {"eval", "nowhere", "--task", "partiy"}, {"partiy", "\"parity\""}},
    {"NoTask", {"eval", "nowhere"}, {"give --task NAME", "parity, digit_sum", "reckon tasks"}},
    {"UnknownTaskToShow", {"tasks", "partiy"}, {"tasks: name", "\"parity\""}},
    {"NegativeProblems", {"eval", "m", "--task", "parity", "--problems", "-3"}, {"problems", "-3"}},
};

INSTANTIATE_TEST_SUITE_P(All, ACommandIsRefused, testing::ValuesIn(kBadCommands),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Render, WhatATemplateRefusesIsNamedByLineAndNothingIsPrinted) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "data.json", R"({"messages": []})");
  WriteFileAtomically(folder / "list.json", "[]");
  const auto render = [&](const std::string& source, const std::string& data,
                          std::vector<std::string> more = {}) {
    WriteFileAtomically(folder / "t.jinja", source);
    more.insert(more.begin(), {"render", folder / "t.jinja", folder / data});
    const ProcessResult result = RunReckon(more);
    EXPECT_GT(result.exit_code, 0);
    EXPECT_EQ(result.out, "");
    return result.err;
  };
  EXPECT_THAT(render("a\n{{ raise_exception('no roles') }}", "data.json"),
              HasSubstr("t.jinja: line 2: no roles"));
  EXPECT_THAT(render("a\n\n{% if %}", "data.json"), HasSubstr("t.jinja: line 3: expected"));
  EXPECT_THAT(render("a", "list.json"), HasSubstr("list.json: expected an object"));
  EXPECT_THAT(render("a", "none.json"), HasSubstr("none.json"));
  EXPECT_THAT(render("a", "data.json", {"--now", "yesterday"}), HasSubstr("\"yesterday\""));
  EXPECT_THAT(
      render("{{ " + std::string(60000, '(') + std::string(60000, ')') + " }}", "data.json"),
      HasSubstr("nested deeper"));
}

TEST(Environment, AnUnknownInstructionSetIsRefusedWithThoseThatRun) {
  const TemporaryFolder folder;
  const std::string path = WriteTinyRecipe(folder.path());
  ExpectRefused(RunReckon({"recipe", "run", path, "--out", folder / "out"},
                          {{{"RECKON_ISA", "avx9"}}, "", 0}),
                {"RECKON_ISA", "avx9", "scalar"}, folder / "out");
  EXPECT_EQ(RunReckon({"doctor"}, {{{"RECKON_ISA", "avx9"}}, "", 0}).exit_code, 1);
}

TEST(Environment, AWrongNumberOfThreadsIsRefused) {
  const ProcessResult result = RunReckon({"doctor"}, {{{"RECKON_THREADS", "two"}}, "", 0});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("RECKON_THREADS"));
}

TEST(Recipe, ASyntaxErrorIsNamedByLineAndColumn) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "r.json", "{\n  \"name\": \"a\",\n  \"seed\": }\n");
  ExpectRefused(RunReckon({"recipe", "run", folder / "r.json", "--out", folder / "out"}),
                {"r.json: line 3, column"}, folder / "out");
  ExpectRefused(RunReckon({"recipe", "run", folder / "no.json", "--out", folder / "out"}),
                {"no.json", "No such file"}, folder / "out");
}

TEST(Recipe, AModelFileWithWhatLooksLikeASlipIsWarnedOf) {
  const TemporaryFolder folder;
  Json recipe = TinyRecipe(), model = recipe["model"];
  recipe["stages"].erase(2);
  recipe["stages"].erase(1);
  recipe["stages"][0]["steps"] = 1;
  recipe["model"] = "model.json";
  model["initialiser_range"] = 0.5;
  model["what_somebody_else_adds"] = true;
  WriteJsonFile(folder / "model.json", model);
  const ProcessResult result =
      RunReckon({"recipe", "run", WriteTinyRecipe(folder.path(), recipe), "--out", folder / "out"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("warning: " + (folder / "model.json") +
                                    ": initialiser_range: unknown key; did you mean "
                                    "\"initializer_range\"? It is ignored"));
  EXPECT_THAT(result.err, testing::Not(HasSubstr("what_somebody_else_adds")));
}

TEST(OutFolder, OfAnotherRecipeIsLeftAlone) {
  const TemporaryFolder folder;
  Json recipe = TinyRecipe();
  recipe["stages"].erase(2);
  recipe["stages"].erase(1);
  const std::string path = WriteTinyRecipe(folder.path(), recipe), out = folder / "out";
  ASSERT_EQ(RunReckon({"recipe", "run", path, "--out", out}).exit_code, 0);
  const std::string claim = ReadFile(out + "/recipe.json");
  recipe["stages"][0]["learning_rate"] = 0.02;
  WriteTinyRecipe(folder.path(), recipe);
  const ProcessResult result = RunReckon({"recipe", "run", path, "--out", out});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr(out));
  EXPECT_THAT(result.err, HasSubstr("choose another --out"));
  EXPECT_EQ(ReadFile(out + "/recipe.json"), claim);
}

TEST(OutFolder, ThatCannotBeWrittenIsNamed) {
  const TemporaryFolder folder;
  const std::string path = WriteTinyRecipe(folder.path());
  WriteFileAtomically(folder / "file", "a file in the way");
  // /proc refuses root too.
  for (const std::string& out : {folder / "file", folder / "file/out", std::string("/proc/out")}) {
    const ProcessResult result = RunReckon({"recipe", "run", path, "--out", out});
    EXPECT_EQ(result.exit_code, 1) << out;
    EXPECT_THAT(result.err, HasSubstr(out));
    EXPECT_THAT(result.err, testing::AnyOf(HasSubstr("Not a directory"), HasSubstr("No such file"),
                                           HasSubstr("File exists")));
  }
  EXPECT_EQ(ReadFile(folder / "file"), "a file in the way");
}

class AModelFolder : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyModel(model_);
    WriteFileAtomically(folder_ / "stage.json", R"({"steps": 2, "data": {"type": "tasks",
        "batch_size": 2, "tasks": [{"task": {"name": "parity", "bits": 8}}]}})");
  }

  // generate and sft open folders by different ways.
  void ExpectBothRefuse(const std::vector<std::string>& parts) {
    ExpectRefused(RunReckon({"generate", model_, "--prompt", "p:0="}), parts, folder_ / "out");
    ExpectRefused(
        RunReckon({"sft", folder_ / "stage.json", "--model", model_, "--out", folder_ / "out"}),
        parts, folder_ / "out");
  }

  TemporaryFolder folder_;
  std::string model_ = folder_ / "model", weights_ = model_ + "/model.safetensors";
};

TEST_F(AModelFolder, ThatIsWholeIsOpened) {
  EXPECT_EQ(RunReckon({"generate", model_, "--prompt", "p:0="}).exit_code, 0);
  const ProcessResult result =
      RunReckon({"sft", folder_ / "stage.json", "--model", model_, "--out", folder_ / "out"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(AModelFolder, OfWhichARunOrAStageIsGivenIsNamed) {
  const std::string inside = folder_ / "run/tuned/model";
  WriteTinyModel(inside);
  for (const std::string& outside : {folder_ / "run", folder_ / "run/tuned"}) {
    model_ = outside;
    ExpectBothRefuse({outside + ": is no model", inside});
    EXPECT_THAT(RunReckon({"chat", outside}, {{}, "p:0=\n", 0}).err, HasSubstr(inside));
  }
}

// The stage's file is named, not a place in the recipe that is made of it.
TEST_F(AModelFolder, AStageFileThatIsWrongIsNamed) {
  const auto refuse = [&](const std::string& text, const std::vector<std::string>& parts) {
    WriteFileAtomically(folder_ / "stage.json", text);
    const ProcessResult result =
        RunReckon({"sft", folder_ / "stage.json", "--model", model_, "--out", folder_ / "out"});
    ExpectRefused(result, parts, folder_ / "out");
    EXPECT_THAT(result.err, testing::Not(HasSubstr("stages[0]")));
  };
  refuse(R"({"step": 2})", {"stage.json: steps: missing"});
  refuse(R"({"steps": 2, "from": "x", "data": {"type": "tasks", "tasks": [{"task":
            {"name": "parity"}}]}})",
         {"stage.json: from: there is no earlier stage"});
  refuse(R"({"steps": 2, "data": {"type": "tasks", "task": []}})", {"stage.json: data.tasks"});
  refuse(R"({"steps": 2, "eval_tasks": [{"name": "partiy"}]})", {"stage.json: eval_tasks[0].name"});
  refuse(R"({"steps": 2, "kind": "rl"})", {"stage.json: kind", "\"rl\""});
}

TEST_F(AModelFolder, ThatIsNotThereIsNamed) {
  std::filesystem::remove_all(model_);
  ExpectBothRefuse({model_});
}

TEST_F(AModelFolder, WithoutWeightsIsNamed) {
  std::filesystem::remove(weights_);
  ExpectBothRefuse({model_, "safetensors"});
}

TEST_F(AModelFolder, WithTruncatedWeightsIsNamed) {
  for (const uintmax_t bytes :
       {std::filesystem::file_size(weights_) - 1, uintmax_t{100}, uintmax_t{3}, uintmax_t{0}}) {
    std::filesystem::resize_file(weights_, bytes);
    ExpectBothRefuse({weights_});
  }
}

TEST_F(AModelFolder, WithACorruptHeaderIsNamed) {
  std::string bytes = ReadFile(weights_);
  for (const size_t at : {size_t{6}, size_t{8}, bytes.find("data_offsets")}) {
    std::string corrupt = bytes;
    corrupt[at] = '\x7f';
    WriteFileAtomically(weights_, corrupt);
    ExpectBothRefuse({weights_});
  }
}

TEST_F(AModelFolder, WithWeightsOfAnotherShapeIsNamed) {
  Json config = ReadJsonFile(model_ + "/config.json");
  config["intermediate_size"] = 64;
  WriteJsonFile(model_ + "/config.json", config);
  ExpectBothRefuse({model_, "gate_proj", "[64, 32]"});
}

TEST_F(AModelFolder, WithoutATokenizerIsNamed) {
  std::filesystem::remove(model_ + "/tokenizer.json");
  ExpectBothRefuse({model_ + "/tokenizer.json"});
}

TEST_F(AModelFolder, WithAConfigOfAnotherFamilyIsNamed) {
  WriteJsonFile(model_ + "/config.json", {{"model_type", "mixtral"}});
  ExpectBothRefuse({model_ + "/config.json", "mixtral", "deepseek_v3"});
}

TEST_F(AModelFolder, WithAMissingShardIsNamed) {
  const std::string name = SafetensorsFile(weights_).tensors().begin()->first;
  std::filesystem::rename(weights_, model_ + "/a.safetensors");
  WriteJsonFile(model_ + "/model.safetensors.index.json",
                {{"weight_map", {{name, "a.safetensors"}, {"x", "b.safetensors"}}}});
  ExpectBothRefuse({model_ + "/b.safetensors", "missing", "\"x\""});
  WriteJsonFile(model_ + "/model.safetensors.index.json",
                {{"weight_map", {{name, "a.safetensors"}, {"x", "a.safetensors"}}}});
  ExpectBothRefuse({model_ + "/a.safetensors", "no tensor \"x\"", "index.json"});
  std::filesystem::copy_file(model_ + "/a.safetensors", model_ + "/b.safetensors");
  WriteJsonFile(model_ + "/model.safetensors.index.json",
                {{"weight_map", {{name, "a.safetensors"}, {"x", "b.safetensors"}}}});
  ExpectBothRefuse({model_ + "/b.safetensors", "is also in " + model_ + "/a.safetensors"});
}

TEST_F(AModelFolder, WithTwoTensorsOfOneNameIsNamed) {
  std::string bytes = ReadFile(weights_);
  const std::string gate = "layers.0.mlp.gate_proj", down = "layers.0.mlp.down_proj";
  bytes.replace(bytes.find(gate), gate.size(), down);
  WriteFileAtomically(weights_, bytes);
  ExpectBothRefuse({weights_, "duplicate key", down});
}

TEST_F(AModelFolder, WithAConfigOfAHugeModelIsNamed) {
  Json config = ReadJsonFile(model_ + "/config.json");
  config["num_hidden_layers"] = 10'000;
  WriteJsonFile(model_ + "/config.json", config);
  ExpectBothRefuse({model_, "input_layernorm.weight is missing"});
  config["vocab_size"] = config["hidden_size"] = config["intermediate_size"] = 1 << 24;
  config["n_routed_experts"] = config["moe_intermediate_size"] = 1 << 24;
  WriteJsonFile(model_ + "/config.json", config);
  ExpectBothRefuse({model_ + "/config.json", "weights; at most"});
}

TEST_F(AModelFolder, WithATokenizerThatIsNoneIsNamed) {
  const std::string path = model_ + "/tokenizer.json";
  for (const std::string& garbage :
       {std::string("\x7f\x45LF\x02"), std::string("{}"), std::string("[1, 2"), std::string(),
        std::string(R"({"model": {"type": "BPE", "vocab": 3}})")}) {
    WriteFileAtomically(path, garbage);
    ExpectBothRefuse({path});
  }
}

TEST_F(AModelFolder, WithATokenizerOfAnotherModelIsNamed) {
  const std::string path = model_ + "/tokenizer.json";
  Json tokenizer = ReadJsonFile(path);
  tokenizer["added_tokens"].push_back({{"id", 5000},
                                       {"content", "<alien>"},
                                       {"single_word", false},
                                       {"lstrip", false},
                                       {"rstrip", false},
                                       {"normalized", false},
                                       {"special", true}});
  WriteJsonFile(path, tokenizer);
  ExpectBothRefuse({"vocab_size", "tokenizer"});
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"generate", model_, "--prompt", "p:0="}, {"chat", model_}}) {
    ExpectRefused(RunReckon(arguments),
                  {model_ + ": the tokenizer has ids up to 5000 (\"<alien>\")", "vocab_size"},
                  folder_ / "out");
  }
}

TEST_F(AModelFolder, IsRefusedInOneLineWhateverItsTensorsAreCalled) {
  WriteSafetensors(weights_, {{"a\nb\x1b[31m", DType::kF32, {0}, {}}});
  const ProcessResult result = RunReckon({"generate", model_, "--prompt", "p:0="});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos) << result.err;
}

// The file of a model as GGUF, which holds a tokenizer of its own or has one beside it.
TEST_F(AModelFolder, GgufFilesThatAreNoneAreNamed) {
  const std::string path = folder_ / "model.gguf";
  for (const std::string& garbage :
       {std::string(), std::string("GGUF"),
        std::string("GGUF\3\0\0\0", 8) + std::string(16, '\xFF'), std::string(100, 'x')}) {
    WriteFileAtomically(path, garbage);
    const ProcessResult result = RunReckon({"generate", path, "--prompt", "x"});
    EXPECT_EQ(result.exit_code, 1) << result.signal;
    EXPECT_THAT(result.err, HasSubstr(path));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST_F(AModelFolder, APromptItsTokenizerCannotReadIsNamed) {
  const ProcessResult result = RunReckon({"generate", model_, "--prompt", "p:X="});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err,
              HasSubstr("no token for \"X\"; it knows the characters \"0123456789:=p\""));
}

}  // namespace
}  // namespace reckon
