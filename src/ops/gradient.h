// What backward passes of several operators do with a piece of gradient.
#pragma once

#include <cstdint>
#include <cstring>

#include "ops/runtime.h"

namespace reckon {

// Writes n elements, or adds them to what is there.
inline void Give(const Runtime& rt, bool accumulate, const float* from, int64_t n, float* to) {
  if (accumulate) {
    rt.kernels->add(to, from, n, to);
  } else {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
  }
}

}  // namespace reckon
