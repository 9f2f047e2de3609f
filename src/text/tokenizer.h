// Text to token ids and back.
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

struct TokenizerParts;

// Reads a tokenizer.json: models BPE, Unigram and WordLevel with the normalizers, pre-tokenizers,
// post-processors and decoders that normalizer.h, pre_tokenizer.h, post_processor.h and decoder.h
// list. A file that asks for anything else is refused with Error{kUnsupported} naming it.
// SentencePiece's .model files and GGUF vocabularies have readers of their own (sentencepiece.h,
// gguf_vocabulary.h). All methods may be called from several threads at once.
class Tokenizer {
 public:
  static Tokenizer FromJson(const Json& json, const std::string& where);
  // A tokenizer.json, a SentencePiece .model, or a folder with tokenizer.json or tokenizer.model.
  static Tokenizer FromFile(const std::string& path);
  explicit Tokenizer(TokenizerParts parts);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  // Adds bos, eos and the like as the file's post-processor says only where asked: a chat template
  // writes them itself. Byte-level BPE takes any bytes; for other models bytes that are not UTF-8
  // are U+FFFD. Throws kInvalidArgument for a character without a token where the file has none
  // for the unknown.
  std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens = false) const;
  // The bytes of the tokens, which may end within a character (see StreamingDecoder). An id without
  // a token, as the padded rows of an embedding have, gives nothing.
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  // Where a text that is decoded token by token stands: its begin may lose characters.
  struct DecodeState {
    bool at_begin = true;   // no token yet
    int32_t stripped = 0;   // characters taken from the begin
    bool stripping = true;  // whether more may be
  };
  void AppendText(int32_t id, bool skip_special_tokens, DecodeState& state,
                  std::string& text) const;

  int64_t vocab_size() const;  // largest id + 1
  // The id of a token as the vocabulary spells it ("Ġthe", "<think>").
  std::optional<int32_t> TokenId(std::string_view token) const;
  std::string TokenText(int32_t id) const;  // bytes of one token within a text
  bool IsSpecial(int32_t id) const;
  // As the file states them (a tokenizer.json does by its post-processor, and no eos).
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace reckon
