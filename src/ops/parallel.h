// How operators split their work: by rows, or by blocks of columns.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/runtime.h"

namespace reckon {

// Elements that are worth a task of their own: some ten microseconds of elementwise work.
inline constexpr int64_t kElementsPerTask = 16384;

// Calls body(begin, end) over [0, rows) in blocks; `cols` is the work of a row, in elements.
template <typename Body>
void ForRowBlocks(const Runtime& rt, int64_t rows, int64_t cols, const Body& body) {
  const int64_t block = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(cols, 1));
  const int64_t tasks = (rows + block - 1) / block;
  rt.pool->ParallelFor(
      tasks, [&](int64_t task) { body(task * block, std::min(rows, (task + 1) * block)); });
}

// Calls body(begin, end) over [0, cols) in blocks that are multiples of 16; `rows` is the work of a
// column. For reductions over rows, whose order must not be split.
template <typename Body>
void ForColumnBlocks(const Runtime& rt, int64_t cols, int64_t rows, const Body& body) {
  const int64_t wanted = std::max<int64_t>(16, kElementsPerTask / std::max<int64_t>(rows, 1));
  const int64_t block = (wanted + 15) / 16 * 16;
  const int64_t tasks = (cols + block - 1) / block;
  rt.pool->ParallelFor(
      tasks, [&](int64_t task) { body(task * block, std::min(cols, (task + 1) * block)); });
}

}  // namespace reckon
