// Looking for marks in text that arrives in pieces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace reckon {

// The length of the longest end of `text` that `mark` begins with, shorter than the mark: what has
// to wait for the next piece.
inline size_t PartialMark(std::string_view text, std::string_view mark) {
  for (size_t length = std::min(text.size(), mark.size() - 1); length > 0; --length) {
    if (text.substr(text.size() - length) == mark.substr(0, length)) return length;
  }
  return 0;
}

inline bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// The length of the blanks that `text` ends in.
inline size_t TrailingBlanks(std::string_view text) {
  size_t length = 0;
  while (length < text.size() && IsBlank(text[text.size() - 1 - length])) ++length;
  return length;
}
inline size_t LeadingBlanks(std::string_view text) {
  size_t length = 0;
  while (length < text.size() && IsBlank(text[length])) ++length;
  return length;
}

}  // namespace reckon
