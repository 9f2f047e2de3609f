#include "tensor/number_formats.h"

#include <algorithm>
#include <bit>

namespace reckon {
namespace {

constexpr uint32_t kF32Infinity = 0x7F800000;

// |value| in a format of `fraction_bits` whose least normal number is 2^min_exponent: its code
// without the sign, as if the exponent had no upper end. `bits` are those of a |f32| that is no
// NaN.
uint32_t RoundMagnitude(uint32_t bits, int fraction_bits, int min_exponent) {
  const uint32_t field = bits >> 23, fraction = bits & 0x7FFFFF;
  const uint32_t significand = field == 0 ? fraction : fraction | 0x800000;  // times 2^(e - 23)
  const int exponent = static_cast<int>(std::max<uint32_t>(field, 1)) - 127;
  const int below = std::max(0, min_exponent - exponent);  // binades into the subnormals
  const int shift = 23 - fraction_bits + below;
  if (shift > 24) return 0;  // less than half of the least subnormal
  const uint32_t odd = significand >> shift & 1;
  const uint32_t rounded = (significand + (uint32_t{1} << (shift - 1)) - 1 + odd) >> shift;
  // A significand that rounds up to the next power of two carries into the exponent.
  return (static_cast<uint32_t>(exponent + below - min_exponent) << fraction_bits) + rounded;
}

struct Fp8Format {
  int fraction_bits, min_exponent;
  uint8_t largest, beyond;  // codes: of the largest finite value, and of what lies beyond it
};
constexpr Fp8Format kE4M3 = {3, -6, 0x7E, 0x7F}, kE5M2 = {2, -14, 0x7B, 0x7C};
constexpr uint8_t kFp8NaN = 0x7F;

uint8_t Encode(float value, Overflow overflow, const Fp8Format& format) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7FFFFFFF;
  const uint8_t sign = static_cast<uint8_t>(bits >> 24 & 0x80);
  if (magnitude > kF32Infinity) return sign | kFp8NaN;
  const uint32_t code = RoundMagnitude(magnitude, format.fraction_bits, format.min_exponent);
  if (code <= format.largest) return sign | static_cast<uint8_t>(code);
  return sign | (overflow == Overflow::kSaturate ? format.largest : format.beyond);
}

}  // namespace

float F32FromBF16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// 1 sign, 5 exponent (bias 15), 10 fraction bits.
float F32FromF16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1F, fraction = bits & 0x3FF;
  if (exponent == 0) {  // zero or subnormal: fraction times 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide_exponent = exponent == 31 ? 255 : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide_exponent << 23 | fraction << 13);
}

// 1 sign, 4 exponent (bias 7), 3 fraction bits; all ones is NaN.
float F32FromE4M3(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80) << 24;
  const uint32_t exponent = (code >> 3) & 0xF, fraction = code & 7;
  if ((code & 0x7F) == kFp8NaN) return std::bit_cast<float>(sign | 0x7FC00000);
  if (exponent == 0) {  // fraction times 2^-9
    const float magnitude = static_cast<float>(fraction) * 0x1p-9f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  return std::bit_cast<float>(sign | (exponent + (127 - 7)) << 23 | fraction << 20);
}

const std::array<float, 256>& E4M3Values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> table{};
    for (size_t code = 0; code < table.size(); ++code) {
      table[code] = F32FromE4M3(static_cast<uint8_t>(code));
    }
    return table;
  }();
  return values;
}

float F32FromE5M2(uint8_t code) { return F32FromF16(static_cast<uint16_t>(code << 8)); }

uint16_t BF16FromF32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > kF32Infinity) return 0x7FC0;
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

uint16_t F16FromF32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7FFFFFFF;
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (magnitude > kF32Infinity) return sign | 0x7E00;
  return sign |
         static_cast<uint16_t>(std::min<uint32_t>(RoundMagnitude(magnitude, 10, -14), 0x7C00));
}

uint8_t E4M3FromF32(float value, Overflow overflow) { return Encode(value, overflow, kE4M3); }
uint8_t E5M2FromF32(float value, Overflow overflow) { return Encode(value, overflow, kE5M2); }

}  // namespace reckon
