#include "text/added_tokens.h"

#include <array>

#include "base/error.h"

namespace reckon {

void AddedTokens::Add(std::string_view content, int32_t id) {
  Check(!content.empty(), "an added token has at least one byte");
  uint64_t node = 0;
  for (char c : content) {
    const auto next = static_cast<uint32_t>(id_of_node_.size());
    const auto [edge, is_new] = edges_.emplace(node * 256 + static_cast<uint8_t>(c), next);
    if (is_new) id_of_node_.push_back(-1);
    node = edge->second;
  }
  id_of_node_[node] = id;
}

void AddedTokens::Split(std::string_view text, FunctionRef<void(std::string_view)> text_between,
                        FunctionRef<void(int32_t)> token) const {
  std::array<bool, 256> begins{};  // almost every place is passed over by its first byte alone
  for (size_t byte = 0; byte < 256; ++byte) begins[byte] = edges_.count(byte) > 0;
  size_t begin = 0, at = 0;
  while (at < text.size()) {
    int32_t id = -1;
    size_t end = at;
    if (begins[static_cast<uint8_t>(text[at])]) {
      uint64_t node = 0;
      for (size_t i = at; i < text.size(); ++i) {
        const auto edge = edges_.find(node * 256 + static_cast<uint8_t>(text[i]));
        if (edge == edges_.end()) break;
        node = edge->second;
        if (id_of_node_[node] >= 0) {
          id = id_of_node_[node];
          end = i + 1;
        }
      }
    }
    if (id < 0) {
      ++at;
      continue;
    }
    if (begin < at) text_between(text.substr(begin, at - begin));
    token(id);
    begin = at = end;
  }
  if (begin < text.size()) text_between(text.substr(begin));
}

}  // namespace reckon
