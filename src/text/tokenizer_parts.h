// What a tokenizer is put together from. The readers of tokenizer.json, SentencePiece and GGUF each
// make these parts; the Tokenizer runs them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/token_model.h"

namespace reckon {

struct TokenizerParts {
  std::string where;  // begins messages
  std::unique_ptr<TokenModel> model;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::vector<AddedToken> added;
  Decoder decoder;
  SpecialFrame frame;
  int32_t bos_id = -1, eos_id = -1;  // -1: not known
  // Texts of tokens that do not go through the decoder.
  std::vector<std::pair<int32_t, std::string>> raw_texts;
};

}  // namespace reckon
