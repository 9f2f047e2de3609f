// "Did you mean": the word that somebody may have meant to type.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace reckon {

// The candidate with the fewest insertions, deletions and replacements from `word`, the first among
// equals; empty if all are farther than two, or a third of the word's length, which is no typing
// mistake.
std::string Nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace reckon
