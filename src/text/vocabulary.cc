#include "text/vocabulary.h"

#include <fmt/format.h>

#include <set>
#include <unordered_set>

#include "text/utf8.h"

namespace reckon {

Vocabulary ReadVocabulary(const Json& json, const std::string& where) {
  if (!json.is_object()) {
    Throw(ErrorKind::kCorrupt, where + ": expected an object of tokens and their ids");
  }
  Vocabulary vocabulary;
  vocabulary.reserve(json.size());
  std::unordered_set<int32_t> seen;
  seen.reserve(json.size());
  for (auto item = json.begin(); item != json.end(); ++item) {
    const Json& value = item.value();
    const int64_t number = value.is_number_integer() ? value.get<int64_t>() : -1;
    if (number < 0 || number > kMaxTokenId) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: token \"{}\" has the id {}", where, item.key(), value.dump()));
    }
    const auto id = static_cast<int32_t>(number);
    if (!seen.insert(id).second) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: id {} of token \"{}\" is taken", where, id, item.key()));
    }
    vocabulary.emplace(item.key(), id);
  }
  return vocabulary;
}

void CheckLargestId(int32_t largest_id, size_t num_tokens, const std::string& where) {
  if (largest_id >= 0 && static_cast<size_t>(largest_id) >= 4 * num_tokens + 65536) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: the largest id is {}, far above the {} tokens",
                                           where, largest_id, num_tokens));
  }
}

std::string KnownCharacters(const Vocabulary& vocabulary) {
  constexpr size_t kMost = 128;
  if (vocabulary.size() > kMost) return "";
  std::set<std::string> characters;
  for (const auto& [token, id] : vocabulary) {
    if (token.empty()) continue;
    const Utf8Step step = FirstUtf8(token);
    const bool one = step.state == Utf8State::kCharacter && step.length == token.size();
    if (one) characters.insert(token);
  }
  if (characters.empty()) return "";
  return fmt::format("; it knows the characters \"{}\"", fmt::join(characters, ""));
}

int ByteOfToken(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return -1;
  int byte = 0;
  for (char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    byte = byte * 16 + digit;
  }
  return byte;
}

std::string TokenOfByte(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace reckon
