// Monotonic and wall-clock time.
#pragma once

#include <string>

namespace reckon {

double MonotonicSeconds();
double ProcessCpuSeconds();
std::string UtcNowIso8601();  // "2026-11-24T10:30:00Z"

}  // namespace reckon
