#include "cli/colour.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace reckon {

void AddColourOption(CLI::App& command, ColourChoice& choice) {
  const std::map<std::string, ColourChoice> names = {{"auto", ColourChoice::kAuto},
                                                     {"always", ColourChoice::kAlways},
                                                     {"never", ColourChoice::kNever}};
  CLI::CheckedTransformer transformer(names);
  transformer.description("{auto,always,never}");
  command.add_option("--color", choice, "Dim what is not the answer; NO_COLOR turns auto off")
      ->transform(transformer)
      ->type_name("")
      ->default_str("auto");
}

bool UseColours(ColourChoice choice) {
  if (choice != ColourChoice::kAuto) return choice == ColourChoice::kAlways;
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool wanted = no_color == nullptr || *no_color == '\0';
  const bool able = term != nullptr && std::string_view(term) != "dumb";
  return wanted && able && isatty(STDOUT_FILENO) != 0;
}

}  // namespace reckon
