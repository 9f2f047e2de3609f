// The printable character that stands for each byte in the vocabulary of a byte-level BPE, as GPT-2
// set it: printable Latin-1 bytes stand for themselves, the other 68 take U+0100 and up in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reckon {

uint32_t CodePointOfByte(uint8_t byte);
std::optional<uint8_t> ByteOfCodePoint(uint32_t code_point);

// "Ġthe" for " the".
std::string ToByteAlphabet(std::string_view bytes);
// The reverse; nothing where a character stands for no byte.
std::optional<std::string> FromByteAlphabet(std::string_view token);

}  // namespace reckon
