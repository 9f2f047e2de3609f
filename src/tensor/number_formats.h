// The short number formats of checkpoints and of FP8 training, to and from f32. Integer arithmetic
// on the bits: the results do not depend on the rounding mode or on flush-to-zero.
#pragma once

#include <array>
#include <cstdint>

namespace reckon {

// Exact. A NaN stays a NaN.
float F32FromBF16(uint16_t bits);
float F32FromF16(uint16_t bits);  // IEEE 754 binary16
float F32FromE4M3(uint8_t code);  // FP8 e4m3fn (arXiv:2209.05433, table 1): no infinities, max 448
const std::array<float, 256>& E4M3Values();  // F32FromE4M3 of every code
float F32FromE5M2(uint8_t code);             // FP8 e5m2: the upper byte of a binary16, max 57,344

// Round to nearest, ties to even. Subnormals are kept, overflow goes to infinity.
uint16_t BF16FromF32(float value);
uint16_t F16FromF32(float value);

// What becomes of a value that rounds beyond the largest finite one, and of an infinity.
enum class Overflow {
  kSaturate,   // the largest finite value, as CUDA's satfinite conversions
  kNonFinite,  // e4m3: NaN; e5m2: infinity
};
// Round to nearest, ties to even; a NaN becomes one.
uint8_t E4M3FromF32(float value, Overflow overflow = Overflow::kSaturate);
uint8_t E5M2FromF32(float value, Overflow overflow = Overflow::kSaturate);

}  // namespace reckon
