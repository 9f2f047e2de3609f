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

// Byte-level BPE and WordLevel over characters, pre-tokenizers Split, Digits and ByteLevel, added
// and special tokens, ByteLevel and Fuse decoders. A file that asks for anything else is refused
// with Error{kUnsupported} naming it. All methods may be called from several threads at once.
class Tokenizer {
 public:
  static Tokenizer FromJson(const Json& json, const std::string& where);
  static Tokenizer FromFile(const std::string& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  // Adds no bos or eos; the chat template writes them. Byte-level BPE takes any bytes, UTF-8 or
  // not; WordLevel throws kInvalidArgument for a character that it lacks unless it has an
  // unk_token.
  std::vector<int32_t> Encode(std::string_view text) const;
  // The bytes of the tokens, which may end within a character (see StreamingDecoder). An id without
  // a token, as the padded rows of an embedding have, gives nothing.
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;
  int64_t vocab_size() const;  // largest id + 1
  // The id of a token as the vocabulary spells it ("Ġthe", "<think>").
  std::optional<int32_t> TokenId(std::string_view token) const;
  std::string TokenText(int32_t id) const;  // bytes of one token, decoded
  bool IsSpecial(int32_t id) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reckon
