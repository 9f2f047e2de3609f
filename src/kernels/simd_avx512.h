// Sixteen floats at a time: AVX-512 F, BW, DQ, VL.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace reckon {
namespace {

constexpr int kLanes = 16;
constexpr int kMaxRows = 14;
constexpr int kTileVectors = 2;

using Vec = __m512;

inline __mmask16 LaneMask(int64_t n) {
  return n >= kLanes ? static_cast<__mmask16>(0xffff)
         : n <= 0    ? static_cast<__mmask16>(0)
                     : static_cast<__mmask16>((1u << n) - 1u);
}

inline Vec VSet1(float a) { return _mm512_set1_ps(a); }
inline Vec VLoad(const float* p) { return _mm512_loadu_ps(p); }
inline void VStore(float* p, Vec a) { _mm512_storeu_ps(p, a); }
inline Vec VLoadN(const float* p, int64_t n, float fill) {
  return _mm512_mask_loadu_ps(VSet1(fill), LaneMask(n), p);
}
inline void VStoreN(float* p, int64_t n, Vec a) { _mm512_mask_storeu_ps(p, LaneMask(n), a); }
inline Vec VAdd(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec VSub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec VMul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec VDiv(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec VMax(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec VFma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec VSelectLess(Vec a, Vec b, Vec x, Vec y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
inline Vec VScaleByPowerOfTwo(Vec p, Vec t) {
  const __m512i k = _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_set1_epi32(0x4B400000));
  const __m512i half = _mm512_srai_epi32(k, 1), bias = _mm512_set1_epi32(127);
  const __m512i s1 = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
  const __m512i s2 = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(k, half), bias), 23);
  return VMul(VMul(p, _mm512_castsi512_ps(s1)), _mm512_castsi512_ps(s2));
}
inline Vec VEvenOfPairs(const uint32_t* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}
inline Vec VOddOfPairs(const uint32_t* p) {
  return _mm512_castsi512_ps(
      _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

}  // namespace
}  // namespace reckon
