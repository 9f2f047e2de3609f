// tokenizer.json in, token ids out, and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"

namespace reckon {

// Byte-level BPE (with the pre-tokenizers Split and ByteLevel) and WordLevel over characters, added
// and special tokens, ByteLevel and Fuse decoders. Throws Error{kUnsupported} naming what it does not
// know in a file.
class Tokenizer {
 public:
  static Tokenizer FromJson(const Json& json, const std::string& where);
  static Tokenizer FromFile(const std::string& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  std::vector<int32_t> Encode(std::string_view text) const;
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;
  int64_t vocab_size() const;                                   // largest id + 1
  std::optional<int32_t> TokenId(std::string_view token) const;
  std::string TokenText(int32_t id) const;                      // bytes of one token, decoded
  bool IsSpecial(int32_t id) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reckon
