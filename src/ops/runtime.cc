#include "ops/runtime.h"

#include <cstdlib>
#include <string>

#include "base/error.h"

namespace reckon {

RuntimeOwner::RuntimeOwner(int num_threads, Precision precision) {
  const char* forced = std::getenv("RECKON_ISA");
  runtime_.kernels = ChooseKernelTable(forced);
  if (runtime_.kernels == nullptr) {
    std::string can;
    for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
      if (CpuSupports(isa)) can += std::string(can.empty() ? "" : ", ") + Name(isa);
    }
    Throw(ErrorKind::kInvalidArgument,
          "RECKON_ISA=" + std::string(forced == nullptr ? "" : forced) +
              " is not usable here; this CPU runs: " + can);
  }
  pool_ = std::make_unique<ThreadPool>(num_threads);
  runtime_.pool = pool_.get();
  runtime_.precision = precision;
}

}  // namespace reckon
