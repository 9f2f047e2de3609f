#include "text/byte_trie.h"

#include <algorithm>

namespace reckon {

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> keys) {
  std::stable_sort(keys.begin(), keys.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  // Level by level, so that the children of a node lie side by side. A node stands for the keys
  // [begin, end) that share its path.
  struct Range {
    size_t begin, end;
  };
  std::vector<Range> level = {{0, keys.size()}}, next;
  nodes_.emplace_back();
  labels_.push_back(0);
  root_children_.fill(kNone);
  size_t first_of_level = 0;
  for (size_t depth = 0; !level.empty(); ++depth) {
    next.clear();
    const size_t first_of_next = nodes_.size();
    for (size_t i = 0; i < level.size(); ++i) {
      size_t at = level[i].begin;
      const size_t end = level[i].end, node = first_of_level + i;
      nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
      for (; at < end && keys[at].first.size() == depth; ++at) {
        if (depth > 0) nodes_[node].value = keys[at].second;
      }
      while (at < end) {
        const char label = keys[at].first[depth];
        const size_t begin = at;
        while (at < end && keys[at].first[depth] == label) ++at;
        if (depth == 0) {
          root_children_[static_cast<uint8_t>(label)] = static_cast<uint32_t>(nodes_.size());
        }
        ++nodes_[node].num_children;
        nodes_.emplace_back();
        labels_.push_back(static_cast<uint8_t>(label));
        next.push_back({begin, at});
      }
    }
    first_of_level = first_of_next;
    level.swap(next);
  }
}

}  // namespace reckon
