// Eight floats at a time: AVX2 with FMA.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace reckon {
namespace {

constexpr int kLanes = 8;
constexpr int kMaxRows = 6;
constexpr int kTileVectors = 2;

using Vec = __m256;

inline __m256i LaneMask(int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const int count = n < 0 ? 0 : n > kLanes ? kLanes : static_cast<int>(n);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), index);
}

inline Vec VSet1(float a) { return _mm256_set1_ps(a); }
inline Vec VLoad(const float* p) { return _mm256_loadu_ps(p); }
inline void VStore(float* p, Vec a) { _mm256_storeu_ps(p, a); }
inline Vec VLoadN(const float* p, int64_t n, float fill) {
  const __m256i mask = LaneMask(n);
  return _mm256_blendv_ps(VSet1(fill), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
inline void VStoreN(float* p, int64_t n, Vec a) { _mm256_maskstore_ps(p, LaneMask(n), a); }
inline Vec VAdd(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec VSub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec VMul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec VDiv(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec VMax(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec VFma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec VSelectLess(Vec a, Vec b, Vec x, Vec y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
inline Vec VScaleByPowerOfTwo(Vec p, Vec t) {
  const __m256i k = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(0x4B400000));
  const __m256i half = _mm256_srai_epi32(k, 1), bias = _mm256_set1_epi32(127);
  const __m256i s1 = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i s2 = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(k, half), bias), 23);
  return VMul(VMul(p, _mm256_castsi256_ps(s1)), _mm256_castsi256_ps(s2));
}
inline Vec VEvenOfPairs(const uint32_t* p) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}
inline Vec VOddOfPairs(const uint32_t* p) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm256_castsi256_ps(
      _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}

}  // namespace
}  // namespace reckon
