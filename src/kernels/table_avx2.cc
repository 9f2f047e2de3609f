#include "kernels/simd_avx2.h"
// The vector type comes first.
#include "kernels/gemm_bf16_emulated_body.h"
#include "kernels/gemm_body.h"
#include "kernels/pack_bf16_body.h"
#include "kernels/rows_body.h"
#include "kernels/tables.h"

namespace reckon {

void FillAvx2Table(KernelTable& table) {
  table.isa = "avx2";
  FillRowFunctions(table);
  table.gemm_f32 = GemmF32;
  table.pack_f32 = PackF32;
  table.gemm_bf16 = GemmBf16;
  table.pack_bf16 = PackBf16;
}

}  // namespace reckon
