// Data of the Unicode database, written by tools/make_unicode_tables.py. text/unicode.h and
// text/normal_forms.h make something of it.
#pragma once

#include <cstdint>
#include <span>

namespace reckon {

// code point << 3 | class at the begin of each run; 0: other, 1 to 5: letter, mark, number,
// punctuation, symbol.
extern const std::span<const uint32_t> kClassRuns;
// code point << 8 | canonical combining class at the begin of each run.
extern const std::span<const uint32_t> kCombiningRuns;
// Decompositions of one step, without Hangul syllables: code point | canonical composition gives it
// back << 22 | length << 23, followed by that many code points.
extern const std::span<const uint32_t> kCanonicalDecompositions;
extern const std::span<const uint32_t> kCompatibleDecompositions;
// first, last, step, distance to the lower case.
extern const std::span<const int32_t> kLowercase;

}  // namespace reckon
