// bf16 products for instruction sets without them: A is rounded to bf16 and kept as f32, panels
// hold bf16 pairs (k even, k odd), and a step of two k is two fused multiply-adds, even k first.
#pragma once

#include "kernels/gemm_body.h"
#include "kernels/rows_body.h"

namespace reckon {
namespace {

inline float RoundedToBf16(float x) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(RoundToBf16(x)) << 16);
}

// count values of A, `stride` apart, rounded; an odd count is filled up with a zero.
inline void CopyRounded(const float* a, int64_t stride, int64_t count, float* out) {
  for (int64_t k = 0; k < count; ++k) out[k] = RoundedToBf16(a[k * stride]);
  if (count % 2 != 0) out[count] = 0;
}

template <int kRows>
void Bf16Tile(const float* a, int64_t a_row, const uint32_t* b, int64_t steps, float* c,
              int64_t c_stride, int64_t cols, bool zero) {
  Vec acc[kRows][kTileVectors];
  LoadTile<kRows, kTileVectors>(c, c_stride, &cols, zero, acc);
  for (int64_t s = 0; s < steps; ++s, a += 2, b += kPanelCols) {
#pragma GCC unroll 4
    for (int j = 0; j < kTileVectors; ++j) {
      const Vec even = VEvenOfPairs(b + j * kLanes), odd = VOddOfPairs(b + j * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        acc[i][j] = VFma(VSet1(a[i * a_row]), even, acc[i][j]);
        acc[i][j] = VFma(VSet1(a[i * a_row + 1]), odd, acc[i][j]);
      }
    }
  }
  StoreTile<kRows, kTileVectors>(c, c_stride, &cols, acc);
}

void GemmBf16(const GemmArgs& args) {
  constexpr int kRows = 4;
  alignas(64) float copy[kRows * kRowStride];
  if (args.k == 0) return GemmF32(args);
  const int64_t panels = (args.n + kPanelCols - 1) / kPanelCols;
  for (int64_t k = 0; k < args.k; k += kBlockK) {
    const int64_t count = args.k - k < kBlockK ? args.k - k : kBlockK, steps = (count + 1) / 2;
    const bool zero = k == 0 && !args.accumulate;
    for (int64_t row = 0; row < args.m; row += kRows) {
      const int64_t rows = args.m - row < kRows ? args.m - row : kRows;
      for (int64_t i = 0; i < rows; ++i) {
        const float* a = args.a + (row + i) * args.a_row_stride + k * args.a_col_stride;
        CopyRounded(a, args.a_col_stride, count, copy + i * kRowStride);
      }
      for (int64_t p = 0; p < panels; ++p) {
        const uint32_t* b = reinterpret_cast<const uint32_t*>(
            static_cast<const uint16_t*>(args.b) + p * args.b_panel_stride + k * kPanelCols);
        for (int part = 0; part < kPanelParts; ++part) {
          const int64_t col = p * kPanelCols + part * kTileCols, left = args.n - col;
          if (left <= 0) break;
          float* c = args.c + row * args.c_row_stride + col;
          const uint32_t* bp = b + part * kTileCols;
          switch (rows) {
            case 1:
              Bf16Tile<1>(copy, kRowStride, bp, steps, c, args.c_row_stride, left, zero);
              break;
            case 2:
              Bf16Tile<2>(copy, kRowStride, bp, steps, c, args.c_row_stride, left, zero);
              break;
            case 3:
              Bf16Tile<3>(copy, kRowStride, bp, steps, c, args.c_row_stride, left, zero);
              break;
            default:
              Bf16Tile<4>(copy, kRowStride, bp, steps, c, args.c_row_stride, left, zero);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace reckon
