#include "text/byte_alphabet.h"

#include <array>

#include "text/utf8.h"

namespace reckon {
namespace {

constexpr bool StandsForItself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<uint16_t, 256> code_point_of{};
  std::array<int16_t, 512> byte_of{};
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.byte_of) byte = -1;
  uint16_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint16_t code_point = StandsForItself(byte) ? static_cast<uint16_t>(byte) : next++;
    alphabet.code_point_of[byte] = code_point;
    alphabet.byte_of[code_point] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();

}  // namespace

uint32_t CodePointOfByte(uint8_t byte) { return kAlphabet.code_point_of[byte]; }

std::optional<uint8_t> ByteOfCodePoint(uint32_t code_point) {
  if (code_point >= kAlphabet.byte_of.size() || kAlphabet.byte_of[code_point] < 0) return {};
  return static_cast<uint8_t>(kAlphabet.byte_of[code_point]);
}

std::string ToByteAlphabet(std::string_view bytes) {
  std::string token;
  token.reserve(bytes.size() + 4);
  for (char c : bytes) AppendUtf8(CodePointOfByte(static_cast<uint8_t>(c)), token);
  return token;
}

std::optional<std::string> FromByteAlphabet(std::string_view token) {
  std::string bytes;
  while (!token.empty()) {
    const Utf8Step step = FirstUtf8(token);
    if (step.state != Utf8State::kCharacter) return {};
    const std::optional<uint8_t> byte = ByteOfCodePoint(step.code_point);
    if (!byte) return {};
    bytes += static_cast<char>(*byte);
    token.remove_prefix(step.length);
  }
  return bytes;
}

}  // namespace reckon
