// For tests: the beginning of a byte-level vocabulary.
#pragma once

#include <string>
#include <vector>

#include "text/byte_alphabet.h"

namespace reckon {

// Token b is byte b.
inline std::vector<std::string> ByteTokens() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(ToByteAlphabet(std::string(1, static_cast<char>(byte))));
  }
  return tokens;
}

}  // namespace reckon
