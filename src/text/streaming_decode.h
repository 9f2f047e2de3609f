// Text of tokens as they are sampled, never ending within a UTF-8 character.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace reckon {

// A character may be spread over several tokens; its first bytes wait for the last. What comes out
// is always valid UTF-8: bytes that cannot become a character turn into U+FFFD, once for each
// maximal ill-formed part. All outputs together equal Decode of all ids where that is valid UTF-8.
// That is so with `continues` false; with true the ids are the rest of a text, so that its begin
// keeps the space which the first word of a SentencePiece text loses.
class StreamingDecoder {
 public:
  // The tokenizer must outlive the decoder.
  explicit StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = false,
                            bool continues = false)
      : tokenizer_(tokenizer), skip_special_tokens_(skip_special_tokens) {
    if (continues) state_ = {.at_begin = false, .stripping = false};
  }

  // The characters that this token completes; may be empty.
  std::string Push(int32_t id);
  // What is left when no token follows: nothing, or U+FFFD for an unfinished character.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_tokens_;
  Tokenizer::DecodeState state_;
  std::string pending_;  // at most three bytes of an unfinished character
};

}  // namespace reckon
