#include "text/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "text/pattern.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace reckon {
namespace {

// White space at the end of a text, in bytes. The text is looked at backwards, character by
// character.
size_t SpaceAtEnd(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1, length = 0;
    while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
    if ((CodePointFlags()[ValidCodePoint(text.data() + begin, length)] & kIsSpace) == 0) break;
    end = begin;
  }
  return text.size() - end;
}

size_t SpaceAtBegin(std::string_view text) {
  size_t at = 0;
  for (size_t length = 0; at < text.size(); at += length) {
    if ((CodePointFlags()[ValidCodePoint(text.data() + at, length)] & kIsSpace) == 0) break;
  }
  return at;
}

bool IsWord(std::string_view character) {
  static const Pattern word = Pattern::WordCharacter();
  bool found = false;
  word.ForEachMatch(character, [&](size_t, size_t) { found = true; });
  return found;
}

bool EndsWithWord(std::string_view text) {
  if (text.empty()) return false;
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return IsWord(text.substr(begin));
}

bool BeginsWithWord(std::string_view text) {
  return !text.empty() && IsWord(text.substr(0, FirstUtf8(text).length));
}

std::vector<std::pair<std::string_view, int32_t>> KeysOf(const std::vector<AddedToken>& tokens) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  for (size_t i = 0; i < tokens.size(); ++i) {
    Check(!tokens[i].content.empty(), "an added token has at least one byte");
    keys.emplace_back(tokens[i].content, static_cast<int32_t>(i));
  }
  return keys;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), trie_(KeysOf(tokens_)) {
  for (const AddedToken& token : tokens_) begins_[static_cast<uint8_t>(token.content[0])] = true;
  if (std::count(begins_.begin(), begins_.end(), true) == 1) {
    only_begin_ = static_cast<uint8_t>(tokens_[0].content[0]);
  }
}

size_t AddedTokens::NextBegin(std::string_view text, size_t at) const {
  if (only_begin_ >= 0) {
    const void* found = std::memchr(text.data() + at, only_begin_, text.size() - at);
    return found == nullptr ? text.size()
                            : static_cast<size_t>(static_cast<const char*>(found) - text.data());
  }
  while (at < text.size() && !begins_[static_cast<uint8_t>(text[at])]) ++at;
  return at;
}

void AddedTokens::Split(std::string_view text,
                        FunctionRef<void(std::string_view, size_t)> text_between,
                        FunctionRef<void(int32_t)> token) const {
  size_t begin = 0;      // of what was not given out yet
  size_t space_end = 0;  // of the white space that a token took along last
  for (size_t at = tokens_.empty() ? text.size() : 0; at < text.size();) {
    at = NextBegin(text, at);
    if (at == text.size()) break;
    const auto [length, index] = trie_.LongestPrefix(text.substr(at));
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken& found = tokens_[static_cast<size_t>(index)];
    size_t first = at, end = at + length;
    at = end;
    if (found.single_word &&
        (EndsWithWord(text.substr(0, first)) || BeginsWithWord(text.substr(end)))) {
      continue;
    }
    if (found.lstrip && first > begin) first -= SpaceAtEnd(text.substr(begin, first - begin));
    if (found.rstrip) {
      if (end >= space_end) space_end = end + SpaceAtBegin(text.substr(end));
      end = space_end;
    }
    if (begin < first) text_between(text.substr(begin, first - begin), begin);
    token(found.id);
    begin = end;
  }
  if (begin < text.size()) text_between(text.substr(begin), begin);
}

}  // namespace reckon
