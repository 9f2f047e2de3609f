// Each subcommand does what its help says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <sstream>

#include "base/files.h"
#include "formats/json.h"
#include "model/gguf_case.h"
#include "model/weights.h"
#include "tasks/task.h"
#include "tests/support/process.h"
#include "tests/support/tiny_recipe.h"

namespace reckon {
namespace {

using testing::HasSubstr;

Json Output(const ProcessResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return ParseJson(result.out, "standard output");
}

class Help : public testing::TestWithParam<const char*> {};

TEST_P(Help, ShowsAnExampleOfTheCommandItself) {
  std::istringstream words(GetParam());
  std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
  arguments.push_back("--help");
  const ProcessResult result = RunReckon(arguments);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  const size_t examples = result.out.find("Example");
  ASSERT_NE(examples, std::string::npos) << result.out;
  EXPECT_THAT(result.out.substr(examples), HasSubstr(std::string("reckon ") + GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Commands, Help,
                         testing::Values("", "recipe", "recipe run", "pretrain", "sft", "rl",
                                         "eval", "perplexity", "generate", "chat", "tokenize",
                                         "tasks", "render", "convert", "quantize", "imatrix",
                                         "synth", "inspect", "doctor"),
                         [](const auto& test) {
                           std::string name = *test.param == '\0' ? "reckon" : test.param;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST(Version, IsPrinted) {
  const ProcessResult result = RunReckon({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "reckon " RECKON_VERSION "\n");
}

TEST(Doctor, FindsTheKernelsGoodAndSaysSoInJsonToo) {
  const ProcessResult text = RunReckon({"doctor"});
  EXPECT_EQ(text.exit_code, 0) << text.out;
  EXPECT_THAT(text.out, HasSubstr("all good"));
  const Json forced = Output(RunReckon({"doctor", "--json"}, {{{"RECKON_ISA", "scalar"}}, "", 0}));
  EXPECT_EQ(forced["isa_in_use"], "scalar");
  EXPECT_EQ(forced["isa"][0], (Json{{"isa", "scalar"}, {"self_test", "passed"}}));
  EXPECT_EQ(forced["good"], true);
  EXPECT_GT(forced["memory_total_bytes"], 0);
}

TEST(Render, PrintsExactlyTheText) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "t.jinja",
                      "{% for m in messages %}\n<{{ m.role }}>{{ m.content }}\n{% endfor %}\n"
                      "{{ tools is none }} {{ strftime_now('%d %b %Y') }}");
  WriteFileAtomically(folder / "data.json",
                      R"({"messages": [{"role": "user", "content": "5 < 6 \u00e9"}]})");
  const ProcessResult result =
      RunReckon({"render", folder / "t.jinja", folder / "data.json", "--now", "2025-01-20"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "<user>5 < 6 \xC3\xA9\nTrue 20 Jan 2025");
  EXPECT_EQ(result.err, "");
}

TEST(Render, TakesTheTemplateAndTheTokensOfAModelFolder) {
  const TemporaryFolder folder;
  WriteFileAtomically(
      folder / "tokenizer_config.json",
      R"({"bos_token": {"content": "<s>"}, "chat_template": "{{ bos_token }}{{ x }}"})");
  WriteFileAtomically(folder / "data.json", R"({"x": [1, null]})");
  for (const std::string& source : {folder.path(), folder / "tokenizer_config.json"}) {
    EXPECT_EQ(RunReckon({"render", source, folder / "data.json"}).out, "<s>[1, None]");
  }
}

class OfAModel : public testing::Test {
 protected:
  void SetUp() override { WriteTinyModel(model_); }
  Json Generated(std::vector<std::string> more, const ProcessOptions& options = {}) {
    more.insert(more.begin(), {"generate", model_, "--json", "--max-new-tokens", "12"});
    return Output(RunReckon(more, options));
  }

  TemporaryFolder folder_;
  std::string model_ = folder_ / "model";
};

TEST_F(OfAModel, GenerateGivesTheSameTokensForTheSameSeedOnAnyThreads) {
  const std::vector<std::string> request = {"--prompt",      "p:01=", "--prompt", "1",
                                            "--num-samples", "3",     "--seed",   "7"};
  const Json a = Generated(request, {{{"RECKON_THREADS", "1"}}, "", 0});
  const Json b = Generated(request, {{{"RECKON_THREADS", "2"}}, "", 0});
  EXPECT_EQ(a["responses"], b["responses"]);
  ASSERT_EQ(a["responses"].size(), 6u);
  EXPECT_EQ(a["responses"][3]["prompt"], "1");
  for (const Json& response : a["responses"]) {
    const size_t tokens = response["token_ids"].size();
    EXPECT_EQ(response["logprobs"].size(), tokens);
    EXPECT_TRUE(tokens == 12 || response["finish"] == "stop");
    for (const Json& logprob : response["logprobs"]) EXPECT_LE(logprob, 0);
  }
  EXPECT_NE(a["responses"][0]["token_ids"], a["responses"][1]["token_ids"]);
  std::vector<std::string> other = request;
  other.back() = "8";
  EXPECT_NE(Generated(other)["responses"], a["responses"]);
}

TEST_F(OfAModel, GenerateRunsAGgufFileWithATokenizerBesideIt) {
  const std::string gguf = model_ + "/model.gguf";
  WriteGgufOf(*LoadModel(model_), gguf);
  const std::vector<std::string> more = {"--prompt", "p:01=", "--seed", "7"};
  const Json folder = Generated(more);
  model_ = gguf;
  EXPECT_EQ(Generated(more)["responses"], folder["responses"]);
}

TEST_F(OfAModel, GenerateReadsAFileOfPromptsAndPrintsALineEach) {
  WriteFileAtomically(folder_ / "prompts.txt", "p:0=\n\np:1=\n");
  const Json json = Generated({"--prompt-file", folder_ / "prompts.txt", "--temperature", "0"});
  const ProcessResult text =
      RunReckon({"generate", model_, "--prompt-file", folder_ / "prompts.txt", "--temperature", "0",
                 "--max-new-tokens", "12"});
  ASSERT_EQ(json["responses"].size(), 2u);
  EXPECT_EQ(text.out, json["responses"][0]["text"].get<std::string>() + "\n" +
                          json["responses"][1]["text"].get<std::string>() + "\n");
}

void ExpectShareWithInterval(const Json& score, const std::string& key) {
  ASSERT_TRUE(score.contains(key) && score.contains(key + "_ci95")) << score.dump();
  const double share = score[key], low = score[key + "_ci95"][0], high = score[key + "_ci95"][1];
  EXPECT_TRUE(0 <= low && low <= share && share <= high && high <= 1) << key << score.dump();
}

TEST_F(OfAModel, EvalGivesSharesWithIntervalsForEachTaskAndForAll) {
  WriteJsonFile(folder_ / "tasks.json",
                Json::parse(R"([{"name": "parity", "bits": 8}, {"name": "parity", "bits": 10}])"));
  const ProcessResult result =
      RunReckon({"eval", model_, "--tasks", folder_ / "tasks.json", "--problems", "10", "--samples",
                 "4", "--k", "2", "--max-new-tokens", "6", "--json"});
  const Json json = Output(result);
  ASSERT_EQ(json["tasks"].size(), 2u);
  EXPECT_EQ(json["problems"], 20);
  EXPECT_EQ(json["k"], 2);
  for (const Json& score : {json, json["tasks"][0], json["tasks"][1]}) {
    for (const char* key : {"pass1_greedy", "pass1_sampled", "pass_at_k", "maj_at_k"}) {
      ExpectShareWithInterval(score, key);
    }
    EXPECT_GT(score["mean_response_tokens"], 0);
  }
}

TEST_F(OfAModel, EvalIsTheSameOnAnyThreads) {
  const auto eval = [&](const char* threads) {
    Json json = Output(RunReckon({"eval", model_, "--task", R"({"name": "parity", "bits": 8})",
                                  "--problems", "8", "--max-new-tokens", "6", "--json"},
                                 {{{"RECKON_THREADS", threads}}, "", 0}));
    json.erase("seconds");
    return json;
  };
  EXPECT_EQ(eval("1"), eval("2"));
}

TEST(Tasks, AreListedWithAProblemEach) {
  const ProcessResult result = RunReckon({"tasks"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const std::string& name : TaskNames()) {
    EXPECT_THAT(result.out, testing::ContainsRegex("(^|\n)" + name + " +[a-z0-9]+:[^\n]*="));
  }
}

TEST(Tasks, PrintProblemsThatTheirOwnGraderCallsRight) {
  const std::string task = R"({"name": "addition", "digits": 3})";
  const Json problems = Output(RunReckon({"tasks", task, "--problems", "4", "--json"}));
  ASSERT_EQ(problems.size(), 4u);
  for (const Json& json : problems) {
    const Problem problem{json["task"], json["prompt"], json["reasoning"], json["answer"]};
    EXPECT_EQ(problem.prompt.size(), std::string("a:123+456=").size());
    EXPECT_TRUE(MakeTask(Json::parse(task), "task")->Grade(problem, problem.answer));
    EXPECT_EQ(SplitOf(problem), Split::kTrain);
  }
  EXPECT_EQ(Output(RunReckon({"tasks", task, "--problems", "4", "--json"})), problems);
  EXPECT_NE(Output(RunReckon({"tasks", task, "--problems", "4", "--seed", "1", "--json"})),
            problems);
}

TEST(Progress, OfAStageThatTheClockEndsIsByTheClock) {
  const TemporaryFolder folder;
  Json recipe = TinyRecipe();
  recipe["stages"].erase(2);
  recipe["stages"].erase(0);
  recipe["stages"][0]["steps"] = 3;
  recipe["stages"][0]["evaluate"] = false;
  recipe["stages"][0]["time_limit_s"] = 3600;
  const std::string path = WriteTinyRecipe(folder.path(), recipe);
  const ProcessResult result = RunReckon({"recipe", "run", path, "--out", folder / "out"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, testing::ContainsRegex("tuned +1 steps, 0:00/1:00:00"));
}

// The examples are tried on a tiny model, a step each.
TEST(Stages, ThatComeWithReckonAreTakenAsTheyAre) {
  const TemporaryFolder folder;
  WriteTinyModel(folder / "model");
  for (const char* command : {"sft", "rl"}) {
    const std::string name = command;
    Json stage = ReadJsonFile(RECKON_SOURCE_DIR "/configs/stages/" + name + ".json");
    stage["steps"] = 1;
    stage.erase("warmup_steps");
    stage.erase("eval_tasks");
    WriteJsonFile(folder / (name + ".json"), stage);
    const ProcessResult result = RunReckon(
        {command, folder / (name + ".json"), "--model", folder / "model", "--out", folder / name});
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
}

// Of the stage commands: pre-trains on a text from a config, then fine-tunes and goes on by GRPO.
TEST(Stages, RunOneAfterTheOtherFromFolderToFolder) {
  const TemporaryFolder folder;
  const Json recipe = TinyRecipe();
  WriteTinyRecipe(folder.path(), recipe);
  WriteTinyModel(folder / "tokens");
  WriteJsonFile(folder / "config.json", TinyModel());
  std::string model = folder / "config.json";
  const char* const commands[] = {"pretrain", "sft", "rl"};
  for (size_t i = 0; i < 3; ++i) {
    Json stage = recipe["stages"][i];
    stage.erase("name");
    stage.erase("kind");
    stage["steps"] = 2;
    if (i == 0) stage["data"] = recipe["stages"][1]["data"];
    if (i > 0) stage["eval_tasks"] = recipe["tasks"];
    WriteJsonFile(folder / "stage.json", stage);
    const std::string command = commands[i], out = folder / command;
    const ProcessResult result =
        RunReckon({command, folder / "stage.json", "--model", model, "--tokenizer",
                   folder / "tokens/tokenizer.json", "--out", out, "--json"});
    const Json summary = Output(result);
    EXPECT_EQ(summary["stages"][0]["name"], command);
    EXPECT_EQ(summary["stages"][0]["pass1_greedy"].is_number(), i > 0);
    model = out + "/" + command + "/model";
  }
}

}  // namespace
}  // namespace reckon
