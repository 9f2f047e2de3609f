// Whether to write colours, and which.
#pragma once

namespace CLI {
class App;
}

namespace reckon {

enum class ColourChoice { kAuto, kAlways, kNever };

inline constexpr const char* kDim = "\033[2m";
inline constexpr const char* kPlain = "\033[0m";

// --color auto|always|never
void AddColourOption(CLI::App& command, ColourChoice& choice);
// Auto: where standard output is a terminal that can, unless NO_COLOR is set (no-color.org).
bool UseColours(ColourChoice choice);

}  // namespace reckon
