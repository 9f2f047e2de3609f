// Tokens that are cut out of a text before anything else looks at it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/function_ref.h"

namespace reckon {

// A trie over bytes; of the tokens that begin at the leftmost place it takes the longest.
class AddedTokens {
 public:
  void Add(std::string_view content, int32_t id);
  bool empty() const { return id_of_node_.size() == 1; }

  // Calls `text_between` for each non-empty stretch without tokens and `token` for each token, in
  // the order of the text.
  void Split(std::string_view text, FunctionRef<void(std::string_view)> text_between,
             FunctionRef<void(int32_t)> token) const;

 private:
  std::unordered_map<uint64_t, uint32_t> edges_;  // node * 256 + byte to node
  std::vector<int32_t> id_of_node_ = {-1};        // -1: no token ends here
};

}  // namespace reckon
