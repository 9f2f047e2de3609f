// The normalizer of a tokenizer.json: none, NFC, or a Sequence of those.
#pragma once

#include <string>
#include <string_view>

#include "formats/json.h"

namespace reckon {

class Normalizer {
 public:
  // Throws kUnsupported for any other type. `json` may be null.
  static Normalizer FromJson(const Json& json, const std::string& where);

  // NFC leaves a text of the characters in kNfcStable as it is, and composing others needs the
  // tables of the Unicode database, which this version does without: such a text (combining marks,
  // some Indic and Arabic vowel signs, decomposed Hangul) is refused with kUnsupported naming the
  // character, rather than given other ids than the model was trained on.
  void Check(std::string_view text) const;

 private:
  bool nfc_ = false;
};

}  // namespace reckon
