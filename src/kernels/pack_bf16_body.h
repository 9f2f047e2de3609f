// Packing of bf16 panels: [k / 2][32][2], so that a dword holds the pair (k even, k odd) of a
// column.
#pragma once

#include "kernels/rows_body.h"

namespace reckon {
namespace {

void PackBf16(const PackArgs& args) {
  uint16_t* panels = static_cast<uint16_t*>(args.panels);
  for (int64_t begin = 0, p = 0; begin < args.n; begin += kPanelCols, ++p) {
    const int64_t cols = args.n - begin < kPanelCols ? args.n - begin : kPanelCols;
    uint16_t* out = panels + p * args.panel_stride;
    for (int64_t k = 0; k < args.k; k += 2) {
      const bool pair = k + 1 < args.k;
      uint16_t* row = out + k * kPanelCols;
      for (int64_t j = 0; j < cols; ++j) {
        const float* in = args.b + k * args.row_stride + (begin + j) * args.col_stride;
        row[2 * j] = RoundToBf16(in[0]);
        row[2 * j + 1] = pair ? RoundToBf16(in[args.row_stride]) : uint16_t{0};
      }
      for (int64_t j = 2 * cols; j < 2 * kPanelCols; ++j) row[j] = 0;
    }
  }
}

}  // namespace
}  // namespace reckon
