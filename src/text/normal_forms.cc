#include "text/normal_forms.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "text/unicode.h"
#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace reckon {
namespace {

// Hangul syllables are composed by arithmetic (Unicode standard, section 3.12).
constexpr uint32_t kSyllables = 0xAC00, kLeading = 0x1100, kVowels = 0x1161, kTrailing = 0x11A7;
constexpr uint32_t kNumLeading = 19, kNumVowels = 21, kNumTrailing = 28,
                   kNumSyllables = kNumLeading * kNumVowels * kNumTrailing;

using Mapping = std::span<const uint32_t>;
struct Mappings {
  std::unordered_map<uint32_t, Mapping> canonical, compatible;
  std::unordered_map<uint64_t, uint32_t> composed;  // first << 32 | second
};

void Read(std::span<const uint32_t> table, std::unordered_map<uint32_t, Mapping>& mappings) {
  for (size_t i = 0; i < table.size(); i += 1 + (table[i] >> 23)) {
    mappings.emplace(table[i] & 0x1FFFFF, table.subspan(i + 1, table[i] >> 23));
  }
}

const Mappings& GetMappings() {
  static const Mappings mappings = [] {
    Mappings made;
    Read(kCanonicalDecompositions, made.canonical);
    Read(kCompatibleDecompositions, made.compatible);
    const std::span<const uint32_t> table = kCanonicalDecompositions;
    for (size_t i = 0; i < table.size(); i += 1 + (table[i] >> 23)) {
      if ((table[i] >> 22 & 1) == 0) continue;
      made.composed.emplace(uint64_t{table[i + 1]} << 32 | table[i + 2], table[i] & 0x1FFFFF);
    }
    return made;
  }();
  return mappings;
}

uint32_t CombiningClass(uint32_t code_point) {
  const auto above =
      std::upper_bound(kCombiningRuns.begin(), kCombiningRuns.end(), code_point << 8 | 0xFF);
  return above == kCombiningRuns.begin() ? 0 : *std::prev(above) & 0xFF;
}

// Down to characters without a decomposition: the database gives one step.
void Decompose(uint32_t code_point, bool compatible, std::vector<uint32_t>& out) {
  if (code_point - kSyllables < kNumSyllables) {
    const uint32_t index = code_point - kSyllables, trailing = index % kNumTrailing;
    out.push_back(kLeading + index / (kNumVowels * kNumTrailing));
    out.push_back(kVowels + index % (kNumVowels * kNumTrailing) / kNumTrailing);
    if (trailing != 0) out.push_back(kTrailing + trailing);
    return;
  }
  const auto find = [&](const std::unordered_map<uint32_t, Mapping>& mappings) {
    const auto found = mappings.find(code_point);
    return found == mappings.end() ? Mapping() : found->second;
  };
  const Mappings& mappings = GetMappings();
  Mapping mapping = code_point < 0xA0 ? Mapping() : find(mappings.canonical);
  if (mapping.empty() && compatible && code_point >= 0xA0) mapping = find(mappings.compatible);
  if (mapping.empty()) out.push_back(code_point);
  for (uint32_t part : mapping) Decompose(part, compatible, out);
}

// Puts each run of combining marks in the order of their classes.
void Reorder(std::vector<uint32_t>& text) {
  std::vector<std::pair<uint32_t, uint32_t>> run;
  for (size_t begin = 0; begin < text.size();) {
    run.clear();
    size_t end = begin;
    for (; end < text.size(); ++end) {
      const uint32_t combining = CombiningClass(text[end]);
      if (combining == 0) break;
      run.emplace_back(combining, text[end]);
    }
    std::stable_sort(run.begin(), run.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < run.size(); ++i) text[begin + i] = run[i].second;
    begin = end + 1;
  }
}

// 0 where the two do not compose.
uint32_t ComposePair(uint32_t first, uint32_t second) {
  if (first - kLeading < kNumLeading && second - kVowels < kNumVowels) {
    return kSyllables + ((first - kLeading) * kNumVowels + second - kVowels) * kNumTrailing;
  }
  const uint32_t index = first - kSyllables, trailing = second - kTrailing;
  if (index < kNumSyllables && index % kNumTrailing == 0 && trailing - 1 < kNumTrailing - 1) {
    return first + trailing;
  }
  const auto& composed = GetMappings().composed;
  const auto found = composed.find(uint64_t{first} << 32 | second);
  return found == composed.end() ? 0 : found->second;
}

void Compose(std::vector<uint32_t>& text) {
  size_t out = 0, starter = text.size();  // no starter yet
  uint32_t previous_class = 0;
  for (const uint32_t code_point : text) {
    const uint32_t combining = CombiningClass(code_point);
    // Blocked by a mark of the same or a higher class, or by a starter in between.
    const bool adjacent = starter < text.size() && starter + 1 == out;
    const bool reachable = starter < text.size() && (adjacent || previous_class < combining);
    const uint32_t joined = reachable ? ComposePair(text[starter], code_point) : 0;
    if (joined != 0) {
      text[starter] = joined;
      continue;
    }
    if (combining == 0) starter = out;
    previous_class = combining;
    text[out++] = code_point;
  }
  text.resize(out);
}

void AppendNormalized(std::string_view text, NormalForm form, std::string& out) {
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  std::vector<uint32_t> characters;
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    Decompose(ValidCodePoint(text.data() + at, length), compatible, characters);
  }
  Reorder(characters);
  if (form == NormalForm::kNfc || form == NormalForm::kNfkc) Compose(characters);
  for (uint32_t code_point : characters) AppendUtf8(code_point, out);
}

}  // namespace

std::string Normalized(std::string_view text, NormalForm form) {
  // Inert characters stay as they are and bound what the others can reach: ASCII in every form, and
  // most others in NFC. One inert character together with the others that follow it is a segment.
  const uint8_t* flags = CodePointFlags();
  const auto inert = [&](size_t at, size_t& length) {
    const uint32_t code_point = ValidCodePoint(text.data() + at, length);
    return code_point < 0x80 ||
           (form == NormalForm::kNfc && (flags[code_point] & kIsNfcInert) != 0);
  };
  std::string out;
  out.reserve(text.size());
  size_t copied = 0, last_inert = 0;
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    if (inert(at, length)) {
      last_inert = at;
      continue;
    }
    out += text.substr(copied, last_inert - copied);
    size_t end = at + length;
    while (end < text.size() && !inert(end, length)) end += length;
    AppendNormalized(text.substr(last_inert, end - last_inert), form, out);
    copied = last_inert = at = end;
    length = 0;
  }
  out += text.substr(copied);
  return out;
}

}  // namespace reckon
