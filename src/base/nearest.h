// The known name that a mistyped one was meant to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reckon {

// The one that the fewest single-character edits lead to, where that may be a typing mistake; else
// one that `name` is the beginning of; else empty. Of equals the first.
std::string NearestName(std::string_view name, const std::vector<std::string>& known);

}  // namespace reckon
