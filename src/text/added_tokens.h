// Tokens that are cut out of a text before the model looks at it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "text/byte_trie.h"

namespace reckon {

struct AddedToken {
  std::string content;  // not empty
  int32_t id = 0;
  bool single_word = false;  // only where no letter or digit stands beside it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and after it
  bool normalized = false;   // found after normalisation, not before
  bool special = false;
};

// Of the tokens that begin at the leftmost place the longest is taken.
class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);
  bool empty() const { return tokens_.empty(); }

  // Calls `text_between` for each non-empty stretch without tokens, with where it begins, and
  // `token` for each token, in the order of the text, which is well-formed UTF-8 where a token has
  // single_word, lstrip or rstrip.
  void Split(std::string_view text, FunctionRef<void(std::string_view, size_t)> text_between,
             FunctionRef<void(int32_t)> token) const;

 private:
  size_t NextBegin(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;
  ByteTrie trie_;
  std::array<bool, 256> begins_{};  // almost every place is passed over by its first byte alone
  int only_begin_ = -1;             // the first byte of all, where they have but one
};

}  // namespace reckon
