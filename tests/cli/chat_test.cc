// reckon chat from a pipe and at a terminal, and generate --chat.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "base/files.h"
#include "formats/json.h"
#include "model/gguf_case.h"
#include "model/weights.h"
#include "tests/support/process.h"
#include "tests/support/terminal.h"
#include "tests/support/tiny_recipe.h"

namespace reckon {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kDim = "\033[2m";

Json Saved(const std::string& path) { return ReadJsonFile(path)["messages"]; }

// A model without a chat template.
class Completion : public testing::Test {
 protected:
  void SetUp() override { WriteTinyModel(model_); }
  ProcessResult Chat(const std::string& lines) {
    return RunReckon({"chat", model_, "--max-new-tokens", "8", "--seed", "3"}, {{}, lines, 0});
  }
  TemporaryFolder folder_;
  std::string model_ = folder_ / "model";
};

TEST_F(Completion, AnswersLinesEachByItselfAndObeysCommands) {
  const ProcessResult one = Chat("p:01=\n");
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_NE(one.out, "");
  EXPECT_EQ(one.out.find('\033'), std::string::npos) << "colours belong on a terminal";
  EXPECT_EQ(Chat("p:01=").out, one.out) << "the last line may lack its end";
  EXPECT_EQ(Chat("p:01=\n/exit\np:11=\n").out, one.out);
  EXPECT_EQ(Chat("p:01=\n/clear\np:01=\n").out, one.out + one.out);
  const ProcessResult again = Chat("p:01=\n/regen\n");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out.substr(0, one.out.size()), one.out);
  EXPECT_GT(again.out.size(), one.out.size());
  EXPECT_NE(again.out, one.out + one.out) << "/regen draws anew";
  EXPECT_EQ(Chat("").exit_code, 0);
}

TEST_F(Completion, ALineThatFailsIsReportedAndTheOthersAreAnswered) {
  const ProcessResult good = Chat("p:01=\n");
  const ProcessResult result =
      Chat("hello\n/what\n/sav x\n/regen\n/save\n/exit now\n\xff\np:01=\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, good.out);
  for (const char* error : {"h", "/what is no command;", "/sav is no command, did you mean /save?",
                            "no message to answer again", "/save needs a file",
                            "/exit takes nothing", "byte 0 (0xff)"}) {
    EXPECT_THAT(result.err, HasSubstr(error));
  }
}

TEST_F(Completion, SavesReasoningApartFromTheAnswer) {
  const std::string path = folder_ / "saved.json";
  // Some seeds make the model think.
  for (int seed = 0; seed < 200; ++seed) {
    const ProcessResult result =
        RunReckon({"chat", model_, "--max-new-tokens", "20", "--seed", std::to_string(seed)},
                  {{}, "p:01=\n/save " + path + "\n", 0});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json answer = Saved(path)[1];
    if (!result.out.starts_with("<think>")) {
      EXPECT_FALSE(answer.contains("reasoning_content"));
      EXPECT_EQ(answer["content"].get<std::string>() + "\n", result.out);
      continue;
    }
    const size_t end = result.out.find("</think>");
    if (end == std::string::npos || end == 7) continue;
    EXPECT_EQ(answer["reasoning_content"], result.out.substr(7, end - 7));
    EXPECT_EQ(answer["content"].get<std::string>() + "\n", result.out.substr(end + 8));
    return;
  }
  FAIL() << "no seed made the model think";
}

TEST_F(Completion, HasNoSystemMessage) {
  const ProcessResult option = RunReckon({"chat", model_, "--system", "x"});
  EXPECT_EQ(option.exit_code, 2);
  EXPECT_THAT(option.err, HasSubstr("--template"));
  EXPECT_THAT(Chat("/system x\n").err, HasSubstr("no chat template"));
  const ProcessResult generate = RunReckon({"generate", model_, "--prompt", "1", "--chat"});
  EXPECT_EQ(generate.exit_code, 1);
  EXPECT_THAT(generate.err, HasSubstr("no chat template"));
}

// A model with a chat template that opens the reasoning.
class Conversing : public testing::Test {
 protected:
  void SetUp() override { WriteTinyChatModel(model_); }
  ProcessResult Chat(const std::string& lines, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"chat", model_, "--max-new-tokens", "30", "--seed", "3"});
    return RunReckon(more, {{}, lines, 0});
  }
  Json Generated(std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", model_, "--json", "--seed", "3"});
    const ProcessResult result = RunReckon(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return ParseJson(result.out, "standard output")["responses"][0];
  }

  TemporaryFolder folder_;
  std::string model_ = folder_ / "model", saved_ = folder_ / "saved.json";
};

TEST_F(Conversing, SendsTheTextThatTheTemplateMakes) {
  const std::string prompt = "[system]Be brief.[user]Hi[assistant]<think>\n";
  const Json plain = Generated({"--prompt", prompt, "--max-new-tokens", "30"});
  const Json chat =
      Generated({"--chat", "--system", "Be brief.", "--prompt", "Hi", "--max-new-tokens", "30"});
  EXPECT_EQ(chat["token_ids"], plain["token_ids"]);
  EXPECT_FALSE(plain.contains("content"));
  const ProcessResult result = Chat("/system Be brief.\nHi\n/save " + saved_ + "\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json messages = Saved(saved_);
  EXPECT_EQ(messages[0], (Json{{"role", "system"}, {"content", "Be brief."}}));
  EXPECT_EQ(messages[1], (Json{{"role", "user"}, {"content", "Hi"}}));
  EXPECT_EQ(messages[2].value("reasoning_content", ""), chat["reasoning_content"]);
  EXPECT_EQ(messages[2]["content"], chat["content"]);
  EXPECT_EQ(Chat("Hi\n", {"--system", "Be brief."}).out, result.out);
}

TEST_F(Conversing, GenerateTellsReasoningFromContent) {
  const Json response = Generated({"--chat", "--prompt", "Hi", "--max-new-tokens", "2000"});
  const std::string text = response["text"];
  const size_t end = text.find("</think>");
  ASSERT_NE(end, std::string::npos) << "2000 draws among 100 tokens have one";
  const std::string reasoning = response["reasoning_content"], content = response["content"];
  EXPECT_THAT(text.substr(0, end), HasSubstr(reasoning));
  EXPECT_TRUE(text.ends_with(content));
  EXPECT_GT(reasoning.size(), 0u);
  EXPECT_GT(content.size(), 0u);
  const ProcessResult shown = RunReckon(
      {"generate", model_, "--seed", "3", "--chat", "--prompt", "Hi", "--max-new-tokens", "2000"});
  EXPECT_EQ(shown.out, "<think>\n" + reasoning + "\n</think>\n\n" + content + "\n");
}

TEST_F(Conversing, RemembersTheTurnsAndFeedsTheirBeginOnce) {
  const ProcessResult result = Chat("Hi\nAnd?\n/save " + saved_ + "\n", {"--verbose"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json messages = Saved(saved_);
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[2]["content"], "And?");
  // <bos>[user]Hi[assistant]<think>\n, a character a token but for <bos> and <think>.
  EXPECT_THAT(result.err, HasSubstr("prompt 22 tokens, 0 of them reused"));
  // The second prompt departs from what was fed at the dropped <think>.
  EXPECT_THAT(result.err, HasSubstr(", 20 of them reused"));
}

TEST_F(Conversing, ReadsFilesAndForgetsOnDemand) {
  WriteFileAtomically(folder_ / "notes.txt", "two\nlines");
  const std::string read = "/read " + (folder_ / "notes.txt") + "\n";
  ASSERT_EQ(
      Chat("/system s\na\n/clear\n" + read + "b\n" + read + "/save " + saved_ + "\n").exit_code, 0);
  Json messages = Saved(saved_);
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0]["role"], "system");
  EXPECT_EQ(messages[1]["content"], "two\nlines\n\nb");
  const ProcessResult last = Chat(read), missing = Chat("/read nothing.txt\n");
  EXPECT_NE(last.out, "") << "a file that nothing follows is a message";
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("nothing.txt"));
}

TEST_F(Conversing, TakesSamplingAndEndsFromGenerationConfig) {
  const std::string greedy = Chat("Hi\n", {"--temperature", "0"}).out;
  EXPECT_NE(Chat("Hi\n").out, greedy);
  WriteJsonFile(model_ + "/generation_config.json", {{"do_sample", false}});
  EXPECT_EQ(Chat("Hi\n").out, greedy);
  EXPECT_NE(Chat("Hi\n", {"--temperature", "1"}).out, greedy) << "a flag counts more";
  Json ends = Json::array();
  for (int id = 10; id < 60; ++id) ends.push_back(id);
  WriteJsonFile(model_ + "/generation_config.json", {{"eos_token_id", ends}});
  const Json response = Generated({"--prompt", "Hi", "--max-new-tokens", "2000"});
  EXPECT_EQ(response["finish"], "stop");
  const int last = response["token_ids"].back();
  EXPECT_TRUE(10 <= last && last < 60) << last;
}

TEST_F(Conversing, TakesTheTemplateOfAGgufFileOrOfAnOption) {
  const std::string source = ReadJsonFile(model_ + "/tokenizer_config.json")["chat_template"];
  // The vocabulary lies beside the file, without names for its special tokens.
  const std::string written = "<bos>" + source.substr(source.find("{%"));
  const std::string folder = model_, expected = Chat("Hi\n").out;
  model_ = folder + "/model.gguf";
  WriteGgufOf(*LoadModel(folder), model_, written);
  EXPECT_EQ(Chat("Hi\n").out, expected);
  WriteFileAtomically(folder_ / "other.jinja", "[{{ messages[0].content }}]");
  const ProcessResult other = Chat("Hi\n", {"--template", folder_ / "other.jinja"});
  EXPECT_EQ(other.exit_code, 0) << other.err;
  EXPECT_NE(other.out, expected);
  model_ = folder;
  EXPECT_EQ(Chat("Hi\n", {"--template", folder_ / "other.jinja"}).out, other.out);
  EXPECT_NE(Chat("Hi\n", {"--no-template"}).out, expected);
}

TEST_F(Conversing, SaysWhatToDoWhenTheContextIsFull) {
  Json config = ReadJsonFile(model_ + "/config.json");
  config["max_position_embeddings"] = 60;
  WriteJsonFile(model_ + "/config.json", config);
  const ProcessResult result = Chat(std::string(70, 'a') + "\nHi\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("context of 60; /clear"));
  EXPECT_EQ(result.out, Chat("Hi\n").out) << "the message that failed is taken back";
}

class AtATerminal : public Conversing {
 protected:
  // Answers of so many tokens go on until they are ended.
  static constexpr const char* kEndless = "100000";

  std::vector<std::string> Command(const std::string& tokens) const {
    return {"chat", model_, "--max-new-tokens", tokens};
  }
  std::vector<std::pair<std::string, std::string>> State() const {
    return {{"XDG_STATE_HOME", folder_ / "state"}};
  }
  // Types a line at the prompt and waits until its answer is done.
  static void Ask(Terminal& terminal, const std::string& line) {
    terminal.Type(line + "\r");
    terminal.Expect("reused]");
    terminal.Expect("> ");
  }
  Json SavedBy(Terminal& terminal) {
    terminal.Type("/save " + saved_ + "\r");
    terminal.Expect("[saved to");
    terminal.Expect("> ");
    return Saved(saved_);
  }
};

TEST_F(AtATerminal, TheBannerSaysWhatIsOpenAndHowToLeave) {
  Terminal terminal(Command("8"), State());
  const std::string banner = terminal.Expect("> ");
  EXPECT_THAT(banner, HasSubstr(model_));
  EXPECT_THAT(banner, HasSubstr("parameters, context 131072 tokens"));
  EXPECT_THAT(banner, HasSubstr("Template: " + model_ + "/tokenizer_config.json"));
  EXPECT_THAT(banner, HasSubstr("Ctrl-D"));
  terminal.Type(kCtrlD);
  EXPECT_EQ(terminal.Wait(), 0);
}

TEST_F(AtATerminal, TheBannerShowsProblemsOfTheRunThatTrainedTheModel) {
  const auto banner = [&](const Json& file) {
    WriteJsonFile(folder_ / "run/recipe.json", file);
    return Terminal({"chat", folder_ / "run/grpo/model/"}, State()).Expect("> ");
  };
  WriteTinyModel(folder_ / "run/grpo/model");
  const Json task = {{"name", "parity"}, {"bits", 8}};
  const std::string shown = banner({{"recipe", {{"tasks", Json::array({task})}}}});
  EXPECT_THAT(shown, testing::ContainsRegex("problems such as p:[01]+="));
  EXPECT_THAT(shown, HasSubstr("No chat template"));
  for (const Json& other : {Json{{"recipe", {{"tasks", {{{"name", "unheard of"}}}}}}},
                            Json{{"recipe", Json::object()}}}) {
    EXPECT_THAT(banner(other), Not(HasSubstr("such as")));
  }
}

TEST_F(AtATerminal, CtrlCEndsAnAnswerAndKeepsWhatThereIs) {
  Terminal terminal(Command(kEndless), State());
  terminal.Expect("> ");
  terminal.Type("hello\r");
  terminal.Expect("hello");
  terminal.ExpectBytes(100);
  terminal.Type(kCtrlC);
  terminal.Expect("[ended by Ctrl-C");
  terminal.Expect("> ");
  Json messages = SavedBy(terminal);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_NE(messages[1].value("reasoning_content", "") + messages[1]["content"].get<std::string>(),
            "");
  terminal.Type("again\r");
  terminal.Expect("again");
  terminal.ExpectBytes(100);
  terminal.Type(kCtrlC);
  terminal.Expect("[ended by Ctrl-C");
  terminal.Expect("> ");
  messages = SavedBy(terminal);
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[2]["content"], "again");
  terminal.Type("/exit\r");
  EXPECT_EQ(terminal.Wait(), 0);
}

TEST_F(AtATerminal, SigtermEndsTheProgramDuringAnAnswerAndAtThePrompt) {
  Terminal answering(Command(kEndless), State());
  answering.Expect("> ");
  answering.Type("hello\r");
  answering.Expect("hello");
  answering.ExpectBytes(100);
  answering.Signal(SIGTERM);
  EXPECT_EQ(answering.Wait(), 130);
  Terminal waiting(Command("8"), State());
  waiting.Expect("> ");
  waiting.Signal(SIGTERM);
  EXPECT_EQ(waiting.Wait(), 130);
}

TEST_F(AtATerminal, CtrlCEndsGenerateWithAnExitCodeThatSaysSo) {
  Terminal terminal({"generate", model_, "--prompt", "hello", "--max-new-tokens", kEndless});
  terminal.ExpectBytes(100);
  terminal.Type(kCtrlC);
  EXPECT_EQ(terminal.Wait(), 130);
}

TEST_F(AtATerminal, CtrlCAtThePromptClearsTheLineAndASecondOneLeaves) {
  Terminal terminal(Command("8"), State());
  terminal.Expect("> ");
  terminal.Type("abc");
  terminal.Expect("c");
  terminal.Type(kCtrlC);
  terminal.Expect("[Ctrl-C again leaves");
  terminal.Expect("> ");
  Ask(terminal, "def");
  EXPECT_EQ(SavedBy(terminal)[0]["content"], "def");
  terminal.Type(kCtrlC);
  terminal.Expect("[Ctrl-C again leaves");
  terminal.Expect("> ");
  terminal.Type(kCtrlC);
  EXPECT_EQ(terminal.Wait(), 0);
}

TEST_F(AtATerminal, RegenAnswersAnewAndClearForgets) {
  Terminal terminal(Command("8"), State());
  terminal.Expect("> ");
  Ask(terminal, "hello");
  const Json first = SavedBy(terminal);
  Ask(terminal, "/regen");
  const Json second = SavedBy(terminal);
  ASSERT_EQ(second.size(), 2u);
  EXPECT_EQ(second[0], first[0]);
  EXPECT_NE(second[1], first[1]);
  terminal.Type("/clear\r");
  terminal.Expect("[a new conversation]");
  terminal.Expect("> ");
  Ask(terminal, "hello");
  EXPECT_EQ(SavedBy(terminal), first) << "a new conversation draws as the first did";
}

TEST_F(AtATerminal, MessagesMayHaveSeveralLinesAndComeFromFiles) {
  WriteFileAtomically(folder_ / "notes.txt", "from a file");
  Terminal terminal(Command("8"), State());
  terminal.Expect("> ");
  terminal.Type("one\\\r");
  terminal.Expect(". ");
  Ask(terminal, "two");
  terminal.Type("\"\"\"\r");
  terminal.Expect(". ");
  terminal.Type("/exit\r");
  terminal.Expect(". ");
  Ask(terminal, "b\"\"\"");
  terminal.Type("/read " + (folder_ / "notes.txt") + "\r");
  terminal.Expect("11 bytes");
  terminal.Expect("> ");
  Ask(terminal, "c");
  const Json messages = SavedBy(terminal);
  ASSERT_EQ(messages.size(), 6u);
  EXPECT_EQ(messages[0]["content"], "one\ntwo");
  EXPECT_EQ(messages[2]["content"], "/exit\nb");
  EXPECT_EQ(messages[4]["content"], "from a file\n\nc");
}

TEST_F(AtATerminal, ArrowKeysFindLinesOfEarlierRuns) {
  if (!RECKON_EDITS_LINES) GTEST_SKIP() << "built without libedit";
  {
    Terminal terminal(Command("8"), State());
    terminal.Expect("> ");
    Ask(terminal, "the first line");
    terminal.Type("/exit\r");
    EXPECT_EQ(terminal.Wait(), 0);
  }
  Terminal terminal(Command("8"), State());
  terminal.Expect("> ");
  terminal.Type(std::string(kArrowUp) + kArrowUp);
  terminal.Expect("first line");
  Ask(terminal, "");
  EXPECT_EQ(SavedBy(terminal)[0]["content"], "the first line");
}

TEST_F(AtATerminal, ReasoningIsDimUnlessColoursAreUnwanted) {
  const auto answer = [&](std::vector<std::pair<std::string, std::string>> environment,
                          const std::vector<std::string>& more) {
    for (auto& entry : State()) environment.push_back(entry);
    std::vector<std::string> command = Command("8");
    command.insert(command.end(), more.begin(), more.end());
    Terminal terminal(command, environment);
    terminal.Expect("> ");
    terminal.Type("hello\r");
    return terminal.Expect("reused]");
  };
  EXPECT_THAT(answer({}, {}), HasSubstr(kDim));
  EXPECT_THAT(answer({}, {}), Not(HasSubstr("<think>")));
  EXPECT_THAT(answer({{"NO_COLOR", "1"}}, {}), Not(HasSubstr(kDim)));
  EXPECT_THAT(answer({{"NO_COLOR", "1"}}, {}), HasSubstr("<think>"));
  EXPECT_THAT(answer({{"NO_COLOR", "1"}}, {"--color", "always"}), HasSubstr(kDim));
  EXPECT_THAT(answer({}, {"--color", "never"}), Not(HasSubstr(kDim)));
}

TEST_F(AtATerminal, WithoutAnEditorLinesAreReadPlainly) {
  auto environment = State();
  environment.emplace_back("TERM", "dumb");
  Terminal terminal(Command("8"), environment);
  terminal.Expect("> ");
  terminal.Type("abc");
  terminal.Type(kCtrlC);
  terminal.Expect("[Ctrl-C again leaves");
  terminal.Expect("> ");
  Ask(terminal, "def");
  EXPECT_EQ(SavedBy(terminal)[0]["content"], "def");
  terminal.Type(kCtrlD);
  EXPECT_EQ(terminal.Wait(), 0);
}

TEST_F(AtATerminal, AnErrorDoesNotEndTheConversation) {
  Terminal terminal(Command("8"), State());
  terminal.Expect("> ");
  terminal.Type("/hlep\r");
  terminal.Expect("did you mean /help?");
  terminal.Expect("> ");
  terminal.Type("/help\r");
  EXPECT_THAT(terminal.Expect("Ctrl-D leaves"), HasSubstr("/regen"));
  terminal.Expect("> ");
  terminal.Type("/exit\r");
  EXPECT_EQ(terminal.Wait(), 0);
}

}  // namespace
}  // namespace reckon
