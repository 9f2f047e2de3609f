#include "base/error.h"
#include "data/source.h"

namespace reckon {
namespace {

// Rows of an example: every token but the last, which is only predicted.
int64_t RowsOf(const Example& example) {
  return static_cast<int64_t>(example.token_ids.size()) - 1;
}

void Add(const Example& example, PackedRows& pack) {
  const int64_t begin = static_cast<int64_t>(pack.token_ids.size()), count = RowsOf(example);
  pack.spans.push_back({begin, count});
  for (int64_t i = 0; i < count; ++i) {
    pack.token_ids.push_back(example.token_ids[static_cast<size_t>(i)]);
    pack.positions.push_back(static_cast<int32_t>(i));
    pack.next.push_back(example.token_ids[static_cast<size_t>(i + 1)]);
    pack.learnt.push_back(example.loss_mask[static_cast<size_t>(i + 1)]);
    if (pack.learnt.back() == 0) continue;
    pack.target_rows.push_back(begin + i);
    pack.targets.push_back(example.token_ids[static_cast<size_t>(i + 1)]);
  }
}

}  // namespace

std::vector<PackedRows> Pack(const std::vector<Example>& examples, int64_t max_rows) {
  std::vector<PackedRows> packs;
  for (const Example& example : examples) {
    Check(example.token_ids.size() == example.loss_mask.size(), "Pack: a mask for each token");
    if (RowsOf(example) < 1) continue;
    const bool fits =
        !packs.empty() &&
        static_cast<int64_t>(packs.back().token_ids.size()) + RowsOf(example) <= max_rows;
    if (!fits) packs.emplace_back();
    Add(example, packs.back());
  }
  return packs;
}

}  // namespace reckon
