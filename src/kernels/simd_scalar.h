// Four floats at a time in plain C++: the vector type of the table for any x86-64.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reckon {
namespace {

constexpr int kLanes = 4;
constexpr int kMaxRows = 4;      // rows of a register tile
constexpr int kTileVectors = 2;  // vectors of a register tile's row, for one panel part

struct Vec {
  float x[kLanes];
};

inline Vec VSet1(float a) { return {{a, a, a, a}}; }
inline Vec VLoad(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
inline void VStore(float* p, Vec a) {
  for (int i = 0; i < kLanes; ++i) p[i] = a.x[i];
}
inline Vec VLoadN(const float* p, int64_t n, float fill) {
  Vec r = VSet1(fill);
  for (int i = 0; i < kLanes && i < n; ++i) r.x[i] = p[i];
  return r;
}
inline void VStoreN(float* p, int64_t n, Vec a) {
  for (int i = 0; i < kLanes && i < n; ++i) p[i] = a.x[i];
}
inline Vec VAdd(Vec a, Vec b) {
  for (int i = 0; i < kLanes; ++i) a.x[i] = a.x[i] + b.x[i];
  return a;
}
inline Vec VSub(Vec a, Vec b) {
  for (int i = 0; i < kLanes; ++i) a.x[i] = a.x[i] - b.x[i];
  return a;
}
inline Vec VMul(Vec a, Vec b) {
  for (int i = 0; i < kLanes; ++i) a.x[i] = a.x[i] * b.x[i];
  return a;
}
inline Vec VDiv(Vec a, Vec b) {
  for (int i = 0; i < kLanes; ++i) a.x[i] = a.x[i] / b.x[i];
  return a;
}
// a > b ? a : b, as maxps: the second operand where either is NaN.
inline Vec VMax(Vec a, Vec b) {
  for (int i = 0; i < kLanes; ++i) a.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i];
  return a;
}
inline Vec VFma(Vec a, Vec b, Vec c) {
  for (int i = 0; i < kLanes; ++i) c.x[i] = __builtin_fmaf(a.x[i], b.x[i], c.x[i]);
  return c;
}
inline Vec VSelectLess(Vec a, Vec b, Vec x, Vec y) {
  for (int i = 0; i < kLanes; ++i) y.x[i] = a.x[i] < b.x[i] ? x.x[i] : y.x[i];
  return y;
}
// p * 2^k where the low bits of t, a float of the form 1.5 * 2^23 + k, hold k.
inline Vec VScaleByPowerOfTwo(Vec p, Vec t) {
  for (int i = 0; i < kLanes; ++i) {
    const int32_t k = static_cast<int32_t>(__builtin_bit_cast(uint32_t, t.x[i]) - 0x4B400000u);
    const int32_t half = k >> 1;
    const uint32_t s1 = static_cast<uint32_t>(half + 127) << 23;
    const uint32_t s2 = (static_cast<uint32_t>(k) - static_cast<uint32_t>(half) + 127u) << 23;
    p.x[i] = p.x[i] * __builtin_bit_cast(float, s1) * __builtin_bit_cast(float, s2);
  }
  return p;
}
// bf16 pairs, one a dword: the even (low) and the odd (high) element as f32.
inline Vec VEvenOfPairs(const uint32_t* p) {
  Vec r;
  for (int i = 0; i < kLanes; ++i) r.x[i] = __builtin_bit_cast(float, p[i] << 16);
  return r;
}
inline Vec VOddOfPairs(const uint32_t* p) {
  Vec r;
  for (int i = 0; i < kLanes; ++i) r.x[i] = __builtin_bit_cast(float, p[i] & 0xffff0000u);
  return r;
}

}  // namespace
}  // namespace reckon
