// Where what a user would like to find again lives between runs.
#pragma once

#include <string>

namespace reckon {

// $XDG_STATE_HOME/reckon, or ~/.local/state/reckon (XDG base directory specification 0.8), made
// where it is missing. Empty where there is no such place or it cannot be made.
std::string StateFolder();

}  // namespace reckon
