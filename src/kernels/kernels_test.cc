// Every table against a reference in double, and all tables against each other, bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "kernels/kernel_table.h"

namespace reckon {
namespace {

std::vector<const KernelTable*> Tables() {
  std::vector<const KernelTable*> tables;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    if (const KernelTable* table = FindKernelTable(isa)) tables.push_back(table);
  }
  return tables;
}

std::vector<float> Random(uint64_t seed, int64_t n, double scale = 1) {
  Rng rng(seed, {StreamName("kernels-test")});
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(rng.Normal() * scale);
  return x;
}

int64_t Panels(int64_t n) { return (n + kPanelCols - 1) / kPanelCols; }

// B [k, n] row-major in panels; the buffer is a float one for both precisions.
struct Packed {
  std::vector<float> buffer;
  int64_t stride = 0;
  Packed(const KernelTable& t, const std::vector<float>& b, int64_t k, int64_t n, bool bf16,
         bool transposed = false) {
    stride = (k + 1) / 2 * 2 * kPanelCols;
    buffer.resize(static_cast<size_t>(Panels(n) * stride));
    const PackArgs args{k,     n, b.data(), transposed ? 1 : n, transposed ? k : 1, buffer.data(),
                        stride};
    (bf16 ? t.pack_bf16 : t.pack_f32)(args);
  }
};

std::vector<float> Gemm(const KernelTable& t, const std::vector<float>& a, int64_t m, int64_t k,
                        bool a_transposed, const Packed& b, int64_t n, bool bf16, float initial,
                        bool accumulate) {
  std::vector<float> c(static_cast<size_t>(m * n), initial);
  const GemmArgs args{
      m,        n,        k, a.data(),  a_transposed ? 1 : k, a_transposed ? m : 1, b.buffer.data(),
      b.stride, c.data(), n, accumulate};
  (bf16 ? t.gemm_bf16 : t.gemm_f32)(args);
  return c;
}

double RoundBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
  std::memcpy(&x, &bits, 4);
  return x;
}

struct GemmCase {
  int64_t m, n, k;
};
const GemmCase kCases[] = {{1, 1, 1},    {1, 32, 7},   {1, 200, 64},  {2, 128, 33},  {3, 65, 257},
                           {4, 96, 300}, {5, 31, 16},  {14, 64, 256}, {15, 33, 513}, {64, 40, 70},
                           {33, 100, 5}, {130, 48, 8}, {7, 129, 1}};

TEST(Gemm, AgreesWithDoubleWithinTheRoundingOfAChain) {
  for (const KernelTable* t : Tables()) {
    for (const GemmCase& s : kCases) {
      for (int variant = 0; variant < 8; ++variant) {
        const bool bf16 = variant & 1, a_transposed = variant & 2, accumulate = variant & 4;
        const auto a = Random(1, s.m * s.k), b = Random(2, s.k * s.n);
        const Packed packed(*t, b, s.k, s.n, bf16);
        const auto c = Gemm(*t, a, s.m, s.k, a_transposed, packed, s.n, bf16, 0.5f, accumulate);
        for (int64_t i = 0; i < s.m; ++i) {
          for (int64_t j = 0; j < s.n; ++j) {
            double sum = accumulate ? 0.5 : 0, size = 1;
            for (int64_t k = 0; k < s.k; ++k) {
              const float av = a[static_cast<size_t>(a_transposed ? k * s.m + i : i * s.k + k)];
              const float bv = b[static_cast<size_t>(k * s.n + j)];
              const double p = bf16 ? RoundBf16(av) * RoundBf16(bv) : static_cast<double>(av) * bv;
              sum += p;
              size += std::fabs(p);
            }
            // A chain of k roundings, each at most 2^-24 of a partial sum that |products| bound; a
            // bf16 pair rounds up to twice.
            const double tolerance = 2.0 * static_cast<double>(s.k + 1) * 0x1p-24 * size;
            ASSERT_NEAR(c[static_cast<size_t>(i * s.n + j)], sum, tolerance)
                << t->isa << " m" << s.m << " n" << s.n << " k" << s.k << " variant " << variant;
          }
        }
      }
    }
  }
}

TEST(Gemm, PacksATransposedOperandLikeAPlainOne) {
  for (const KernelTable* t : Tables()) {
    for (bool bf16 : {false, true}) {
      for (const GemmCase& s : kCases) {
        const auto b = Random(3, s.k * s.n);
        std::vector<float> bt(b.size());
        for (int64_t k = 0; k < s.k; ++k) {
          for (int64_t j = 0; j < s.n; ++j) {
            bt[static_cast<size_t>(j * s.k + k)] = b[static_cast<size_t>(k * s.n + j)];
          }
        }
        const Packed plain(*t, b, s.k, s.n, bf16), transposed(*t, bt, s.k, s.n, bf16, true);
        EXPECT_EQ(plain.buffer, transposed.buffer) << t->isa << " n" << s.n << " k" << s.k;
      }
    }
  }
}

TEST(Gemm, HasTheSameF32BitsOnEveryTable) {
  for (const GemmCase& s : kCases) {
    for (bool a_transposed : {false, true}) {
      const auto a = Random(4, s.m * s.k), b = Random(5, s.k * s.n);
      std::vector<float> first;
      for (const KernelTable* t : Tables()) {
        const Packed packed(*t, b, s.k, s.n, false);
        const auto c = Gemm(*t, a, s.m, s.k, a_transposed, packed, s.n, false, 0.25f, true);
        if (first.empty()) first = c;
        EXPECT_EQ(std::memcmp(first.data(), c.data(), c.size() * 4), 0) << t->isa << " m" << s.m;
      }
    }
  }
}

TEST(Gemm, GivesARowTheSameBitsAloneAndInABatch) {
  constexpr int64_t kM = 67, kN = 150, kK = 300;
  const auto a = Random(6, kM * kK), b = Random(7, kK * kN);
  for (const KernelTable* t : Tables()) {
    for (bool bf16 : {false, true}) {
      const Packed packed(*t, b, kK, kN, bf16);
      const auto whole = Gemm(*t, a, kM, kK, false, packed, kN, bf16, 0, false);
      for (int64_t rows : {1, 2, 3, 5, 8, 14, 64}) {
        for (int64_t begin = 0; begin + rows <= kM; begin += rows) {
          const std::vector<float> part(a.begin() + begin * kK, a.begin() + (begin + rows) * kK);
          const auto c = Gemm(*t, part, rows, kK, false, packed, kN, bf16, 0, false);
          ASSERT_EQ(std::memcmp(c.data(), whole.data() + begin * kN, c.size() * 4), 0)
              << t->isa << " bf16 " << bf16 << " rows " << rows << " from " << begin;
        }
      }
      // Columns: the second panel alone.
      GemmArgs args{kM, 32, kK, a.data(), kK, 1, nullptr, packed.stride, nullptr, 32, false};
      std::vector<float> c(kM * 32);
      args.c = c.data();
      args.b = bf16 ? static_cast<const void*>(
                          reinterpret_cast<const uint16_t*>(packed.buffer.data()) + packed.stride)
                    : static_cast<const void*>(packed.buffer.data() + packed.stride);
      (bf16 ? t->gemm_bf16 : t->gemm_f32)(args);
      for (int64_t i = 0; i < kM; ++i) {
        ASSERT_EQ(std::memcmp(&c[static_cast<size_t>(i * 32)],
                              &whole[static_cast<size_t>(i * kN + 32)], 32 * 4),
                  0);
      }
    }
  }
}

TEST(Gemm, ContinuesAChainAcrossCalls) {
  constexpr int64_t kM = 9, kN = 40, kK = 600, kCut = 200;
  const auto a = Random(8, kM * kK), b = Random(9, kK * kN);
  for (const KernelTable* t : Tables()) {
    const Packed packed(*t, b, kK, kN, false);
    const auto whole = Gemm(*t, a, kM, kK, false, packed, kN, false, 0, false);
    std::vector<float> c(kM * kN);
    for (int64_t k = 0; k < kK; k += kCut) {
      const GemmArgs args{kM,
                          kN,
                          kCut,
                          a.data() + k,
                          kK,
                          1,
                          packed.buffer.data() + k * kPanelCols,
                          packed.stride,
                          c.data(),
                          kN,
                          k > 0};
      t->gemm_f32(args);
    }
    EXPECT_EQ(c, whole) << t->isa;
  }
}

// Runs every row function on n values and returns all results, to be compared as bits.
std::vector<float> AllRows(const KernelTable& t, int64_t n) {
  const auto x = Random(10, n, 3), w = Random(11, n), dy = Random(12, n);
  std::vector<float> all;
  std::vector<float> y(static_cast<size_t>(n)), z(static_cast<size_t>(n));
  const auto keep = [&](const std::vector<float>& v) { all.insert(all.end(), v.begin(), v.end()); };
  const float inv = t.rms_norm(x.data(), w.data(), 1e-6f, n, y.data());
  all.push_back(inv);
  keep(y);
  for (bool accumulate : {false, true}) {
    t.rms_norm_backward(x.data(), w.data(), inv, dy.data(), n, accumulate, y.data());
    keep(y);
  }
  t.rms_norm_dweight(x.data(), inv, dy.data(), n, y.data());
  keep(y);
  t.silu_mul(x.data(), w.data(), n, y.data());
  keep(y);
  t.silu_mul_backward(x.data(), w.data(), dy.data(), n, y.data(), z.data());
  keep(y);
  keep(z);
  t.sigmoid(x.data(), n, y.data());
  keep(y);
  t.exp(x.data(), n, y.data());
  keep(y);
  t.softmax(x.data(), 0.7f, n, y.data());
  keep(y);
  t.softmax_backward(y.data(), dy.data(), 0.7f, n, z.data());
  keep(z);
  const SoftmaxStats stats = t.softmax_stats(x.data(), 0.7f, n);
  all.insert(all.end(), {stats.max, stats.log_sum_exp, stats.entropy});
  t.log_prob_backward(x.data(), 0.7f, stats.log_sum_exp, n / 2, -0.3f, n, y.data());
  keep(y);
  if (n % 2 == 0) {
    t.rope_interleaved(x.data(), w.data(), dy.data(), 1, n / 2, y.data());
    keep(y);
    t.rope_half_split(x.data(), w.data(), dy.data(), -1, n / 2, y.data());
    keep(y);
  }
  t.add(x.data(), w.data(), n, y.data());
  t.axpy(0.3f, x.data(), n, y.data());
  keep(y);
  t.scale(0.3f, x.data(), n, y.data());
  keep(y);
  all.push_back(t.dot(x.data(), w.data(), n));
  all.push_back(static_cast<float>(t.sum_squares(x.data(), n)));
  all.push_back(static_cast<float>(t.argmax(x.data(), n)));
  std::vector<float> p = x, m = w, v(static_cast<size_t>(n), 0.01f);
  t.adamw({n, p.data(), dy.data(), m.data(), v.data(), 0.5f, 1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.2f,
           0.3f});
  keep(p);
  keep(m);
  keep(v);
  std::vector<uint16_t> half(static_cast<size_t>(n));
  t.f32_to_bf16(x.data(), n, half.data());
  t.bf16_to_f32(half.data(), n, y.data());
  keep(y);
  return all;
}

TEST(Rows, HaveTheSameBitsOnEveryTable) {
  for (int64_t n : {1, 2, 5, 15, 16, 17, 31, 32, 48, 63, 64, 100, 257}) {
    std::vector<float> first;
    for (const KernelTable* t : Tables()) {
      const auto all = AllRows(*t, n);
      if (first.empty()) first = all;
      ASSERT_EQ(all.size(), first.size());
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(std::memcmp(&all[i], &first[i], 4), 0)
            << t->isa << " n " << n << " value " << i << ": " << all[i] << " and " << first[i];
      }
    }
  }
}

TEST(Exp, IsWithinTwoUlpOfTheTruth) {
  Rng rng(13, {StreamName("exp")});
  for (const KernelTable* t : Tables()) {
    double worst = 0;
    for (int i = 0; i < 20000; ++i) {
      const float x = static_cast<float>((rng.Uniform() - 0.5) * 172);
      float y = 0;
      t->exp(&x, 1, &y);
      const double exact = std::exp(static_cast<double>(x));
      if (exact < 0x1p-125 || exact > 3e38) continue;
      const float nearest = static_cast<float>(exact);
      const double ulp = std::nextafter(nearest, INFINITY) - nearest;
      worst = std::max(worst, std::fabs(y - exact) / ulp);
    }
    EXPECT_LE(worst, 2) << t->isa;
  }
}

TEST(Exp, KeepsNanAndSaturates) {
  for (const KernelTable* t : Tables()) {
    const float in[4] = {NAN, -INFINITY, INFINITY, 88.7f};
    float out[4];
    t->exp(in, 4, out);
    EXPECT_TRUE(std::isnan(out[0])) << t->isa;
    EXPECT_EQ(out[1], 0) << t->isa;
    EXPECT_TRUE(std::isinf(out[2])) << t->isa;
    EXPECT_NEAR(out[3] / std::exp(static_cast<double>(in[3])), 1, 3e-7) << t->isa;
  }
}

TEST(Softmax, IgnoresMaskedAndSurvivesLargeLogits) {
  for (const KernelTable* t : Tables()) {
    const float x[4] = {900, -INFINITY, 900, -900};
    float y[4];
    t->softmax(x, 1, 4, y);
    EXPECT_EQ(y[0], 0.5f);
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[3], 0);
    const SoftmaxStats stats = t->softmax_stats(x, 1, 4);
    EXPECT_NEAR(stats.log_sum_exp, 900 + std::log(2.0),
                6e-5);  // half a unit in the last place of 900
    EXPECT_NEAR(stats.entropy, std::log(2.0), 1e-6);
  }
}

TEST(Table, PassesItsSelfTestOnEveryIsa) {
  for (const KernelTable* t : Tables()) EXPECT_EQ(SelfTest(*t), nullptr) << t->isa;
}

TEST(Table, SelfTestNamesABrokenFunction) {
  KernelTable broken = *FindKernelTable(Isa::kScalar);
  broken.exp = [](const float*, int64_t n, float* y) {
    for (int64_t i = 0; i < n; ++i) y[i] = 1;
  };
  EXPECT_STREQ(SelfTest(broken), "exp");
}

TEST(Table, AForcedNameIsObeyedOrRefused) {
  EXPECT_STREQ(ChooseKernelTable("scalar")->isa, "scalar");
  EXPECT_EQ(ChooseKernelTable("sse9"), nullptr);
  EXPECT_NE(ChooseKernelTable(nullptr), nullptr);
}

}  // namespace
}  // namespace reckon
