// UTF-8 one character at a time (RFC 3629: no surrogates, no overlong forms, up to U+10FFFF).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reckon {

enum class Utf8State {
  kCharacter,   // `length` bytes are `code_point`
  kIncomplete,  // the text ends within a character; `length` bytes of it are there
  kInvalid,     // the first `length` bytes begin no character (U+FFFD stands for them)
};

struct Utf8Step {
  Utf8State state = Utf8State::kInvalid;
  size_t length = 0;
  uint32_t code_point = 0;
};

// Looks at the first character of a text that is not empty. Of ill-formed bytes it takes the
// longest part that could have begun a character, so that replacement agrees with Python and
// browsers (Unicode standard 15.0, section 3.9, "U+FFFD Substitution of Maximal Subparts").
Utf8Step FirstUtf8(std::string_view text);

void AppendUtf8(uint32_t code_point, std::string& text);

// The longest prefix that is well formed.
std::string_view ValidUtf8Prefix(std::string_view text);

}  // namespace reckon
