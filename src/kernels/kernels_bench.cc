// Rates of the kernel table's functions on one thread, on every instruction set that the CPU has.
//
//   kernel_bench --benchmark_filter=avx512bf16.gemm_bf16
//
// A product reports GFLOP/s, a row function bytes read and written a second.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <vector>

#include "kernels/kernel_table.h"

namespace reckon {
namespace {

struct GemmShape {
  int64_t m, n, k;
};
// Decode steps of a few streams, an expert's share of a batch, and training shapes.
constexpr GemmShape kGemmShapes[] = {{1, 2048, 2048},  {8, 384, 256},   {16, 384, 256},
                                     {64, 768, 256},   {256, 256, 768}, {1024, 768, 256},
                                     {256, 2048, 2048}};

std::vector<float> Ramp(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 61) * 0.03f - 0.9f;
  return values;
}

void Gemm(benchmark::State& state, const KernelTable* table, GemmShape shape, bool bf16) {
  const int64_t panels = (shape.n + kPanelCols - 1) / kPanelCols;
  const int64_t stride = (shape.k + 1) / 2 * 2 * kPanelCols;
  const std::vector<float> a = Ramp(shape.m * shape.k), b = Ramp(shape.n * shape.k);
  std::vector<float> c(static_cast<size_t>(shape.m * shape.n));
  std::vector<float> packed(static_cast<size_t>(panels * stride));  // twice what bf16 needs
  (bf16 ? table->pack_bf16
        : table->pack_f32)({shape.k, shape.n, b.data(), 1, shape.k, packed.data(), stride});
  const GemmArgs args{shape.m,       shape.n, shape.k,  a.data(), shape.k, 1,
                      packed.data(), stride,  c.data(), shape.n,  false};
  for (auto _ : state) {
    (bf16 ? table->gemm_bf16 : table->gemm_f32)(args);
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(shape.m * shape.n * shape.k * state.iterations()),
      benchmark::Counter::kIsRate);
}

constexpr int64_t kRow = 4096;

template <typename Body>
void Row(benchmark::State& state, int64_t rows_touched, const Body& body) {
  const std::vector<float> x = Ramp(kRow), w = Ramp(kRow);
  std::vector<float> y(static_cast<size_t>(kRow));
  for (auto _ : state) {
    body(x.data(), w.data(), y.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * rows_touched * kRow * 4);
}

void Register(const KernelTable* table) {
  const auto add = [&](const char* name, auto function) {
    benchmark::RegisterBenchmark(fmt::format("{}.{}", table->isa, name).c_str(), function);
  };
  for (const bool bf16 : {false, true}) {
    for (const GemmShape& s : kGemmShapes) {
      const std::string name =
          fmt::format("{}/{}x{}x{}", bf16 ? "gemm_bf16" : "gemm_f32", s.m, s.n, s.k);
      add(name.c_str(), [=](benchmark::State& state) { Gemm(state, table, s, bf16); });
    }
  }
  add("rms_norm", [=](benchmark::State& state) {
    Row(state, 3,
        [=](const float* x, const float* w, float* y) { table->rms_norm(x, w, 1e-6f, kRow, y); });
  });
  add("softmax", [=](benchmark::State& state) {
    Row(state, 2, [=](const float* x, const float*, float* y) { table->softmax(x, 1, kRow, y); });
  });
  add("silu_mul", [=](benchmark::State& state) {
    Row(state, 3,
        [=](const float* x, const float* w, float* y) { table->silu_mul(x, w, kRow, y); });
  });
  add("softmax_stats", [=](benchmark::State& state) {
    Row(state, 1, [=](const float* x, const float*, float*) {
      benchmark::DoNotOptimize(table->softmax_stats(x, 1, kRow));
    });
  });
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  for (const reckon::Isa isa :
       {reckon::Isa::kScalar, reckon::Isa::kAvx2, reckon::Isa::kAvx512, reckon::Isa::kAvx512Bf16}) {
    if (const reckon::KernelTable* table = reckon::FindKernelTable(isa)) reckon::Register(table);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
