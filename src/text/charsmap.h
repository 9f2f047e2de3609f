// SentencePiece's precompiled rules of normalisation: a double-array trie (Aoe, 1989; as the Darts
// library lays it out) from character sequences to their replacements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reckon {

class Charsmap {
 public:
  Charsmap() = default;
  // Little endian: the trie's size in bytes, the trie, the replacements, each ended by a zero byte.
  // Throws kCorrupt where the sizes contradict each other.
  static Charsmap FromBytes(std::string_view bytes, const std::string& where);
  bool empty() const { return units_.empty(); }

  // The longest sequence with a rule that `text` begins with, and its replacement; {0, ""} where
  // there is none. A trie that leads outside itself has no rule there.
  std::pair<size_t, std::string_view> LongestPrefix(std::string_view text) const;
  // As the `Precompiled` normalizer of Hugging Face's tokenizers does it, cluster of characters by
  // cluster: a short cluster gives way as a whole to the shortest rule that it begins with; else
  // each character does.
  std::string ReplaceByClusters(std::string_view text) const;

 private:
  std::string_view ReplacementAt(size_t offset) const;
  std::pair<size_t, std::string_view> ShortestPrefix(std::string_view text) const;
  // Calls found(length, replacement) for each rule on the way, shortest first, while it says true.
  template <typename Found>
  void Walk(std::string_view text, Found found) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace reckon
