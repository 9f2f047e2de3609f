#include "cli/text_windows.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "base/files.h"

namespace reckon {
namespace {

constexpr int64_t kDefaultContext = 512;

}  // namespace

void AddTextOptions(CLI::App& command, TextCommand& text) {
  command.add_option("--model", text.model, "Hugging Face folder or GGUF file")->required();
  command.add_option("--file", text.file, "The text")->required();
  command
      .add_option("--context", text.context,
                  "Tokens of a window, bos included; the model's, but at most 512, where left out")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--windows", text.windows, "The first so many only; all where left out")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
}

OpenedText OpenText(const TextCommand& command) {
  const std::string text = ReadFile(command.file);
  OpenedText opened{OpenSession(command.model), {}, {}};
  opened.ids = opened.session.tokenizer.Encode(text);
  opened.windows.context =
      command.context != 0 ? command.context : std::min(opened.session.context(), kDefaultContext);
  opened.windows.max_windows = command.windows;
  opened.windows.bos_token_id = opened.session.bos_token_id;
  return opened;
}

}  // namespace reckon
