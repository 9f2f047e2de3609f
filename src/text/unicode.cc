#include "text/unicode.h"

#include <algorithm>
#include <vector>

#include "text/unicode_tables.h"

namespace reckon {
namespace {

constexpr uint32_t kCodePoints = 0x110000;

void Set(std::vector<uint8_t>& flags, uint32_t first, uint32_t last, uint8_t flag) {
  for (uint32_t c = first; c <= last; ++c) flags[c] |= flag;
}

void Clear(std::vector<uint8_t>& flags, uint32_t first, uint32_t last, uint8_t flag) {
  for (uint32_t c = first; c <= last; ++c) flags[c] &= static_cast<uint8_t>(~flag);
}

void SetClasses(std::vector<uint8_t>& flags) {
  for (size_t i = 0; i < kClassRuns.size(); ++i) {
    const uint32_t kind = kClassRuns[i] & 7;
    if (kind == 0) continue;
    const uint32_t end = i + 1 < kClassRuns.size() ? kClassRuns[i + 1] >> 3 : kCodePoints;
    Set(flags, kClassRuns[i] >> 3, end - 1, static_cast<uint8_t>(1 << (kind - 1)));
  }
}

void SetNfcInert(std::vector<uint8_t>& flags) {
  Set(flags, 0, kCodePoints - 1, kIsNfcInert);
  for (size_t i = 0; i < kCombiningRuns.size(); ++i) {
    if ((kCombiningRuns[i] & 0xFF) == 0) continue;
    const uint32_t end = i + 1 < kCombiningRuns.size() ? kCombiningRuns[i + 1] >> 8 : kCodePoints;
    Clear(flags, kCombiningRuns[i] >> 8, end - 1, kIsNfcInert);
  }
  const std::span<const uint32_t> table = kCanonicalDecompositions;
  for (size_t i = 0; i < table.size(); i += 1 + (table[i] >> 23)) {
    const uint32_t code_point = table[i] & 0x1FFFFF;
    if ((table[i] >> 22 & 1) != 0) {
      Clear(flags, table[i + 2], table[i + 2], kIsNfcInert);
    } else {
      Clear(flags, code_point, code_point, kIsNfcInert);
    }
  }
  Clear(flags, 0x1161, 0x1175, kIsNfcInert);  // Hangul vowels and trailing consonants
  Clear(flags, 0x11A8, 0x11C2, kIsNfcInert);
}

std::vector<uint8_t> MakeFlags() {
  std::vector<uint8_t> flags(kCodePoints);
  SetClasses(flags);
  SetNfcInert(flags);
  constexpr uint32_t kWhiteSpace[][2] = {
      {0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
      {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
  for (const auto& [first, last] : kWhiteSpace) Set(flags, first, last, kIsSpace);
  Set(flags, 0x3040, 0x30FF, kIsHanOrKana);
  Set(flags, 0x4E00, 0x9FA5, kIsHanOrKana);
  return flags;
}

}  // namespace

const uint8_t* CodePointFlags() {
  static const std::vector<uint8_t> flags = MakeFlags();
  return flags.data();
}

uint32_t SimpleLowercase(uint32_t code_point) {
  // Entries of four numbers, ascending and apart: find the last whose first is not above.
  size_t low = 0, high = kLowercase.size() / 4;
  const auto value = static_cast<int32_t>(code_point);
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (kLowercase[4 * middle] <= value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return code_point;
  const int32_t* entry = &kLowercase[4 * (low - 1)];
  const bool inside = value <= entry[1] && (value - entry[0]) % entry[2] == 0;
  return inside ? static_cast<uint32_t>(value + entry[3]) : code_point;
}

}  // namespace reckon
