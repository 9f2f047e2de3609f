// What every kind of model does: one piece of text to ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"
#include "text/vocabulary.h"

namespace reckon {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of a piece that is not empty and, but for byte-level models, well-formed UTF-8.
  // Throws kInvalidArgument for a character without a token where there is none for the unknown.
  virtual void Encode(std::string_view piece, std::vector<int32_t>& ids) const = 0;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 protected:
  explicit TokenModel(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  Vocabulary vocabulary_;
};

// The `model` of a tokenizer.json: BPE, Unigram or WordLevel. With `byte_level` the pieces are
// bytes, which the vocabulary spells in the byte alphabet.
std::unique_ptr<TokenModel> ReadTokenModel(const Json& json, bool byte_level,
                                           const std::string& where);

}  // namespace reckon
