// Known answers that are asked of a table before it is trusted.
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/kernel_table.h"

namespace reckon {
namespace {

bool Near(double value, double expected, double tolerance) {
  return std::fabs(value - expected) <= tolerance;
}

// Small integers, so that every product sum is exact in f32 and in bf16.
float Small(int64_t i) { return static_cast<float>((i * 7 + 3) % 11 - 5); }

bool GemmWorks(const KernelTable& t, bool bf16) {
  constexpr int64_t kM = 17, kN = 37, kK = 9;
  std::vector<float> a(kM * kK), b(kK * kN), c(kM * kN, 1.0f);
  for (size_t i = 0; i < a.size(); ++i) a[i] = Small(static_cast<int64_t>(i));
  for (size_t i = 0; i < b.size(); ++i) b[i] = Small(static_cast<int64_t>(i) + 2);
  std::vector<float> panels(2 * (kK + 1) * kPanelCols);
  const int64_t stride = (kK + 1) * kPanelCols;
  const PackArgs pack{kK, kN, b.data(), kN, 1, panels.data(), stride};
  (bf16 ? t.pack_bf16 : t.pack_f32)(pack);
  const GemmArgs gemm{kM, kN, kK, a.data(), kK, 1, panels.data(), stride, c.data(), kN, true};
  (bf16 ? t.gemm_bf16 : t.gemm_f32)(gemm);
  for (int64_t i = 0; i < kM; ++i) {
    for (int64_t j = 0; j < kN; ++j) {
      double sum = 1;
      for (int64_t k = 0; k < kK; ++k) {
        sum += static_cast<double>(a[static_cast<size_t>(i * kK + k)]) *
               b[static_cast<size_t>(k * kN + j)];
      }
      if (c[static_cast<size_t>(i * kN + j)] != sum) return false;
    }
  }
  return true;
}

constexpr int64_t kN = 21;  // more than one group of lanes, and a rest

struct Rows {
  float x[kN], w[kN], y[kN], z[kN];
  Rows() {
    for (int64_t i = 0; i < kN; ++i) {
      x[i] = 0.25f * Small(i);
      w[i] = 0.5f * Small(i + 5);
      y[i] = z[i] = 0;
    }
  }
};

bool NormWorks(const KernelTable& t) {
  Rows r;
  double squares = 0;
  for (float v : r.x) squares += static_cast<double>(v) * v;
  const double inv = 1 / std::sqrt(squares / kN + 1e-6);
  if (!Near(t.rms_norm(r.x, r.w, 1e-6f, kN, r.y), inv, 1e-6 * inv)) return false;
  double sum = 0;
  for (int64_t i = 0; i < kN; ++i) sum += static_cast<double>(r.w[i]) * r.w[i] * r.x[i];
  t.rms_norm_backward(r.x, r.w, static_cast<float>(inv), r.w, kN, false, r.z);
  for (int64_t i = 0; i < kN; ++i) {
    if (!Near(r.y[i], r.x[i] * inv * r.w[i], 1e-5)) return false;
    const double d = inv * (static_cast<double>(r.w[i]) * r.w[i] - r.x[i] * inv * inv * sum / kN);
    if (!Near(r.z[i], d, 1e-4)) return false;
  }
  float dw[kN] = {};
  t.rms_norm_dweight(r.x, 2.0f, r.w, kN, dw);
  return dw[kN - 1] == r.w[kN - 1] * (r.x[kN - 1] * 2.0f);
}

bool SiluWorks(const KernelTable& t) {
  Rows r;
  float dg[kN], du[kN], ones[kN];
  for (float& one : ones) one = 1;
  t.silu_mul(r.x, r.w, kN, r.y);
  t.silu_mul_backward(r.x, r.w, ones, kN, dg, du);
  t.sigmoid(r.x, kN, r.z);
  for (int64_t i = 0; i < kN; ++i) {
    const double s = 1 / (1 + std::exp(-static_cast<double>(r.x[i])));
    if (!Near(r.z[i], s, 1e-6) || !Near(r.y[i], r.x[i] * s * r.w[i], 1e-5)) return false;
    if (!Near(du[i], r.x[i] * s, 1e-5)) return false;
    if (!Near(dg[i], r.w[i] * s * (1 + r.x[i] * (1 - s)), 1e-5)) return false;
  }
  return true;
}

bool SoftmaxWorks(const KernelTable& t) {
  Rows r;
  double sum = 0, entropy = 0;
  for (float v : r.x) sum += std::exp(2.0 * v);
  t.softmax(r.x, 2.0f, kN, r.y);
  for (int64_t i = 0; i < kN; ++i) {
    const double p = std::exp(2.0 * r.x[i]) / sum;
    entropy -= p * std::log(p);
    if (!Near(r.y[i], p, 1e-6)) return false;
  }
  const SoftmaxStats stats = t.softmax_stats(r.x, 2.0f, kN);
  if (!Near(stats.log_sum_exp, std::log(sum), 1e-6) || !Near(stats.entropy, entropy, 1e-5))
    return false;
  t.log_prob_backward(r.x, 2.0f, stats.log_sum_exp, 4, 3.0f, kN, r.z);
  for (int64_t i = 0; i < kN; ++i) {
    if (!Near(r.z[i], 6.0 * ((i == 4 ? 1.0 : 0.0) - r.y[i]), 1e-5)) return false;
  }
  t.softmax_backward(r.y, r.w, 0.5f, kN, r.z);
  double dot = 0;
  for (int64_t i = 0; i < kN; ++i) dot += static_cast<double>(r.y[i]) * r.w[i];
  for (int64_t i = 0; i < kN; ++i) {
    if (!Near(r.z[i], 0.5 * r.y[i] * (r.w[i] - dot), 1e-6)) return false;
  }
  return true;
}

bool ExpWorks(const KernelTable& t) {
  const float in[6] = {0, 1, -1, -100, 100, 10};
  float out[6];
  t.exp(in, 6, out);
  return out[0] == 1 && Near(out[1], 2.718281828, 5e-7) && Near(out[2], 0.3678794412, 1e-7) &&
         out[3] == 0 && std::isinf(out[4]) && Near(out[5], 22026.46579, 5e-3);
}

bool RopeWorks(const KernelTable& t) {
  const float x[4] = {1, 2, 3, 4}, cos[2] = {0, 1}, sin[2] = {1, 0};
  float y[4];
  t.rope_interleaved(x, cos, sin, 1, 2, y);
  if (y[0] != -2 || y[1] != 1 || y[2] != 3 || y[3] != 4) return false;
  t.rope_half_split(x, cos, sin, -1, 2, y);
  return y[0] == 3 && y[2] == -1 && y[1] == 2 && y[3] == 4;
}

bool VectorsWork(const KernelTable& t) {
  Rows r;
  double dot = 0, squares = 0;
  for (int64_t i = 0; i < kN; ++i) {
    dot += static_cast<double>(r.x[i]) * r.w[i];
    squares += static_cast<double>(r.x[i]) * r.x[i];
  }
  if (t.dot(r.x, r.w, kN) != dot || t.sum_squares(r.x, kN) != squares) return false;
  t.add(r.x, r.w, kN, r.y);
  t.scale(2.0f, r.x, kN, r.z);
  for (int64_t i = 0; i < kN; ++i) {
    if (r.y[i] != r.x[i] + r.w[i] || r.z[i] != 2 * r.x[i]) return false;
  }
  t.axpy(2.0f, r.x, kN, r.y);
  if (r.y[kN - 1] != 3 * r.x[kN - 1] + r.w[kN - 1]) return false;
  const float tie[3] = {1, 5, 5};
  return t.argmax(tie, 3) == 1;
}

bool AdamWWorks(const KernelTable& t) {
  float p[3] = {1, -1, 2}, g[3] = {0.5f, -2, 0}, m[3] = {}, v[3] = {};
  AdamWArgs args{3, p, g, m, v, 1.0f, 0.1f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.1f, std::sqrt(0.01f)};
  t.adamw(args);
  return Near(p[0], 1 * 0.99 - 0.1, 1e-5) && Near(p[1], -1 * 0.99 + 0.1, 1e-5) &&
         Near(p[2], 2 * 0.99, 1e-5) && Near(m[0], 0.05, 1e-6) && Near(v[1], 0.04, 1e-6);
}

bool Bf16Works(const KernelTable& t) {
  const uint32_t bits[4] = {0x3f808000u, 0x3f818000u, 0x3f808001u, 0xc2280000u};
  float in[4], out[4];
  std::memcpy(in, bits, sizeof(in));
  uint16_t rounded[4];
  t.f32_to_bf16(in, 4, rounded);
  t.bf16_to_f32(rounded, 4, out);
  return rounded[0] == 0x3f80 && rounded[1] == 0x3f82 && rounded[2] == 0x3f81 && out[3] == -42.0f;
}

}  // namespace

const char* SelfTest(const KernelTable& table) {
  if (!GemmWorks(table, false)) return "gemm_f32";
  if (!GemmWorks(table, true)) return "gemm_bf16";
  if (!NormWorks(table)) return "rms_norm";
  if (!SiluWorks(table)) return "silu_mul";
  if (!SoftmaxWorks(table)) return "softmax";
  if (!ExpWorks(table)) return "exp";
  if (!RopeWorks(table)) return "rope";
  if (!VectorsWork(table)) return "dot";
  if (!AdamWWorks(table)) return "adamw";
  if (!Bf16Works(table)) return "f32_to_bf16";
  return nullptr;
}

}  // namespace reckon
