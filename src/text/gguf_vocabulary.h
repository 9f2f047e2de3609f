// The vocabulary that a GGUF file carries (its keys `tokenizer.ggml.*`), as plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/gguf.h"
#include "text/post_processor.h"
#include "text/score_bpe.h"
#include "text/tokenizer.h"

namespace reckon {

struct GgufVocabulary {
  std::string model;                 // "gpt2", "llama" or "t5"
  std::string pre;                   // of "gpt2": which cut; empty: "default"
  std::vector<std::string> tokens;   // the id is the index
  std::vector<float> scores;         // of "llama" and "t5"; may be empty
  std::vector<int32_t> token_types;  // numbered as PieceType; may be empty
  std::vector<std::string> merges;   // of "gpt2": "a b"
  std::string precompiled_charsmap;  // of "t5"
  std::optional<int64_t> bos_id, eos_id, unk_id, pad_id;
  std::optional<bool> add_bos, add_eos;  // what Encode adds where special tokens are asked for
  std::optional<bool> add_space_prefix, remove_extra_whitespaces;

  bool operator==(const GgufVocabulary&) const = default;
};

// Throws naming file and key where one is missing or of another type.
GgufVocabulary VocabularyOf(const GgufFile& file);

// kNormal where the vocabulary has no types.
PieceType TypeOf(const GgufVocabulary& vocabulary, size_t id);
// Tokens that are found in a text before anything else is done with it, as in llama.cpp where it
// parses special tokens.
bool IsCutOutWhole(PieceType type);
// Throws kCorrupt for lists that contradict each other, beginning with `where`.
void CheckVocabulary(const GgufVocabulary& vocabulary, const std::string& where);
// The merges of "gpt2" as pairs of tokens; throws kCorrupt for one that is not two.
std::vector<std::pair<std::string, std::string>> MergesOf(const GgufVocabulary& vocabulary,
                                                          const std::string& where);
// What stands around a text where special tokens are asked for, as the vocabulary says or, where it
// does not, as llama.cpp does it.
SpecialFrame FrameOf(const GgufVocabulary& vocabulary, const std::string& where);

// `where` (the file's name) begins messages. Throws kUnsupported for another model or cut, kCorrupt
// for lists that contradict each other. Control, user-defined and
// unknown tokens are cut out of texts.
Tokenizer FromGgufVocab(const GgufVocabulary& vocabulary, const std::string& where = "GGUF");

}  // namespace reckon
