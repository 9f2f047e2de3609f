// Matrix products of the kernel table, written once over the vector type of simd_<isa>.h.
//
// C is computed in register tiles of up to kMaxRows rows by a part of a panel (kTileVectors
// vectors). k is cut into blocks of kBlockK; between blocks the partial sums rest in C, which keeps
// them exactly, so every element is one chain over k whatever the tile. A is copied block by block
// into a small buffer: as [row][k] where its k runs contiguously, as [k][row] where its rows do, so
// that the inner loop finds its operands at constant offsets.
#pragma once

#include "kernels/kernel_table.h"

namespace reckon {
namespace {

constexpr int64_t kBlockK = 256;
constexpr int64_t kTileCols = kTileVectors * kLanes;
constexpr int kPanelParts = static_cast<int>(kPanelCols / kTileCols);
constexpr int kPadRows = 16;  // row stride of the [k][row] copy
constexpr int64_t kChunkRows = kMaxRows * 8;
constexpr int64_t kRowStride = kBlockK + 16;  // of a copy of floats; padded against cache aliasing

// How the inner loop steps through A (elements of the copy) and through a panel (elements of k).
struct F32Step {
  using A = float;
  using B = float;
  static constexpr int64_t kDepth = 1;  // k per step
  static constexpr int64_t kBStep = kPanelCols;
  template <int kRows, int kVectors>
  static inline void Do(const A* a, int64_t a_row, const B* const* b, Vec (&acc)[kRows][kVectors]) {
    Vec v[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) {
      v[j] = VLoad(b[j / kTileVectors] + (j % kTileVectors) * kLanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const Vec s = VSet1(a[i * a_row]);
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) acc[i][j] = VFma(s, v[j], acc[i][j]);
    }
  }
};

template <int kRows, int kVectors>
inline void LoadTile(const float* c, int64_t stride, const int64_t* cols, bool zero,
                     Vec (&acc)[kRows][kVectors]) {
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) {
      const int64_t at = (j / kTileVectors) * kPanelCols + (j % kTileVectors) * kLanes;
      const int64_t left = cols[j / kTileVectors] - (j % kTileVectors) * kLanes;
      acc[i][j] = zero             ? VSet1(0)
                  : left >= kLanes ? VLoad(c + i * stride + at)
                                   : VLoadN(c + i * stride + at, left, 0);
    }
  }
}

template <int kRows, int kVectors>
inline void StoreTile(float* c, int64_t stride, const int64_t* cols,
                      const Vec (&acc)[kRows][kVectors]) {
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) {
      const int64_t at = (j / kTileVectors) * kPanelCols + (j % kTileVectors) * kLanes;
      const int64_t left = cols[j / kTileVectors] - (j % kTileVectors) * kLanes;
      if (left >= kLanes) {
        VStore(c + i * stride + at, acc[i][j]);
      } else {
        VStoreN(c + i * stride + at, left, acc[i][j]);
      }
    }
  }
}

// One tile: kRows rows of the copy of A times kPanels panel parts.
template <typename Step, int kRows, int kPanels, int64_t kARow, int64_t kAStep>
void Tile(const typename Step::A* a, const typename Step::B* b, int64_t panel_stride, int64_t steps,
          float* c, int64_t c_stride, const int64_t* cols, bool zero) {
  constexpr int kVectors = kPanels * kTileVectors;
  Vec acc[kRows][kVectors];
  LoadTile<kRows, kVectors>(c, c_stride, cols, zero, acc);
  const typename Step::B* panels[kPanels];
#pragma GCC unroll 16
  for (int p = 0; p < kPanels; ++p) panels[p] = b + p * panel_stride;
  for (int64_t s = 0; s < steps; ++s) {
    Step::template Do<kRows, kVectors>(a, kARow, panels, acc);
    a += kAStep;
#pragma GCC unroll 16
    for (int p = 0; p < kPanels; ++p) panels[p] += Step::kBStep;
  }
  StoreTile<kRows, kVectors>(c, c_stride, cols, acc);
}

template <typename Step>
using TileFunction = void (*)(const typename Step::A*, const typename Step::B*, int64_t, int64_t,
                              float*, int64_t, const int64_t*, bool);

template <typename Step, int kPanels, int64_t kARow, int64_t kAStep>
TileFunction<Step> ChooseTile(int64_t rows) {
  switch (rows) {
    case 1:
      return Tile<Step, 1, kPanels, kARow, kAStep>;
    case 2:
      return Tile<Step, 2, kPanels, kARow, kAStep>;
    case 3:
      return Tile<Step, 3, kPanels, kARow, kAStep>;
    case 4:
      return Tile<Step, 4, kPanels, kARow, kAStep>;
    default:
      break;
  }
  if constexpr (kPanels == 1 && kMaxRows > 4) {
    switch (rows) {
      case 5:
        return Tile<Step, 5, kPanels, kARow, kAStep>;
      case 6:
        return Tile<Step, 6, kPanels, kARow, kAStep>;
      default:
        break;
    }
  }
  if constexpr (kPanels == 1 && kMaxRows > 6) {
    switch (rows) {
      case 7:
        return Tile<Step, 7, kPanels, kARow, kAStep>;
      case 8:
        return Tile<Step, 8, kPanels, kARow, kAStep>;
      case 9:
        return Tile<Step, 9, kPanels, kARow, kAStep>;
      case 10:
        return Tile<Step, 10, kPanels, kARow, kAStep>;
      case 11:
        return Tile<Step, 11, kPanels, kARow, kAStep>;
      case 12:
        return Tile<Step, 12, kPanels, kARow, kAStep>;
      case 13:
        return Tile<Step, 13, kPanels, kARow, kAStep>;
      default:
        return Tile<Step, 14, kPanels, kARow, kAStep>;
    }
  }
  return nullptr;
}

// Tiles of a block of rows are as even as can be: a last tile of one or two rows would take as long
// as one of six, waiting for its few chains.
inline int64_t TileHeight(int64_t rows) {
  const int64_t tiles = (rows + kMaxRows - 1) / kMaxRows;
  return (rows + tiles - 1) / tiles;
}

// Multiplies the copied block of A (rows x k-block) by all panels. The copy of a tile of rows
// begins `tile_stride` behind the one before.
template <typename Step, int64_t kARow, int64_t kAStep>
void MultiplyBlock(const GemmArgs& args, const typename Step::A* copy, int64_t row_begin,
                   int64_t rows, int64_t k_begin, int64_t steps, int64_t tile_stride) {
  using B = typename Step::B;
  const bool zero = k_begin == 0 && !args.accumulate;
  const B* b = static_cast<const B*>(args.b) + k_begin / Step::kDepth * Step::kBStep;
  const int64_t panels = (args.n + kPanelCols - 1) / kPanelCols, tile_rows = TileHeight(rows);
  int64_t p = 0;
  // Few rows: four panels at once, so that enough independent chains hide the latency.
  if constexpr (kPanelParts == 1) {
    if (rows <= 3) {
      const auto tile = ChooseTile<Step, 4, kARow, kAStep>(rows);
      for (; p + 4 <= panels; p += 4) {
        const int64_t left = args.n - p * kPanelCols;
        const int64_t cols[4] = {left, left - kPanelCols, left - 2 * kPanelCols,
                                 left - 3 * kPanelCols};
        tile(copy, b + p * args.b_panel_stride, args.b_panel_stride, steps,
             args.c + row_begin * args.c_row_stride + p * kPanelCols, args.c_row_stride, cols,
             zero);
      }
    }
  }
  for (; p < panels; ++p) {
    for (int part = 0; part < kPanelParts; ++part) {
      const int64_t col = p * kPanelCols + part * kTileCols, left = args.n - col;
      if (left <= 0) break;
      for (int64_t i = 0; i < rows; i += tile_rows) {
        const int64_t height = rows - i < tile_rows ? rows - i : tile_rows;
        ChooseTile<Step, 1, kARow, kAStep>(height)(
            copy + i / tile_rows * tile_stride, b + p * args.b_panel_stride + part * Step::kBPart,
            0, steps, args.c + (row_begin + i) * args.c_row_stride + col, args.c_row_stride, &left,
            zero);
      }
    }
  }
}

// The part of Step that gemm needs beside Do: how A is copied.
struct F32Gemm : F32Step {
  static constexpr int64_t kBPart = kTileCols;
  static constexpr int64_t kStepsPerBlock = kBlockK;
  static void CopyRow(const float* a, int64_t count, float* out) {
    for (int64_t k = 0; k < count; ++k) out[k] = a[k];
  }
  // `out` steps by kPadRows for each k; a steps by `stride`.
  static void CopyCols(const float* a, int64_t stride, int64_t rows, int64_t count, float* out) {
    for (int64_t k = 0; k < count; ++k) {
      for (int64_t i = 0; i < rows; ++i) out[k * kPadRows + i] = a[k * stride + i];
    }
  }
};

template <typename Gemm>
void GemmLoop(const GemmArgs& args) {
  using A = typename Gemm::A;
  constexpr int64_t kSteps = Gemm::kStepsPerBlock;
  constexpr int64_t kStride = kSteps + 16;
  constexpr int64_t kColBlock = kSteps * kPadRows, kRowBlock = kMaxRows * kStride;
  constexpr int64_t kBuffer = 8 * (kRowBlock > kColBlock ? kRowBlock : kColBlock);
  alignas(64) A copy[kBuffer];
  if (args.k == 0 && !args.accumulate) {
    for (int64_t i = 0; i < args.m; ++i) {
      for (int64_t j = 0; j < args.n; ++j) args.c[i * args.c_row_stride + j] = 0;
    }
  }
  for (int64_t k = 0; k < args.k; k += kBlockK) {
    const int64_t count = args.k - k < kBlockK ? args.k - k : kBlockK;
    const int64_t steps = (count + Gemm::kDepth - 1) / Gemm::kDepth;
    for (int64_t row = 0; row < args.m; row += kChunkRows) {
      const int64_t rows = args.m - row < kChunkRows ? args.m - row : kChunkRows;
      const float* a = args.a + row * args.a_row_stride + k * args.a_col_stride;
      const int64_t tile_rows = TileHeight(rows);
      if (args.a_row_stride == 1 && args.a_col_stride != 1) {
        for (int64_t i = 0; i < rows; i += tile_rows) {
          Gemm::CopyCols(a + i, args.a_col_stride, rows - i < tile_rows ? rows - i : tile_rows,
                         count, copy + i / tile_rows * kColBlock);
        }
        MultiplyBlock<Gemm, 1, kPadRows>(args, copy, row, rows, k, steps, kColBlock);
      } else {
        for (int64_t i = 0; i < rows; ++i) {
          Gemm::CopyRow(a + i * args.a_row_stride, count, copy + i * kStride);
        }
        MultiplyBlock<Gemm, kStride, 1>(args, copy, row, rows, k, steps, tile_rows * kStride);
      }
    }
  }
}

void GemmF32(const GemmArgs& args) { GemmLoop<F32Gemm>(args); }

void PackF32(const PackArgs& args) {
  float* panels = static_cast<float*>(args.panels);
  for (int64_t begin = 0, p = 0; begin < args.n; begin += kPanelCols, ++p) {
    const int64_t cols = args.n - begin < kPanelCols ? args.n - begin : kPanelCols;
    float* out = panels + p * args.panel_stride;
    if (args.col_stride == 1) {
      for (int64_t k = 0; k < args.k; ++k) {
        const float* in = args.b + k * args.row_stride + begin;
        for (int64_t j = 0; j < cols; ++j) out[k * kPanelCols + j] = in[j];
        for (int64_t j = cols; j < kPanelCols; ++j) out[k * kPanelCols + j] = 0;
      }
      continue;
    }
    // Transposing: read along k where b is contiguous, eight k at a time.
    for (int64_t k = 0; k < args.k; k += 8) {
      const int64_t depth = args.k - k < 8 ? args.k - k : 8;
      for (int64_t j = 0; j < kPanelCols; ++j) {
        const float* in = args.b + k * args.row_stride + (begin + j) * args.col_stride;
        for (int64_t d = 0; d < depth; ++d) {
          out[(k + d) * kPanelCols + j] = j < cols ? in[d * args.row_stride] : 0.0f;
        }
      }
    }
  }
}

}  // namespace
}  // namespace reckon
