// reckon chat: problems typed at a terminal, answered as the tokens come.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/interrupt.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "text/streaming_decode.h"

namespace reckon {
namespace {

constexpr const char* kThinkingColour = "\033[2;36m";  // faint cyan
constexpr const char* kPlainColour = "\033[0m";

struct ChatCommand {
  std::string model;
  SamplingParams sampling;
  uint64_t seed = 0;
  int64_t max_new_tokens = 1024;
  Precision precision = Precision::kF32;
};

// Writes tokens as they come; on a terminal, what stands between <think> and </think> in a colour
// of its own.
class AnswerPrinter {
 public:
  AnswerPrinter(const Session& session, bool colours)
      : session_(session), decoder_(session.tokenizer), colours_(colours) {
    think_begin_ = session.tokenizer.TokenId("<think>");
    think_end_ = session.tokenizer.TokenId("</think>");
  }
  void Print(int32_t token) {
    if (token == session_.eos_token_id) return;
    if (token == think_begin_) Put(colours_ ? kThinkingColour : "");
    Put(decoder_.Push(token));
    if (token == think_end_) Put(colours_ ? kPlainColour : "");
    std::fflush(stdout);
  }
  void End() {
    Put(decoder_.Finish());
    Put(colours_ ? kPlainColour : "");
    Put("\n");
    std::fflush(stdout);
  }

 private:
  static void Put(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

  const Session& session_;
  StreamingDecoder decoder_;
  bool colours_;
  std::optional<int32_t> think_begin_, think_end_;
};

class Chat {
 public:
  Chat(const ChatCommand& command, int threads)
      : command_(command),
        session_(OpenSession(command.model)),
        runtime_(threads, command.precision),
        terminal_(isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0) {}

  void Loop() {
    if (terminal_) {
      std::printf(
          "A problem a line; /regen answers the last one again, /clear begins anew, /exit "
          "leaves. Ctrl-C ends an answer.\n");
    }
    std::string line;
    for (;;) {
      if (terminal_) {
        std::printf("> ");
        std::fflush(stdout);
      }
      if (!std::getline(std::cin, line) || line == "/exit") break;
      Handle(line);
    }
    if (terminal_ && !std::cin) std::printf("\n");
  }

 private:
  void Handle(const std::string& line) {
    if (line.empty()) return;
    if (line == "/clear") {
      problem_.clear();
      answers_ = 0;
      if (terminal_) std::printf("\033[2J\033[H");
    } else if (line == "/regen") {
      if (problem_.empty()) {
        std::printf("There is no problem to answer again.\n");
      } else {
        Answer();
      }
    } else if (line[0] == '/') {
      std::printf("Unknown command %s; there are /regen, /clear and /exit.\n", line.c_str());
    } else {
      problem_ = line;
      Answer();
    }
  }

  // A problem is answered by itself: these models are trained on single problems.
  void Answer() {
    GenerateRequest request;
    AnswerPrinter printer(session_, terminal_ && isatty(STDOUT_FILENO) != 0);
    GenerateOptions options;
    options.on_token = [&](int64_t, int32_t token) {
      printer.Print(token);
      return true;
    };
    try {
      request.prompt_ids = PromptTokens(session_, problem_);
      const auto room = session_.model->config().max_position_embeddings -
                        static_cast<int64_t>(request.prompt_ids.size());
      request.max_new_tokens = std::min(command_.max_new_tokens, std::max<int64_t>(1, room));
      request.sampling = command_.sampling;
      request.seed = command_.seed;
      request.stream = answers_++;
      if (session_.eos_token_id >= 0) request.stop_ids = {session_.eos_token_id};
      const GenerateResult result =
          Generate(runtime_.get(), *session_.model, {request}, options)[0];
      printer.End();
      if (result.finish == FinishReason::kLength) {
        std::printf("[cut off after %zu tokens]\n", result.token_ids.size());
      }
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInternal) throw;
      std::printf("%s\n", error.what());
    }
    if (Interrupted()) ClearInterrupt();
  }

  const ChatCommand& command_;
  Session session_;
  RuntimeOwner runtime_;
  bool terminal_;
  std::string problem_;
  uint64_t answers_ = 0;  // the stream of the next answer
};

}  // namespace

void RegisterChat(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto command = std::make_shared<ChatCommand>();
  CLI::App* sub = app.add_subcommand("chat", "Give a model problems at the terminal");
  sub->add_option("model", command->model, "Hugging Face folder")->required();
  AddSamplingOptions(*sub, command->sampling);
  sub->add_option("--seed", command->seed, "Same seed and lines, same answers")
      ->capture_default_str();
  sub->add_option("--max-new-tokens", command->max_new_tokens)
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  AddPrecisionOption(*sub, command->precision);
  sub->footer(
      "Examples:\n"
      "  reckon chat runs/first/grpo/model\n"
      "  echo 's10:4711471147114711=' | reckon chat MODEL --temperature 0");
  sub->callback([command, &global, &exit_code] {
    Chat(*command, global.threads).Loop();
    exit_code = 0;
  });
}

}  // namespace reckon
