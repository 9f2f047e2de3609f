// Byte-pair encoding as SentencePiece and llama.cpp do it: there is no list of merges; two
// neighbours are joined where together they are a piece, the piece of the highest score first.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/byte_trie.h"
#include "text/token_model.h"

namespace reckon {

// The numbers are those of SentencePiece's and of GGUF's files.
enum class PieceType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // stands for no text
  kUserDefined = 4,  // always cut out whole
  kUnused = 5,       // made on the way, then taken apart again
  kByte = 6,
};

struct ScoredPiece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

// The pieces that occur in texts under that spelling: normal, user-defined and unused ones.
bool OccursInText(PieceType type);
Vocabulary VocabularyOf(const std::vector<ScoredPiece>& pieces);
ByteTrie UserDefinedOf(const std::vector<ScoredPiece>& pieces);

class ScoreBpeModel : public TokenModel {
 public:
  // A piece's id is its index. A character that is no piece becomes byte tokens where there are
  // all that it needs, else, together with neighbours of its kind, unk_id (-1: it is refused).
  // Throws kCorrupt for a score that is not a number.
  ScoreBpeModel(const std::vector<ScoredPiece>& pieces, int32_t unk_id, bool byte_fallback,
                const std::string& where);

  void Encode(std::string_view text, std::vector<int32_t>& ids) const override;

 private:
  struct Symbol {
    size_t begin = 0, size = 0;  // in the text; size 0: joined away
    int64_t previous = 0, next = 0;
    bool is_frozen = false;  // user-defined: joins nothing
  };
  // How pieces of the unused kind came about: the size of their left part.
  using Parts = std::unordered_map<std::string_view, size_t>;
  std::vector<Symbol> SymbolsOf(std::string_view text) const;
  const std::pair<int32_t, PieceType>* FindPiece(std::string_view text) const;
  void Append(std::string_view symbol, const Parts& parts, bool& after_unknown,
              std::vector<int32_t>& ids) const;
  void AppendUnknown(std::string_view symbol, bool& after_unknown, std::vector<int32_t>& ids) const;

  std::unordered_map<std::string, std::pair<int32_t, PieceType>, TextHash, std::equal_to<>> pieces_;
  std::vector<float> scores_;
  ByteTrie user_defined_;
  std::array<int32_t, 256> id_of_byte_{};
  size_t longest_ = 0;  // bytes of the longest piece
  int32_t unk_id_;
};

}  // namespace reckon
