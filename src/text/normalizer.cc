#include "text/normalizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "text/utf8.h"

namespace reckon {
namespace {

struct Range {
  uint32_t first, last;
};

// Characters with NFC_Quick_Check=Yes and Canonical_Combining_Class=0 (Unicode 14): a text of only
// these is its own NFC form (UAX #15, section 9). Not all of them: whole blocks, for the scripts
// that need nothing else.
constexpr Range kNfcStable[] = {
    {0x0000, 0x02FF},                                                          // Latin
    {0x0388, 0x0482},                                                          // Greek, Cyrillic
    {0x048A, 0x0590},                                                          // Cyrillic, Armenian
    {0x05C8, 0x060F},   {0x061B, 0x064A}, {0x0660, 0x066F}, {0x0671, 0x06D5},  // Hebrew, Arabic
    {0x0E00, 0x0E37},   {0x0E3B, 0x0E47},                                      // Thai
    {0x10A0, 0x1160},  // Georgian, leading Hangul jamo
    {0x1D00, 0x1DBF},   {0x1E00, 0x1EFF}, {0x2002, 0x20CF}, {0x2102, 0x2125},
    {0x212C, 0x2328},   {0x232B, 0x2ADB}, {0x2ADD, 0x2CEE},  // signs and symbols
    {0x2E80, 0x3029},   {0x3030, 0x3098}, {0x309B, 0xA66E},  // radicals, kana, Han, Yi
    {0xAC00, 0xD7A3},                                        // Hangul syllables
    {0xE000, 0xF8FF},   {0xFE00, 0xFE1F}, {0xFE30, 0xFFFD}, {0x1F000, 0x1FAFF},  // emoji
    {0x20000, 0x2F7FF},  // Han, extensions B to F
};

bool IsNfcStable(uint32_t code_point) {
  const Range* above =
      std::upper_bound(std::begin(kNfcStable), std::end(kNfcStable), code_point,
                       [](uint32_t value, const Range& range) { return value < range.first; });
  return above != std::begin(kNfcStable) && code_point <= std::prev(above)->last;
}

}  // namespace

Normalizer Normalizer::FromJson(const Json& json, const std::string& where) {
  Normalizer normalizer;
  if (json.is_null()) return normalizer;
  ObjectReader reader(json, where);
  const std::string type = reader.String("type");
  if (type == "Sequence") {
    const Json& list = reader.Get("normalizers");
    if (!list.is_array()) {
      Throw(ErrorKind::kInvalidArgument, where + ".normalizers: expected an array");
    }
    for (size_t i = 0; i < list.size(); ++i) {
      const Normalizer one = FromJson(list[i], fmt::format("{}.normalizers[{}]", where, i));
      normalizer.nfc_ = normalizer.nfc_ || one.nfc_;
    }
  } else if (type == "NFC") {
    normalizer.nfc_ = true;
  } else {
    Throw(
        ErrorKind::kUnsupported,
        fmt::format("{}: normalizer \"{}\" is not supported (NFC and Sequence are)", where, type));
  }
  reader.Finish();
  return normalizer;
}

void Normalizer::Check(std::string_view text) const {
  if (!nfc_) return;
  while (!text.empty()) {
    const Utf8Step step = FirstUtf8(text);
    if (step.state == Utf8State::kCharacter && !IsNfcStable(step.code_point)) {
      Throw(ErrorKind::kUnsupported,
            fmt::format("the tokenizer asks for NFC normalisation, which is not supported for "
                        "U+{:04X} in the text",
                        step.code_point));
    }
    text.remove_prefix(step.length);
  }
}

}  // namespace reckon
