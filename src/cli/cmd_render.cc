// reckon render: what a chat template makes of data.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/templates.h"

namespace reckon {
namespace {

struct RenderCommand {
  std::string source, data, now;
};

void Execute(const RenderCommand& command) {
  const ChatTemplate chat = OpenTemplate(command.source, Json::object());
  Json data = ReadJsonFile(command.data);
  if (!data.is_object()) {
    Throw(ErrorKind::kInvalidArgument,
          command.data + ": expected an object of variables (messages, tools, ...)");
  }
  const jinja::CivilTime now =
      command.now.empty() ? jinja::LocalNow() : jinja::ParseCivilTime(command.now);
  const std::string text = chat.RenderVariables(std::move(data), now).text;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0) {
    Throw(ErrorKind::kIo, "standard output: cannot be written");
  }
}

}  // namespace

void RegisterRender(CLI::App& app, const GlobalOptions&, int& exit_code) {
  auto command = std::make_shared<RenderCommand>();
  CLI::App* sub =
      app.add_subcommand("render", "Print exactly what a chat template makes of messages");
  sub->add_option("template", command->source,
                  "A .jinja file, a tokenizer_config.json or a Hugging Face folder")
      ->required();
  sub->add_option(
         "data", command->data,
         "JSON object of variables: messages, tools, add_generation_prompt, bos_token, ...")
      ->required();
  sub->add_option("--now", command->now,
                  "The time that the template sees, as 2025-01-20T12:00:00 (default: now)");
  sub->footer(
      "Examples:\n"
      "  echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}],"
      " \"add_generation_prompt\": true}' > data.json\n"
      "  reckon render chat_template.jinja data.json\n"
      "  reckon render MODEL data.json --now 2025-01-20\n"
      "docs/templates.md says what templates may use.");
  sub->callback([command, &exit_code] {
    Execute(*command);
    exit_code = 0;
  });
}

}  // namespace reckon
