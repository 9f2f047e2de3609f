// Properties of characters: Unicode 16.0 (for normalisation 9.0, see normal_forms.h), from tables
// in the sources, so that a text has the same tokens on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reckon {

enum CodePointFlag : uint8_t {
  kIsLetter = 1,       // general category L
  kIsMark = 2,         // M
  kIsNumber = 4,       // N
  kIsPunctuation = 8,  // P
  kIsSymbol = 16,      // S
  kIsSpace = 32,       // the property White_Space
  // Canonical composition neither changes the character nor joins it to one before.
  kIsNfcInert = 64,
  kIsHanOrKana = 128,  // U+3040..30FF, U+4E00..9FA5: what DeepSeek-V3's pre-tokenizer sets apart
};

// One byte of CodePointFlag for each of the 0x110000 code points.
const uint8_t* CodePointFlags();

// The simple lower case; the character itself where there is none. U+0130, the one character whose
// lower case takes two, is left to the caller.
uint32_t SimpleLowercase(uint32_t code_point);

// The character that begins at `at` of well-formed UTF-8.
inline uint32_t ValidCodePoint(const char* at, size_t& length) {
  const auto byte = [&](int i) { return static_cast<uint32_t>(static_cast<uint8_t>(at[i])); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) {
    length = 1;
    return lead;
  }
  if (lead < 0xE0) {
    length = 2;
    return (lead & 0x1F) << 6 | (byte(1) & 0x3F);
  }
  if (lead < 0xF0) {
    length = 3;
    return (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
  }
  length = 4;
  return (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
}

}  // namespace reckon
