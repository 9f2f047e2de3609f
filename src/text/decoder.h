// From tokens back to text: the decoder of a tokenizer.json.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"

namespace reckon {

// What a token contributes does not depend on the others, but for two things: the first one of a
// text may differ (`Text` is told), and characters may be taken from the begin of the whole.
class Decoder {
 public:
  // ByteLevel, Fuse, Replace, Strip, ByteFallback, Metaspace and Sequence. Null: tokens are joined
  // with spaces. Throws kUnsupported for another type, and for orders in which what a token gives
  // would depend on its neighbours.
  static Decoder FromJson(const Json& json, const std::string& where);
  static Decoder ByteLevel();
  // "▁" to spaces, tokens like <0xE2> to bytes, then `strip_left` spaces less at the begin.
  static Decoder SentencePiece(int strip_left);

  std::string Text(std::string_view token, bool first) const;
  bool first_differs() const { return first_differs_; }
  // How often this string is taken away from the begin of the whole text.
  int strip_left() const { return strip_left_; }
  const std::string& stripped() const { return stripped_; }

 private:
  using Step = std::function<std::string(std::string token, bool first)>;
  void AddStep(const Json& json, const std::string& where);
  void AddReplace(const Json& json, const std::string& where);
  void AddStrip(const Json& json, const std::string& where);
  void AddMetaspace(const Json& json, const std::string& where);

  std::vector<Step> steps_;
  bool fused_ = false;  // the steps so far made one string of all tokens
  bool first_differs_ = false;
  int strip_left_ = 0;
  std::string stripped_;
};

}  // namespace reckon
