// SentencePiece's .model files: a serialised ModelProto (sentencepiece_model.proto of the library),
// read by hand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.h"
#include "text/score_bpe.h"
#include "text/tokenizer.h"

namespace reckon {

struct SentencePieceModel {
  std::vector<ScoredPiece> pieces;
  bool is_unigram = true;  // else BPE
  bool byte_fallback = false;
  SentencePieceNormalizer normalizer;
  int32_t unk_id = -1, bos_id = -1, eos_id = -1;
  std::string unk_surface = " \u2047 ";  // what the unknown token decodes to
};

// Throws kCorrupt for bytes that are no such message, kUnsupported for the word and character
// types. Takes memory in proportion to the bytes.
SentencePieceModel ParseSentencePiece(std::string_view bytes, const std::string& where);

// Gives the ids of the SentencePiece library, but for control symbols such as "<s>", which are
// tokens where they stand in a text, as chat templates need it.
Tokenizer MakeTokenizer(SentencePieceModel model, const std::string& where);
inline Tokenizer TokenizerOfSentencePiece(std::string_view bytes, const std::string& where) {
  return MakeTokenizer(ParseSentencePiece(bytes, where), where);
}

// The model of a list of pieces, for whatever file it came from.
std::unique_ptr<TokenModel> MakePieceModel(const std::vector<ScoredPiece>& pieces, bool is_unigram,
                                           int32_t unk_id, bool byte_fallback,
                                           const std::string& where);

}  // namespace reckon
