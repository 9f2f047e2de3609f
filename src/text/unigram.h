// Unigram language model (arXiv:1804.10959): the segmentation of a piece whose tokens have the
// largest sum of scores, found by Viterbi's algorithm.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"
#include "text/token_model.h"

namespace reckon {

struct UnigramToken {
  std::string text;
  double score = 0;
  bool matches = true;  // whether it is looked for in texts
};

struct UnigramOptions {
  int32_t unk_id = -1;
  double unk_score = 0;        // of a character without a token
  bool byte_fallback = false;  // an unknown character becomes tokens like <0xE2>
  // SentencePiece rounds sums of scores to float, Hugging Face's tokenizers do not.
  bool float_sums = false;
};

class UnigramModel : public TokenModel {
 public:
  // A token's id is its index. Throws kCorrupt for scores that are not finite.
  UnigramModel(const std::vector<UnigramToken>& tokens, const UnigramOptions& options,
               const std::string& where);

  // Takes as many steps as the piece has bytes times the bytes of the longest token at each.
  void Encode(std::string_view piece, std::vector<int32_t>& ids) const override;

 private:
  struct Node {  // the best path that ends at a byte
    double score = 0;
    size_t begin = SIZE_MAX;  // of its last token; SIZE_MAX: no path
    int32_t id = -1;          // of its last token; -1: unknown character
  };
  void Extend(Node& node, double score, size_t begin, int32_t id) const;
  void AppendUnknown(std::string_view text, std::vector<int32_t>& ids) const;

  UnigramOptions options_;
  ByteTrie trie_;
  std::vector<double> scores_;
  std::vector<int32_t> id_of_byte_;
};

}  // namespace reckon
