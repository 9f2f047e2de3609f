// reckon chat: a conversation with a model, or texts for it to complete.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/chat_loop.h"
#include "cli/colour.h"
#include "cli/commands.h"
#include "cli/example_problem.h"
#include "cli/message_reader.h"
#include "cli/responder.h"
#include "cli/session.h"
#include "cli/state_folder.h"
#include "cli/templates.h"
#include "cost/flops.h"

namespace reckon {
namespace {

struct ChatCommand {
  std::string model, system, template_file;
  bool no_template = false, verbose = false;
  ColourChoice colour = ColourChoice::kAuto;
  SamplingParams sampling;
  uint64_t seed = 0;
  int64_t max_new_tokens = 4096;
  Precision precision = Precision::kF32;
};

// "1.8 billion"; small models are counted exactly.
std::string Counted(int64_t count) {
  const auto n = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.1f} billion", n / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} million", n / 1e6);
  return std::to_string(count);
}

void PrintBanner(const ChatCommand& command, const Session& session,
                 const std::optional<ChatTemplate>& chat) {
  const std::string parameters = Counted(CountParameters(session.model->config()).total);
  std::printf("%s: %s parameters, context %lld tokens\n", command.model.c_str(), parameters.c_str(),
              static_cast<long long>(session.context()));
  if (chat) {
    std::printf("Template: %s\n", chat->where().c_str());
  } else {
    std::printf("No chat template: each text you type is completed by itself.\n");
  }
  const std::vector<std::string> examples = ExampleProblems(command.model);
  if (!examples.empty()) {
    std::printf("It was trained on problems such as %s\n",
                fmt::format("{}", fmt::join(examples, "  ")).c_str());
  }
  std::printf("/help lists the commands. Ctrl-C ends an answer; Ctrl-D or /exit leaves.\n");
}

std::optional<ChatTemplate> TemplateFor(const ChatCommand& command) {
  if (command.no_template) return {};
  return OpenTemplateOfModel(command.model, command.template_file);
}

std::unique_ptr<LineSource> OpenLines(bool terminal) {
  if (!terminal) return OpenPlainLines(false);
  const std::string folder = StateFolder();
  auto editor = OpenLineEditor(folder.empty() ? "" : folder + "/chat_history");
  return editor != nullptr ? std::move(editor) : OpenPlainLines(true);
}

int RunChat(ChatCommand& command, const CLI::App& app, int threads) {
  const std::optional<ChatTemplate> chat = TemplateFor(command);
  Conversation conversation;
  if (!command.system.empty() && !chat) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("--system: {} is used without a chat template, so nothing carries a system "
                      "message; --template FILE gives one",
                      command.model));
  }
  conversation.SetSystem(command.system);
  const Session session = OpenSession(command.model);
  TakeGenerationDefaults(app, session.generation, command.sampling, command.max_new_tokens);
  const RuntimeOwner runtime(threads, command.precision);
  ChatView view;
  view.terminal = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  view.figures = view.terminal || command.verbose;
  view.colours = UseColours(command.colour);
  const ResponderOptions options{command.sampling, command.seed, command.max_new_tokens,
                                 view.colours};
  Responder responder(session, runtime.get(), chat, options);
  if (view.terminal) PrintBanner(command, session, chat);
  MessageReader reader(OpenLines(view.terminal), view.terminal);
  return ChatLoop(responder, reader, conversation, view).Run();
}

}  // namespace

void RegisterChat(CLI::App& app, const GlobalOptions& global, int& exit_code) {
  auto command = std::make_shared<ChatCommand>();
  CLI::App* sub = app.add_subcommand("chat", "Talk with a model at the terminal, or from a pipe");
  sub->add_option("model", command->model, "Hugging Face folder or GGUF file")->required();
  sub->add_option("--system", command->system, "System message");
  CLI::Option* file = sub->add_option(
      "--template", command->template_file,
      "Chat template to use for the model's own: .jinja file, tokenizer_config.json or folder");
  sub->add_flag("--no-template", command->no_template, "Complete each text as it is typed")
      ->excludes(file);
  AddSamplingOptions(*sub, command->sampling);
  sub->add_option("--seed", command->seed, "Same seed and lines, same answers")
      ->capture_default_str();
  sub->add_option("--max-new-tokens", command->max_new_tokens, "Of an answer, reasoning included")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  AddPrecisionOption(*sub, command->precision);
  AddColourOption(*sub, command->colour);
  sub->add_flag("--verbose", command->verbose,
                "Tokens, speed and reused prompt after each answer, also without a terminal");
  sub->footer(
      "A model with a chat template holds a conversation; without one each text is completed by\n"
      "itself. Sampling options that are not given come from generation_config.json.\n"
      "Examples:\n"
      "  reckon chat runs/first/grpo/model\n"
      "  reckon chat DeepSeek-R1-Distill-Qwen-1.5B --temperature 0.6 --system 'Be brief.'\n"
      "  reckon chat model.gguf --template chat_template.jinja\n"
      "  echo 's10:4711471147114711=' | reckon chat MODEL --temperature 0\n"
      "At the prompt, /help lists the commands; docs/chat.md says more.");
  sub->callback(
      [command, sub, &global, &exit_code] { exit_code = RunChat(*command, *sub, global.threads); });
}

}  // namespace reckon
