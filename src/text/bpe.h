// Byte-pair encoding of one piece at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/json.h"

namespace reckon {

using Vocabulary = std::unordered_map<std::string, int32_t>;

// Reads {"token": id, ...}; throws kCorrupt for an id out of range or used twice.
Vocabulary ReadVocabulary(const Json& json, const std::string& where);

// Byte-level: the vocabulary is spelled in the byte alphabet, a piece starts as its bytes.
class BpeModel {
 public:
  // The `model` of a tokenizer.json whose type is BPE. Merges are "a b" strings or [a, b] pairs.
  static BpeModel FromJson(const Json& json, const std::string& where);

  // Joins the adjacent pair of lowest rank, leftmost first, until none is left. A piece of n bytes
  // takes O(n log n) steps. Throws kInvalidArgument for a byte that the vocabulary lacks.
  void Encode(std::string_view piece, std::vector<int32_t>& ids) const;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    int32_t rank = 0, id = 0;
  };
  struct Symbol {
    int32_t id = 0, previous = 0, next = 0;  // neighbours, -1 at the ends; id -1: joined away
  };
  struct Candidate {
    int32_t rank = 0, position = 0, left = 0, right = 0;
  };

  void AddMerge(const Json& json, int32_t rank, const std::string& where);
  void Consider(const std::vector<Symbol>& symbols, int32_t position,
                std::vector<Candidate>& heap) const;

  Vocabulary vocabulary_;
  std::unordered_map<uint64_t, Merge>
      merges_;                             // key: left id in the high half, right id in the low
  std::array<int32_t, 256> id_of_byte_{};  // -1 where there is none
  bool ignore_merges_ = false;             // a piece that is a token is taken whole
};

}  // namespace reckon
