// AVX-512 with the bf16 dot product: vdpbf16ps adds two products a lane to an f32 sum.
#include "kernels/simd_avx512.h"
// The vector type comes first.
#include "kernels/gemm_body.h"
#include "kernels/pack_bf16_body.h"
#include "kernels/rows_body.h"
#include "kernels/tables.h"

namespace reckon {
namespace {

inline __m512bh AsPairs(__m512i v) { return reinterpret_cast<__m512bh>(v); }

struct Bf16Gemm {
  using A = uint32_t;  // a pair of k
  using B = uint32_t;
  static constexpr int64_t kDepth = 2;
  static constexpr int64_t kBStep = kPanelCols;
  static constexpr int64_t kBPart = kTileCols;
  static constexpr int64_t kStepsPerBlock = kBlockK / 2;

  template <int kRows, int kVectors>
  static inline void Do(const A* a, int64_t a_row, const B* const* b, Vec (&acc)[kRows][kVectors]) {
    __m512bh v[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) {
      v[j] = AsPairs(_mm512_loadu_si512(b[j / kTileVectors] + (j % kTileVectors) * kLanes));
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const __m512bh s = AsPairs(_mm512_set1_epi32(static_cast<int>(a[i * a_row])));
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], s, v[j]);
    }
  }

  // Consecutive k of a row become pairs just by rounding.
  static void CopyRow(const float* a, int64_t count, A* out) {
    for (int64_t k = 0; k < count; k += 32) {
      const __m512 low = VLoadN(a + k, count - k, 0);
      const __m512 high = count - k > 16 ? VLoadN(a + k + 16, count - k - 16, 0) : VSet1(0);
      const __m512bh pairs = _mm512_cvtne2ps_pbh(high, low);
      _mm512_mask_storeu_epi32(out + k / 2, LaneMask((count - k + 1) / 2),
                               reinterpret_cast<__m512i>(pairs));
    }
  }
  // Two rows of the transposed A are rounded and interleaved.
  static void CopyCols(const float* a, int64_t stride, int64_t rows, int64_t count, A* out) {
    const __mmask16 mask = LaneMask(rows);
    const __m512i interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int64_t k = 0; k < count; k += 2) {
      const __m512 even = _mm512_maskz_loadu_ps(mask, a + k * stride);
      const __m512 odd =
          k + 1 < count ? _mm512_maskz_loadu_ps(mask, a + (k + 1) * stride) : VSet1(0);
      const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
      _mm512_storeu_si512(out + k / 2 * kPadRows, _mm512_permutexvar_epi16(interleave, both));
    }
  }
};

void GemmBf16(const GemmArgs& args) {
  // Panel strides are given in bf16 elements; the loop counts pairs.
  GemmArgs pairs = args;
  pairs.b_panel_stride = args.b_panel_stride / 2;
  GemmLoop<Bf16Gemm>(pairs);
}

// Contiguous columns: two rows of B are rounded and interleaved, 16 columns at a time.
void PackBf16Rows(const PackArgs& args) {
  uint16_t* panels = static_cast<uint16_t*>(args.panels);
  for (int64_t begin = 0, p = 0; begin < args.n; begin += kPanelCols, ++p) {
    Bf16Gemm::A* out = reinterpret_cast<Bf16Gemm::A*>(panels + p * args.panel_stride);
    for (int64_t part = 0; part < 2; ++part) {
      const int64_t col = begin + part * 16;
      const int64_t cols = args.n - col < 0 ? 0 : args.n - col > 16 ? 16 : args.n - col;
      static_assert(kPadRows == 16);
      const __mmask16 mask = LaneMask(cols);
      const __m512i interleave =
          _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                           6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
      for (int64_t k = 0; k < args.k; k += 2) {
        const float* in = args.b + k * args.row_stride + col;
        const __m512 even = _mm512_maskz_loadu_ps(mask, in);
        const __m512 odd =
            k + 1 < args.k ? _mm512_maskz_loadu_ps(mask, in + args.row_stride) : VSet1(0);
        const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
        _mm512_storeu_si512(out + k / 2 * kPanelCols + part * 16,
                            _mm512_permutexvar_epi16(interleave, both));
      }
    }
  }
}

// Contiguous k (a transposed weight): rounding makes the pairs, one column after another, four k
// pairs at a time.
void PackBf16Cols(const PackArgs& args) {
  uint16_t* panels = static_cast<uint16_t*>(args.panels);
  for (int64_t begin = 0, p = 0; begin < args.n; begin += kPanelCols, ++p) {
    uint32_t* out = reinterpret_cast<uint32_t*>(panels + p * args.panel_stride);
    for (int64_t k = 0; k < args.k; k += 16) {
      const int64_t count = args.k - k < 16 ? args.k - k : 16, pairs = (count + 1) / 2;
      for (int64_t j = 0; j < kPanelCols; ++j) {
        alignas(32) uint32_t rounded[8] = {};
        if (begin + j < args.n) {
          const __m512 values = VLoadN(args.b + (begin + j) * args.col_stride + k, count, 0);
          _mm256_store_si256(reinterpret_cast<__m256i*>(rounded),
                             reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)));
        }
        for (int64_t d = 0; d < pairs; ++d) out[(k / 2 + d) * kPanelCols + j] = rounded[d];
      }
    }
  }
}

void PackBf16Fast(const PackArgs& args) {
  if (args.col_stride == 1) {
    PackBf16Rows(args);
  } else if (args.row_stride == 1) {
    PackBf16Cols(args);
  } else {
    PackBf16(args);
  }
}

}  // namespace

void FillAvx512Bf16Table(KernelTable& table) {
  table.isa = "avx512bf16";
  table.native_bf16 = true;
  FillRowFunctions(table);
  table.gemm_f32 = GemmF32;
  table.pack_f32 = PackF32;
  table.gemm_bf16 = GemmBf16;
  table.pack_bf16 = PackBf16Fast;
}

}  // namespace reckon
