// A set of byte strings with a number each, laid out for walking from the root.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reckon {

class ByteTrie {
 public:
  ByteTrie() : ByteTrie(std::vector<std::pair<std::string_view, int32_t>>{}) {}
  // Values are >= 0; of equal keys the last one's value counts. Takes 12 bytes a node, of which
  // there are at most as many as bytes in the keys, and one.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> keys);

  static constexpr uint32_t kRoot = 0, kNone = UINT32_MAX;
  uint32_t Child(uint32_t node, uint8_t byte) const {
    if (node == kRoot) return root_children_[byte];
    const Node& parent = nodes_[node];
    for (uint32_t i = 0; i < parent.num_children; ++i) {
      const uint32_t child = parent.first_child + i;
      if (labels_[child] >= byte) return labels_[child] == byte ? child : kNone;
    }
    return kNone;
  }
  int32_t value(uint32_t node) const { return nodes_[node].value; }  // -1: no key ends here
  bool empty() const { return nodes_.size() == 1; }

  // Length and value of the longest key that `text` begins with; {0, -1} where there is none.
  std::pair<size_t, int32_t> LongestPrefix(std::string_view text) const {
    std::pair<size_t, int32_t> best = {0, -1};
    uint32_t node = kRoot;
    for (size_t i = 0; i < text.size(); ++i) {
      node = Child(node, static_cast<uint8_t>(text[i]));
      if (node == kNone) break;
      if (value(node) >= 0) best = {i + 1, value(node)};
    }
    return best;
  }

 private:
  struct Node {
    uint32_t first_child = 0;
    int32_t value = -1;
    uint16_t num_children = 0;
  };
  std::vector<Node> nodes_;
  std::vector<uint8_t> labels_;  // the byte that leads to a node
  std::array<uint32_t, 256> root_children_{};
};

}  // namespace reckon
