#include "cli/colour.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "cli/choice_option.h"

namespace reckon {

void AddColourOption(CLI::App& command, ColourChoice& choice) {
  AddChoiceOption<ColourChoice>(command, "--color", choice,
                                {{"auto", ColourChoice::kAuto},
                                 {"always", ColourChoice::kAlways},
                                 {"never", ColourChoice::kNever}},
                                "Dim what is not the answer; NO_COLOR turns auto off");
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
