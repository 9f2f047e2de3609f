// What is done to a text before it is cut: the normalizer of a tokenizer.json, or that of a
// SentencePiece model.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"
#include "text/byte_trie.h"
#include "text/charsmap.h"

namespace reckon {

// "▁", which stands for a space in pieces.
inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";

struct SentencePieceNormalizer {
  Charsmap charsmap;
  ByteTrie user_defined;  // left as they are
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  bool whitespace_as_suffix = false;  // the dummy goes to the end
};

class Normalizer {
 public:
  // NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Replace, Prepend, Nmt, Precompiled,
  // ByteLevel and Sequence; throws kUnsupported for any other type. `json` may be null.
  static Normalizer FromJson(const Json& json, const std::string& where);
  static Normalizer FromSentencePiece(SentencePieceNormalizer settings);

  bool empty() const { return steps_.empty(); }
  // Of well-formed UTF-8. Throws kUnsupported where a step makes a text many times longer than it
  // was, which no real normalizer does.
  std::string Normalize(std::string_view text) const;

 private:
  using Step = std::function<std::string(std::string_view)>;
  void AddStep(const Json& json, const std::string& where);

  std::vector<Step> steps_;
};

}  // namespace reckon
