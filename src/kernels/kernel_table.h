// The numeric loops of the project behind one table of functions, one table an instruction set.
// Raw pointers in and out; nothing here knows a tensor, a thread or an error.
//
// The contract that everything above relies on (docs/numerics.md):
//   * f32 functions give the same bits on every table. A reduction has one order, fixed here:
//       chain   acc = fma(a[k], b[k], acc), k ascending, from acc = 0 (or from C when accumulating)
//       lanes   lane l of 16 takes elements l, l+16, l+32, ... in order, as a chain; the lanes are
//               then added as a tree: l += l+8, l += l+4, l += l+2, l += l+1
//   * No result depends on how many rows or columns are computed in the same call.
//   * Matrix products are chains for every element. Row reductions are lanes.
//   * exp and log are polynomials written with explicit fma, the same for a lane and a scalar.
//   * Callers run them with flush-to-zero and denormals-are-zero set (ThreadPool does).
#pragma once

#include <cstddef>
#include <cstdint>

namespace reckon {

// Columns of a packed right operand come in panels of this many: panel p holds columns
// [32p, 32p+32) as [k][32], zero-padded to the full width.
inline constexpr int64_t kPanelCols = 32;

// C[i, j] = (accumulate ? C[i, j] : 0) + sum_k A(i, k) * B(k, j)
struct GemmArgs {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;  // A(i, k) = a[i * a_row_stride + k * a_col_stride]
  int64_t a_row_stride = 0, a_col_stride = 1;
  const void* b = nullptr;     // packed panels; panel p begins at b + p * b_panel_stride (elements)
  int64_t b_panel_stride = 0;  // f32: at least k * 32; bf16: at least RoundUp(k, 2) * 32
  float* c = nullptr;          // [m, n]
  int64_t c_row_stride = 0;
  bool accumulate = false;
};

// Packs B(k, j) = b[k * row_stride + j * col_stride] of [k, n] into ceil(n / 32) panels.
struct PackArgs {
  int64_t k = 0, n = 0;
  const float* b = nullptr;
  int64_t row_stride = 0, col_stride = 1;
  void* panels = nullptr;
  int64_t panel_stride = 0;  // elements, as in GemmArgs
};

struct AdamWArgs {
  int64_t n = 0;
  float* parameter = nullptr;
  const float* gradient = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  float gradient_scale = 1;  // clipping factor
  float learning_rate = 0, beta1 = 0, beta2 = 0, epsilon = 0, weight_decay = 0;
  float bias_correction1 = 1;       // 1 - beta1^step
  float sqrt_bias_correction2 = 1;  // sqrt(1 - beta2^step)
};

struct SoftmaxStats {
  float max = 0;
  float log_sum_exp = 0;  // natural, of scale * x
  float entropy = 0;      // nats
};

struct KernelTable {
  const char* isa = "";      // "scalar", "avx2", "avx512", "avx512bf16"
  bool native_bf16 = false;  // bf16 products run on dedicated instructions

  // Matrix products. gemm_bf16 rounds A to bf16 (nearest even) as it reads it and multiplies by
  // bf16 panels, in pairs of k, accumulating in f32; same bits for any m and n on one table.
  void (*gemm_f32)(const GemmArgs&) = nullptr;
  void (*gemm_bf16)(const GemmArgs&) = nullptr;
  void (*pack_f32)(const PackArgs&) = nullptr;
  void (*pack_bf16)(const PackArgs&) = nullptr;  // [k / 2][32][2] uint16, odd k zero-padded

  // y[i] = x[i] * inv_rms * weight[i]; returns inv_rms = 1 / sqrt(mean(x^2) + eps).  y may be x.
  float (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* y) = nullptr;
  // dx (+)= inv_rms * (w*dy - x * inv_rms^2 * mean(w*dy*x))
  void (*rms_norm_backward)(const float* x, const float* weight, float inv_rms, const float* dy,
                            int64_t n, bool accumulate, float* dx) = nullptr;
  // dweight[i] += dy[i] * (x[i] * inv_rms), one row; the caller runs rows in order.
  void (*rms_norm_dweight)(const float* x, float inv_rms, const float* dy, int64_t n,
                           float* dweight) = nullptr;

  // out = silu(gate) * up, and its gradients.
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out) = nullptr;
  void (*silu_mul_backward)(const float* gate, const float* up, const float* dout, int64_t n,
                            float* dgate, float* dup) = nullptr;
  void (*sigmoid)(const float* x, int64_t n, float* y) = nullptr;
  void (*exp)(const float* x, int64_t n, float* y) = nullptr;

  // y = softmax(scale * x) over n values. y may be x.
  void (*softmax)(const float* x, float scale, int64_t n, float* y) = nullptr;
  // dx = scale * y * (dy - sum(y * dy)) over n values. dx may be dy.
  void (*softmax_backward)(const float* y, const float* dy, float scale, int64_t n,
                           float* dx) = nullptr;
  // Statistics of softmax(scale * x).
  SoftmaxStats (*softmax_stats)(const float* x, float scale, int64_t n) = nullptr;
  // dx = coefficient * scale * (onehot(target) - softmax(scale * x)), from the stored statistics.
  // dx may be x.
  void (*log_prob_backward)(const float* x, float scale, float log_sum_exp, int64_t target,
                            float coefficient, int64_t n, float* dx) = nullptr;

  // Rotates pairs of x by the angles whose cos and sin are given; sign -1 rotates back.
  // interleaved: pairs (2i, 2i+1); half-split: pairs (i, i + half).
  void (*rope_interleaved)(const float* x, const float* cos, const float* sin, float sign,
                           int64_t half, float* y) = nullptr;
  void (*rope_half_split)(const float* x, const float* cos, const float* sin, float sign,
                          int64_t half, float* y) = nullptr;

  void (*add)(const float* x, const float* y, int64_t n, float* out) = nullptr;
  // y[i] = fma(a, x[i], y[i])
  void (*axpy)(float a, const float* x, int64_t n, float* y) = nullptr;
  // y[i] = a * x[i]
  void (*scale)(float a, const float* x, int64_t n, float* y) = nullptr;
  float (*dot)(const float* x, const float* y, int64_t n) = nullptr;  // lanes
  double (*sum_squares)(const float* x, int64_t n) = nullptr;         // lanes, in double
  int64_t (*argmax)(const float* x, int64_t n) = nullptr;             // lowest index wins
  void (*adamw)(const AdamWArgs&) = nullptr;
  void (*f32_to_bf16)(const float* x, int64_t n, uint16_t* y) = nullptr;  // nearest even
  void (*bf16_to_f32)(const uint16_t* x, int64_t n, float* y) = nullptr;
};

// What CPUID and the operating system allow; the four tables in ascending order of speed.
enum class Isa { kScalar, kAvx2, kAvx512, kAvx512Bf16 };
bool CpuSupports(Isa isa);
const char* Name(Isa isa);
// The table of an ISA, or null where the CPU cannot run it.
const KernelTable* FindKernelTable(Isa isa);
// A known-answer test of every function of the table; null if it passes, else the failed function.
const char* SelfTest(const KernelTable& table);
// The fastest table that passes its self-test. `forced` is the value of RECKON_ISA (scalar, avx2,
// avx512, avx512bf16) or null. Returns null when the name is unknown or the CPU cannot run it.
const KernelTable* ChooseKernelTable(const char* forced);

}  // namespace reckon
