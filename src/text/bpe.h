// Byte-pair encoding by ranked merges, of one piece at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/token_model.h"

namespace reckon {

// From a pair of adjacent tokens to what joins them: open addressing, one cache line a look-up.
class MergeTable {
 public:
  struct Merge {
    int32_t rank = 0, id = 0;
  };
  explicit MergeTable(size_t num_merges);
  // A pair that is added again takes the later merge.
  void Add(int32_t left, int32_t right, Merge merge);
  const Merge* Find(int32_t left, int32_t right) const {
    const uint64_t key = KeyOf(left, right);
    for (size_t at = PlaceOf(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return &slots_[at].merge;
      if (slots_[at].key == kEmpty) return nullptr;
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;  // ids are not negative
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static uint64_t KeyOf(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t PlaceOf(uint64_t key) const { return (key * 0x9E3779B97F4A7C15ull) >> shift_; }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int shift_ = 0;
};

struct BpeOptions {
  bool byte_level = false;     // a piece starts as its bytes, spelled in the byte alphabet
  bool ignore_merges = false;  // a piece that is a token is taken whole
  bool byte_fallback = false;  // a character without a token becomes tokens like <0xE2>
  bool fuse_unk = false;       // neighbouring unknown characters become one token
  int32_t unk_id = -1;         // of characters without a token; -1: they are refused
};

class BpeModel : public TokenModel {
 public:
  using Merges = std::vector<std::pair<std::string, std::string>>;
  // Merges in the order of their ranks; throws kCorrupt for one whose tokens are not there.
  BpeModel(Vocabulary vocabulary, const Merges& merges, const BpeOptions& options,
           const std::string& where);

  // Joins the adjacent pair of lowest rank, leftmost first, until none is left. A piece of n bytes
  // takes O(n log n) steps.
  void Encode(std::string_view piece, std::vector<int32_t>& ids) const override;

 private:
  void AddMerge(const std::pair<std::string, std::string>& merge, int32_t rank,
                const std::string& where);
  void BytesToSymbols(std::string_view piece, std::vector<int32_t>& symbols) const;
  void CharactersToSymbols(std::string_view piece, std::vector<int32_t>& symbols) const;
  void JoinShort(std::vector<int32_t>& symbols, size_t begin) const;
  void JoinLong(std::vector<int32_t>& ids, size_t begin) const;

  BpeOptions options_;
  MergeTable merges_;
  std::array<int32_t, 256> id_of_byte_{};  // -1 where there is none
  std::unordered_map<uint32_t, int32_t> id_of_character_;
};

}  // namespace reckon
