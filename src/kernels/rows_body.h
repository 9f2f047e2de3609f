// Row-wise functions of the kernel table, written once over the vector type of simd_<isa>.h, which
// the including file has included before. Sixteen virtual lanes on every instruction set.
#pragma once

#include "kernels/kernel_table.h"

namespace reckon {
namespace {

constexpr int kParts = 16 / kLanes;

// Sixteen lanes.
struct F16 {
  Vec v[kParts];
};

inline F16 Set1(float a) {
  F16 r;
  for (Vec& v : r.v) v = VSet1(a);
  return r;
}
// Lanes from n on hold `fill`; p is read only where lanes exist.
inline F16 Load(const float* p, int64_t n, float fill) {
  F16 r;
  if (n >= 16) {
    for (int i = 0; i < kParts; ++i) r.v[i] = VLoad(p + i * kLanes);
  } else {
    for (int i = 0; i < kParts; ++i) r.v[i] = VLoadN(p + i * kLanes, n - i * kLanes, fill);
  }
  return r;
}
inline void Store(float* p, int64_t n, F16 a) {
  if (n >= 16) {
    for (int i = 0; i < kParts; ++i) VStore(p + i * kLanes, a.v[i]);
  } else {
    for (int i = 0; i < kParts; ++i) VStoreN(p + i * kLanes, n - i * kLanes, a.v[i]);
  }
}
inline F16 Add(F16 a, F16 b) {
  for (int i = 0; i < kParts; ++i) a.v[i] = VAdd(a.v[i], b.v[i]);
  return a;
}
inline F16 Sub(F16 a, F16 b) {
  for (int i = 0; i < kParts; ++i) a.v[i] = VSub(a.v[i], b.v[i]);
  return a;
}
inline F16 Mul(F16 a, F16 b) {
  for (int i = 0; i < kParts; ++i) a.v[i] = VMul(a.v[i], b.v[i]);
  return a;
}
inline F16 Div(F16 a, F16 b) {
  for (int i = 0; i < kParts; ++i) a.v[i] = VDiv(a.v[i], b.v[i]);
  return a;
}
inline F16 Max(F16 a, F16 b) {
  for (int i = 0; i < kParts; ++i) a.v[i] = VMax(a.v[i], b.v[i]);
  return a;
}
inline F16 Fma(F16 a, F16 b, F16 c) {
  for (int i = 0; i < kParts; ++i) c.v[i] = VFma(a.v[i], b.v[i], c.v[i]);
  return c;
}

// The tree of the contract: l += l+8, l += l+4, l += l+2, l += l+1.
inline float SumLanes(F16 a) {
  float x[16];
  Store(x, 16, a);
  for (int i = 0; i < 8; ++i) x[i] = x[i] + x[i + 8];
  for (int i = 0; i < 4; ++i) x[i] = x[i] + x[i + 4];
  return (x[0] + x[2]) + (x[1] + x[3]);
}
inline float MaxLanes(F16 a) {
  float x[16];
  Store(x, 16, a);
  float max = x[0];
  for (int i = 1; i < 16; ++i) max = x[i] > max ? x[i] : max;
  return max;
}

// e^x: x = k ln 2 + r with |r| <= ln(2) / 2, a Taylor polynomial of degree 7 in r (remainder below
// 0.1 unit in the last place), times 2^k in two factors. 0 below -87, infinity above 88.72.
inline Vec VExp(Vec x) {
  const Vec magic = VSet1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec t = VFma(x, VSet1(1.44269504f), magic);
  const Vec k = VSub(t, magic);
  Vec r = VFma(k, VSet1(-0.693359375f), x);
  r = VFma(k, VSet1(2.12194440e-4f), r);
  Vec p = VFma(r, VSet1(1.98412698e-4f), VSet1(1.38888889e-3f));
  p = VFma(p, r, VSet1(8.33333333e-3f));
  p = VFma(p, r, VSet1(4.16666667e-2f));
  p = VFma(p, r, VSet1(1.66666667e-1f));
  p = VFma(p, r, VSet1(0.5f));
  p = VFma(VMul(r, r), p, r);
  p = VAdd(p, VSet1(1.0f));
  p = VScaleByPowerOfTwo(p, t);
  p = VSelectLess(x, VSet1(-87.0f), VSet1(0.0f), p);
  return VSelectLess(VSet1(88.72f), x, VSet1(__builtin_inff()), p);
}
inline F16 Exp(F16 x) {
  for (Vec& v : x.v) v = VExp(v);
  return x;
}

// log(x) for a normal x > 0: m 2^e with m in [sqrt(1/2), sqrt(2)), 2 atanh((m-1)/(m+1)), in double
// without fma: good to about 1e-15.
inline double LogScalar(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  int exponent = static_cast<int>(bits >> 23) - 127;
  double m = static_cast<double>(__builtin_bit_cast(float, (bits & 0x7fffffu) | 0x3f800000u));
  if (m > 1.41421356237309505) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1), z = s * s;
  double sum = 0;
  for (int n = 19; n >= 3; n -= 2) sum = (sum + 1.0 / n) * z;
  return exponent * 0.693147180559945309417 + 2 * (s + s * sum);
}

inline F16 Sigmoid(F16 x) { return Div(Set1(1.0f), Add(Set1(1.0f), Exp(Sub(Set1(0.0f), x)))); }

float RmsNorm(const float* x, const float* weight, float eps, int64_t n, float* y) {
  F16 sum = Set1(0);
  for (int64_t i = 0; i < n; i += 16) {
    const F16 a = Load(x + i, n - i, 0);
    sum = Fma(a, a, sum);
  }
  const float mean = SumLanes(sum) / static_cast<float>(n);
  const float inv_rms = 1.0f / __builtin_sqrtf(mean + eps);
  const F16 scale = Set1(inv_rms);
  for (int64_t i = 0; i < n; i += 16) {
    const F16 a = Load(x + i, n - i, 0), w = Load(weight + i, n - i, 0);
    Store(y + i, n - i, Mul(Mul(a, scale), w));
  }
  return inv_rms;
}

void RmsNormBackward(const float* x, const float* weight, float inv_rms, const float* dy, int64_t n,
                     bool accumulate, float* dx) {
  F16 sum = Set1(0);
  for (int64_t i = 0; i < n; i += 16) {
    const F16 g = Mul(Load(weight + i, n - i, 0), Load(dy + i, n - i, 0));
    sum = Fma(g, Load(x + i, n - i, 0), sum);
  }
  const float mean = SumLanes(sum) / static_cast<float>(n);
  const F16 scale = Set1(inv_rms), factor = Set1(-(inv_rms * inv_rms * mean));
  for (int64_t i = 0; i < n; i += 16) {
    const F16 g = Mul(Load(weight + i, n - i, 0), Load(dy + i, n - i, 0));
    F16 d = Mul(scale, Fma(Load(x + i, n - i, 0), factor, g));
    if (accumulate) d = Add(Load(dx + i, n - i, 0), d);
    Store(dx + i, n - i, d);
  }
}

void RmsNormDweight(const float* x, float inv_rms, const float* dy, int64_t n, float* dweight) {
  const F16 scale = Set1(inv_rms);
  for (int64_t i = 0; i < n; i += 16) {
    const F16 normed = Mul(Load(x + i, n - i, 0), scale);
    Store(dweight + i, n - i, Fma(Load(dy + i, n - i, 0), normed, Load(dweight + i, n - i, 0)));
  }
}

void SiluMul(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 16) {
    const F16 g = Load(gate + i, n - i, 0);
    Store(out + i, n - i, Mul(Mul(g, Sigmoid(g)), Load(up + i, n - i, 0)));
  }
}

void SiluMulBackward(const float* gate, const float* up, const float* dout, int64_t n, float* dgate,
                     float* dup) {
  for (int64_t i = 0; i < n; i += 16) {
    const F16 g = Load(gate + i, n - i, 0), u = Load(up + i, n - i, 0);
    const F16 d = Load(dout + i, n - i, 0), s = Sigmoid(g);
    const F16 slope = Mul(s, Fma(g, Sub(Set1(1.0f), s), Set1(1.0f)));
    Store(dup + i, n - i, Mul(d, Mul(g, s)));
    Store(dgate + i, n - i, Mul(Mul(d, u), slope));
  }
}

void SigmoidRow(const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 16) Store(y + i, n - i, Sigmoid(Load(x + i, n - i, 0)));
}

void ExpRow(const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 16) Store(y + i, n - i, Exp(Load(x + i, n - i, 0)));
}

float ScaledMax(const float* x, float scale, int64_t n) {
  const F16 s = Set1(scale);
  F16 max = Set1(-__builtin_inff());
  for (int64_t i = 0; i < n; i += 16) {
    max = Max(Mul(s, Load(x + i, n - i, -__builtin_inff())), max);
  }
  return MaxLanes(max);
}

void Softmax(const float* x, float scale, int64_t n, float* y) {
  const float max = ScaledMax(x, scale, n);
  const F16 s = Set1(scale), shift = Set1(-max);
  F16 sum = Set1(0);
  for (int64_t i = 0; i < n; i += 16) {
    const F16 e = Exp(Add(Mul(s, Load(x + i, n - i, -__builtin_inff())), shift));
    sum = Add(sum, e);
    Store(y + i, n - i, e);
  }
  const F16 inverse = Set1(1.0f / SumLanes(sum));
  for (int64_t i = 0; i < n; i += 16) Store(y + i, n - i, Mul(Load(y + i, n - i, 0), inverse));
}

void SoftmaxBackward(const float* y, const float* dy, float scale, int64_t n, float* dx) {
  F16 sum = Set1(0);
  for (int64_t i = 0; i < n; i += 16) {
    sum = Fma(Load(y + i, n - i, 0), Load(dy + i, n - i, 0), sum);
  }
  const F16 total = Set1(SumLanes(sum)), s = Set1(scale);
  for (int64_t i = 0; i < n; i += 16) {
    const F16 d = Sub(Load(dy + i, n - i, 0), total);
    Store(dx + i, n - i, Mul(s, Mul(Load(y + i, n - i, 0), d)));
  }
}

SoftmaxStats StatsOfSoftmax(const float* x, float scale, int64_t n) {
  SoftmaxStats stats;
  stats.max = ScaledMax(x, scale, n);
  const F16 s = Set1(scale), shift = Set1(-stats.max);
  F16 sum = Set1(0), weighted = Set1(0);
  for (int64_t i = 0; i < n; i += 16) {
    // A lane that does not exist, or a logit of -infinity, weighs nothing: -87 and below give 0.
    const F16 z = Max(Add(Mul(s, Load(x + i, n - i, -__builtin_inff())), shift), Set1(-200.0f));
    const F16 e = Exp(z);
    sum = Add(sum, e);
    weighted = Fma(e, z, weighted);
  }
  const float total = SumLanes(sum);
  const double log_total = LogScalar(total);
  stats.log_sum_exp = static_cast<float>(static_cast<double>(stats.max) + log_total);
  stats.entropy = static_cast<float>(log_total - static_cast<double>(SumLanes(weighted)) / total);
  return stats;
}

void LogProbBackward(const float* x, float scale, float log_sum_exp, int64_t target,
                     float coefficient, int64_t n, float* dx) {
  const F16 s = Set1(scale), shift = Set1(-log_sum_exp), factor = Set1(-(coefficient * scale));
  for (int64_t i = 0; i < n; i += 16) {
    const F16 z = Add(Mul(s, Load(x + i, n - i, -__builtin_inff())), shift);
    Store(dx + i, n - i, Mul(factor, Exp(z)));
  }
  dx[target] = dx[target] + coefficient * scale;
}

void RopeInterleaved(const float* x, const float* cos, const float* sin, float sign, int64_t half,
                     float* y) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1], s = sign * sin[i];
    y[2 * i] = a * cos[i] - b * s;
    y[2 * i + 1] = a * s + b * cos[i];
  }
}

void RopeHalfSplit(const float* x, const float* cos, const float* sin, float sign, int64_t half,
                   float* y) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half], s = sign * sin[i];
    y[i] = a * cos[i] - b * s;
    y[i + half] = a * s + b * cos[i];
  }
}

void AddRow(const float* x, const float* y, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] + y[i];
}

void Axpy(float a, const float* x, int64_t n, float* y) {
  const F16 factor = Set1(a);
  for (int64_t i = 0; i < n; i += 16) {
    Store(y + i, n - i, Fma(factor, Load(x + i, n - i, 0), Load(y + i, n - i, 0)));
  }
}

void ScaleRow(float a, const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = a * x[i];
}

float Dot(const float* x, const float* y, int64_t n) {
  F16 sum = Set1(0);
  for (int64_t i = 0; i < n; i += 16) {
    sum = Fma(Load(x + i, n - i, 0), Load(y + i, n - i, 0), sum);
  }
  return SumLanes(sum);
}

// The square of a float is exact in double, so a fused and an unfused sum have the same bits.
double SumSquares(const float* x, int64_t n) {
  double lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int l = 0; l < 16; ++l) {
      lanes[l] += static_cast<double>(x[i + l]) * static_cast<double>(x[i + l]);
    }
  }
  for (int l = 0; i + l < n; ++l) {
    lanes[l] += static_cast<double>(x[i + l]) * static_cast<double>(x[i + l]);
  }
  for (int width = 8; width >= 1; width /= 2) {
    for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

int64_t Argmax(const float* x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i) {
    if (x[i] > x[best]) best = i;
  }
  return best;
}

void AdamW(const AdamWArgs& args) {
  float* __restrict p = args.parameter;
  float* __restrict m = args.first_moment;
  float* __restrict v = args.second_moment;
  const float* __restrict g = args.gradient;
  const float scale = args.gradient_scale, b1 = args.beta1, b2 = args.beta2, eps = args.epsilon;
  const float c1 = 1.0f - b1, c2 = 1.0f - b2;
  const float keep = 1.0f - args.learning_rate * args.weight_decay;
  const float step = args.learning_rate / args.bias_correction1;
  const float inverse = 1.0f / args.sqrt_bias_correction2;
  for (int64_t i = 0; i < args.n; ++i) {
    const float d = g[i] * scale;
    m[i] = b1 * m[i] + c1 * d;
    v[i] = b2 * v[i] + c2 * (d * d);
    p[i] = p[i] * keep - step * (m[i] / (__builtin_sqrtf(v[i]) * inverse + eps));
  }
}

// Nearest even on the bits; a NaN stays one.
inline uint16_t RoundToBf16(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

void F32ToBf16(const float* x, int64_t n, uint16_t* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = RoundToBf16(x[i]);
}

void Bf16ToF32(const uint16_t* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) {
    y[i] = __builtin_bit_cast(float, static_cast<uint32_t>(x[i]) << 16);
  }
}

void FillRowFunctions(KernelTable& table) {
  table.rms_norm = RmsNorm;
  table.rms_norm_backward = RmsNormBackward;
  table.rms_norm_dweight = RmsNormDweight;
  table.silu_mul = SiluMul;
  table.silu_mul_backward = SiluMulBackward;
  table.sigmoid = SigmoidRow;
  table.exp = ExpRow;
  table.softmax = Softmax;
  table.softmax_backward = SoftmaxBackward;
  table.softmax_stats = StatsOfSoftmax;
  table.log_prob_backward = LogProbBackward;
  table.rope_interleaved = RopeInterleaved;
  table.rope_half_split = RopeHalfSplit;
  table.add = AddRow;
  table.axpy = Axpy;
  table.scale = ScaleRow;
  table.dot = Dot;
  table.sum_squares = SumSquares;
  table.argmax = Argmax;
  table.adamw = AdamW;
  table.f32_to_bf16 = F32ToBf16;
  table.bf16_to_f32 = Bf16ToF32;
}

}  // namespace
}  // namespace reckon
