// The known name that a mistyped one was meant to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reckon {

// The one that the fewest single-character edits lead to; empty where all are too far off to be
// typing mistakes. Of equals the first.
std::string NearestName(std::string_view name, const std::vector<std::string>& known);

}  // namespace reckon
