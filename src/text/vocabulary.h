// Tokens and their ids.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "formats/json.h"

namespace reckon {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using Vocabulary = std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>>;

// -1 where there is none.
inline int32_t IdOf(const Vocabulary& vocabulary, std::string_view token) {
  const auto found = vocabulary.find(token);
  return found == vocabulary.end() ? -1 : found->second;
}

constexpr int32_t kMaxTokenId = (1 << 24) - 1;  // a hundred times the largest vocabulary in use

// Reads {"token": id, ...}; throws kCorrupt for an id out of range or used twice.
Vocabulary ReadVocabulary(const Json& json, const std::string& where);

// Tables have a place for each id up to the largest. So that a short file cannot ask for long
// tables, throws kCorrupt where the largest id is far above the number of tokens.
void CheckLargestId(int32_t largest_id, size_t num_tokens, const std::string& where);

// For a message of a small vocabulary that lacks a character: which ones there are, in order. Empty
// for one of more than 128 tokens, which nobody would read.
std::string KnownCharacters(const Vocabulary& vocabulary);

// The byte that a token like "<0x0A>" stands for, or -1.
int ByteOfToken(std::string_view token);
std::string TokenOfByte(uint8_t byte);

}  // namespace reckon
