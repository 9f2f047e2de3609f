#include "cli/usage.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <vector>

#include "base/nearest.h"

namespace reckon {
namespace {

// The commands that were named, outermost first.
std::vector<const CLI::App*> Chain(const CLI::App* app) {
  std::vector<const CLI::App*> chain = {app};
  while (!chain.back()->get_subcommands().empty()) {
    chain.push_back(chain.back()->get_subcommands().front());
  }
  return chain;
}

std::string CommandLine(const std::vector<const CLI::App*>& chain) {
  std::string line;
  for (const CLI::App* app : chain) line += (line.empty() ? "" : " ") + app->get_name();
  return line;
}

std::string Hint(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(word, candidates);
  return nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest);
}

std::vector<std::string> OptionNames(const std::vector<const CLI::App*>& chain) {
  std::vector<std::string> names;
  for (const CLI::App* app : chain) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::vector<std::string> CommandNames(const CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app->get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// "--seeed=3" without its value.
std::string OptionName(const std::string& word) { return word.substr(0, word.find('=')); }

std::string UnknownCommand(const std::vector<const CLI::App*>& chain, const std::string& word) {
  const std::vector<std::string> names = CommandNames(chain.back());
  std::string message = fmt::format("{}: there is no command \"{}\"", CommandLine(chain), word);
  const std::string hint = Hint(word, names);
  // A command that has but one of its own is not told from its argument by everybody.
  if (hint.empty() && names.size() == 1) {
    return message + fmt::format("; for a file: {} {} {}", CommandLine(chain), names[0], word);
  }
  return message + hint;
}

std::string Unexpected(const std::vector<const CLI::App*>& chain,
                       const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word.size() < 2 || word[0] != '-') continue;
    const std::string option = OptionName(word);
    return fmt::format("{}: unknown option {}{}", CommandLine(chain), option,
                       Hint(option, OptionNames(chain)));
  }
  std::string list;
  for (const std::string& word : words) list += fmt::format(" \"{}\"", word);
  return fmt::format("{}: not expected:{}", CommandLine(chain), list);
}

}  // namespace

std::string UsageMessage(const CLI::App* app, const CLI::Error& error) {
  const std::vector<const CLI::App*> chain = Chain(app);
  const std::vector<std::string> words = app->remaining(true);
  const bool lacks_command = !CommandNames(chain.back()).empty();
  std::string message = fmt::format("{}: {}", CommandLine(chain), error.what());
  if (lacks_command && !words.empty() && words[0][0] != '-') {
    message = UnknownCommand(chain, words[0]);
  } else if (!words.empty()) {
    message = Unexpected(chain, words);
  } else if (lacks_command && error.get_name() == "RequiredError") {
    message = fmt::format("{}: a subcommand is missing: {}", CommandLine(chain),
                          fmt::join(CommandNames(chain.back()), ", "));
  }
  return fmt::format("{}\n{} --help says more\n", message, CommandLine(chain));
}

}  // namespace reckon
