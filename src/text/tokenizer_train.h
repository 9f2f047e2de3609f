// Training of tokenizers; both kinds are written as a tokenizer.json that Hugging Face opens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"

namespace reckon {

// Byte-level BPE: merges of the most frequent adjacent pair (ties: smaller left id, then smaller right
// id), words by GPT-2's pattern. vocab_size counts the 256 bytes, merges and special tokens.
Json TrainByteLevelBpe(const std::vector<std::string_view>& texts, int64_t vocab_size,
                       const std::vector<std::string>& special_tokens);

// One token a character of `alphabet` (UTF-8) plus the special tokens, which come first.
Json MakeCharTokenizer(std::string_view alphabet, const std::vector<std::string>& special_tokens);

}  // namespace reckon
