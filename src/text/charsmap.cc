#include "text/charsmap.h"

#include <fmt/format.h>

#include "base/error.h"
#include "text/pattern.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace reckon {
namespace {

// A unit's fields: what leads to it, whether a value hangs below it, where its children are.
uint32_t LabelOf(uint32_t unit) { return unit & ((1u << 31) | 0xFF); }
bool HasValue(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t OffsetOf(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t ValueOf(uint32_t unit) { return unit & ((1u << 31) - 1); }

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

uint32_t ReadWord(std::string_view bytes, size_t at) {
  uint32_t word = 0;
  for (size_t i = 0; i < 4; ++i) {
    word |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  }
  return word;
}

// Longer clusters are never looked up as a whole by Hugging Face's tokenizers.
constexpr size_t kMaxClusterBytes = 5;

}  // namespace

Charsmap Charsmap::FromBytes(std::string_view bytes, const std::string& where) {
  Charsmap map;
  if (bytes.empty()) return map;
  const size_t trie_bytes = bytes.size() < 4 ? 0 : ReadWord(bytes, 0);
  if (bytes.size() < 4 || trie_bytes > bytes.size() - 4 || trie_bytes % 4 != 0 || trie_bytes == 0) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: {} bytes cannot hold a trie of {} bytes", where,
                                           bytes.size(), trie_bytes));
  }
  for (size_t at = 4; at < 4 + trie_bytes; at += 4) map.units_.push_back(ReadWord(bytes, at));
  map.replacements_ = bytes.substr(4 + trie_bytes);
  if (ValidUtf8Prefix(map.replacements_).size() != map.replacements_.size()) {
    Throw(ErrorKind::kCorrupt, where + ": the replacements are not UTF-8");
  }
  return map;
}

std::string_view Charsmap::ReplacementAt(size_t offset) const {
  const std::string_view rest = std::string_view(replacements_).substr(offset);
  return rest.substr(0, rest.find('\0'));
}

template <typename Found>
void Charsmap::Walk(std::string_view text, Found found) const {
  if (units_.empty()) return;
  uint32_t node = OffsetOf(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || LabelOf(units_[node]) != byte) return;
    const uint32_t unit = units_[node];
    node ^= OffsetOf(unit);
    if (!HasValue(unit)) continue;
    if (node >= units_.size()) return;
    const uint32_t value = ValueOf(units_[node]);
    // A rule that cuts a character apart, on either side, is none.
    const bool whole = (i + 1 == text.size() || !IsContinuation(text[i + 1])) &&
                       value < replacements_.size() && !IsContinuation(replacements_[value]);
    if (whole && !found(i + 1, ReplacementAt(value))) return;
  }
}

std::pair<size_t, std::string_view> Charsmap::LongestPrefix(std::string_view text) const {
  std::pair<size_t, std::string_view> best = {0, ""};
  Walk(text, [&](size_t length, std::string_view replacement) {
    best = {length, replacement};
    return true;
  });
  return best;
}

std::pair<size_t, std::string_view> Charsmap::ShortestPrefix(std::string_view text) const {
  std::pair<size_t, std::string_view> best = {0, ""};
  Walk(text, [&](size_t length, std::string_view replacement) {
    best = {length, replacement};
    return false;
  });
  return best;
}

std::string Charsmap::ReplaceByClusters(std::string_view text) const {
  static const Pattern cluster = Pattern::Clusters();
  std::string out;
  out.reserve(text.size());
  cluster.ForEachMatch(text, [&](size_t begin, size_t end) {
    const std::string_view whole = text.substr(begin, end - begin);
    if (whole.size() <= kMaxClusterBytes) {
      const auto [length, replacement] = ShortestPrefix(whole);
      if (length > 0) {
        out += replacement;
        return;
      }
    }
    for (size_t at = 0, length = 0; at < whole.size(); at += length) {
      ValidCodePoint(whole.data() + at, length);
      const std::string_view character = whole.substr(at, length);
      const auto [matched, replacement] = ShortestPrefix(character);
      out += matched > 0 ? replacement : character;
    }
  });
  return out;
}

}  // namespace reckon
