#include "kernels/kernel_table.h"

#include <cstring>

#include "kernels/tables.h"

namespace reckon {
namespace {

using FillTable = void (*)(KernelTable&);

struct IsaEntry {
  Isa isa;
  const char* name;
  FillTable fill;
};

constexpr IsaEntry kEntries[] = {{Isa::kScalar, "scalar", FillScalarTable},
                                 {Isa::kAvx2, "avx2", FillAvx2Table},
                                 {Isa::kAvx512, "avx512", FillAvx512Table},
                                 {Isa::kAvx512Bf16, "avx512bf16", FillAvx512Bf16Table}};

// A table is filled once, on first use.
template <int kIndex>
const KernelTable& Filled() {
  static const KernelTable table = [] {
    KernelTable t;
    kEntries[kIndex].fill(t);
    return t;
  }();
  return table;
}

}  // namespace

// GCC's and clang's builtin asks CPUID and, for AVX and later, whether the operating system saves
// the registers.
bool CpuSupports(Isa isa) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx512Bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
  }
  return false;
}

const char* Name(Isa isa) { return kEntries[static_cast<int>(isa)].name; }

const KernelTable* FindKernelTable(Isa isa) {
  if (!CpuSupports(isa)) return nullptr;
  switch (isa) {
    case Isa::kScalar:
      return &Filled<0>();
    case Isa::kAvx2:
      return &Filled<1>();
    case Isa::kAvx512:
      return &Filled<2>();
    case Isa::kAvx512Bf16:
      return &Filled<3>();
  }
  return nullptr;
}

const KernelTable* ChooseKernelTable(const char* forced) {
  if (forced != nullptr && *forced != '\0') {
    for (const IsaEntry& entry : kEntries) {
      if (std::strcmp(entry.name, forced) != 0) continue;
      const KernelTable* table = FindKernelTable(entry.isa);
      return table != nullptr && SelfTest(*table) == nullptr ? table : nullptr;
    }
    return nullptr;
  }
  for (int i = 3; i >= 0; --i) {
    const KernelTable* table = FindKernelTable(kEntries[i].isa);
    if (table != nullptr && SelfTest(*table) == nullptr) return table;
  }
  return nullptr;
}

}  // namespace reckon
