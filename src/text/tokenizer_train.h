// Training of tokenizers; both kinds are written as a tokenizer.json that Hugging Face opens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"

namespace reckon {

// Byte-level BPE: merges of the most frequent adjacent pair (ties: smaller left id, then smaller
// right id), words by GPT-2's pattern. vocab_size counts the special tokens (which come first), the
// 256 bytes and the merges; it is not reached where no pair is left that occurs twice. The result
// depends only on the arguments, not on the machine.
Json TrainByteLevelBpe(const std::vector<std::string_view>& texts, int64_t vocab_size,
                       const std::vector<std::string>& special_tokens);

// One token a character of `alphabet` (UTF-8, each character once or more) after the special
// tokens, which come first. A special token "<unk>" stands for all other characters; without it
// they are refused.
Json MakeCharTokenizer(std::string_view alphabet, const std::vector<std::string>& special_tokens);

}  // namespace reckon
