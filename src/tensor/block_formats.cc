#include "tensor/block_formats.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "tensor/number_formats.h"

namespace reckon {
namespace {

static_assert(std::endian::native == std::endian::little, "blocks are little-endian");

constexpr std::array<FormatInfo, kNumStorageFormats> kInfo = {{
    {"F32", 1, 4, true},
    {"F16", 1, 2, true},
    {"BF16", 1, 2, true},
    {"Q8_0", 32, 34, true},
    {"Q4_0", 32, 18, true},
    {"Q4_1", 32, 20, false},
    {"Q5_0", 32, 22, true},
    {"Q5_1", 32, 24, false},
    {"Q2_K", 256, 84, false},
    {"Q3_K", 256, 110, false},
    {"Q4_K", 256, 144, true},
    {"Q5_K", 256, 176, false},
    {"Q6_K", 256, 210, true},
    {"IQ4_NL", 32, 18, false},
    {"IQ4_XS", 256, 136, false},
    {"MXFP4", 32, 17, false},
}};

using Bytes = const uint8_t*;

uint16_t LoadU16(Bytes p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
float LoadF16(Bytes p) { return F32FromF16(LoadU16(p)); }
uint32_t LoadU32(Bytes p) {
  uint32_t value = 0;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

// Below, `e` is the element's index in its block, and {a, b, ...} the bytes in their order.

// 16 bytes of 4-bit codes: the low halves are elements 0..15, the high halves 16..31.
int Nibble32(Bytes qs, int e) { return e < 16 ? qs[e] & 15 : qs[e - 16] >> 4; }
// The fifth bits of 32 elements, in one little-endian word.
int FifthBit(Bytes qh, int e) { return static_cast<int>(LoadU32(qh) >> e & 1) << 4; }

// {d f16, q int8[32]}: d * q
void Q8_0(Bytes block, float* out) {
  const float d = LoadF16(block);
  for (int e = 0; e < 32; ++e) out[e] = d * static_cast<float>(static_cast<int8_t>(block[2 + e]));
}

// {d f16, nibbles[16]}: d * (q - 8)
void Q4_0(Bytes block, float* out) {
  const float d = LoadF16(block);
  for (int e = 0; e < 32; ++e) out[e] = d * static_cast<float>(Nibble32(block + 2, e) - 8);
}

// {d f16, m f16, nibbles[16]}: d * q + m
void Q4_1(Bytes block, float* out) {
  const float d = LoadF16(block), m = LoadF16(block + 2);
  for (int e = 0; e < 32; ++e) out[e] = d * static_cast<float>(Nibble32(block + 4, e)) + m;
}

// {d f16, fifth bits[4], nibbles[16]}: d * (q - 16)
void Q5_0(Bytes block, float* out) {
  const float d = LoadF16(block);
  for (int e = 0; e < 32; ++e) {
    out[e] = d * static_cast<float>((Nibble32(block + 6, e) | FifthBit(block + 2, e)) - 16);
  }
}

// {d f16, m f16, fifth bits[4], nibbles[16]}: d * q + m
void Q5_1(Bytes block, float* out) {
  const float d = LoadF16(block), m = LoadF16(block + 2);
  for (int e = 0; e < 32; ++e) {
    out[e] = d * static_cast<float>(Nibble32(block + 8, e) | FifthBit(block + 4, e)) + m;
  }
}

// The 2-bit codes of a block of 256: each half of 128 has 32 bytes, whose bit pairs 0..3 are its
// four runs of 32 elements.
int Pair256(Bytes qs, int e) { return qs[e / 128 * 32 + e % 32] >> (e % 128 / 32 * 2) & 3; }
// The 4-bit codes of a block of 256: each quarter of 64 has 32 bytes, low halves first.
int Nibble256(Bytes qs, int e) { return qs[e / 64 * 32 + e % 32] >> (e % 64 / 32 * 4) & 15; }
// One more bit an element: byte e % 32, bit e / 32.
int Bit256(Bytes qh, int e) { return qh[e % 32] >> (e / 32) & 1; }

// {scale and min nibbles[16], pairs[64], d f16, dmin f16}: (d * scale) * q - dmin * min, by 16
void Q2_K(Bytes block, float* out) {
  const float d = LoadF16(block + 80), dmin = LoadF16(block + 82);
  for (int e = 0; e < 256; ++e) {
    const float scale = d * static_cast<float>(block[e / 16] & 15);
    const float min = dmin * static_cast<float>(block[e / 16] >> 4);
    out[e] = scale * static_cast<float>(Pair256(block + 16, e)) - min;
  }
}

// {third bits[32], pairs[64], 6-bit scales[12], d f16}: (d * (scale - 32)) * (q - 4), by 16. Scale
// i has its low 4 bits in half i / 8 of byte i % 8, its high 2 bits in pair i / 4 of byte
// 8 + i % 4.
void Q3_K(Bytes block, float* out) {
  const Bytes scales = block + 96;
  const float d = LoadF16(block + 108);
  for (int e = 0; e < 256; ++e) {
    const int i = e / 16;
    const int low = scales[i % 8] >> (i / 8 * 4) & 15, high = scales[8 + i % 4] >> (i / 4 * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    out[e] = scale * static_cast<float>((Pair256(block + 32, e) | Bit256(block, e) << 2) - 4);
  }
}

struct ScaleMin {
  int scale, min;
};
// The 6-bit scales and minima of Q4_K and Q5_K in 12 bytes: runs 0..3 have theirs in the low 6 bits
// of bytes 0..3 and 4..7; runs 4..7 have their low 4 bits in the halves of bytes 8..11, their high
// 2 bits on top of bytes 0..3 and 4..7.
ScaleMin ScaleMinOf(Bytes packed, int run) {
  if (run < 4) return {packed[run] & 63, packed[run + 4] & 63};
  const int i = run - 4;
  return {(packed[8 + i] & 15) | packed[i] >> 6 << 4, packed[8 + i] >> 4 | packed[4 + i] >> 6 << 4};
}

// {d f16, dmin f16, scales and minima[12], nibbles[128]}: (d * scale) * q - dmin * min, by 32
void Q4_K(Bytes block, float* out) {
  const float d = LoadF16(block), dmin = LoadF16(block + 2);
  for (int e = 0; e < 256; ++e) {
    const ScaleMin by = ScaleMinOf(block + 4, e / 32);
    const float scale = d * static_cast<float>(by.scale), min = dmin * static_cast<float>(by.min);
    out[e] = scale * static_cast<float>(Nibble256(block + 16, e)) - min;
  }
}

// {d f16, dmin f16, scales and minima[12], fifth bits[32], nibbles[128]}: as Q4_K
void Q5_K(Bytes block, float* out) {
  const float d = LoadF16(block), dmin = LoadF16(block + 2);
  for (int e = 0; e < 256; ++e) {
    const ScaleMin by = ScaleMinOf(block + 4, e / 32);
    const float scale = d * static_cast<float>(by.scale), min = dmin * static_cast<float>(by.min);
    const int q = Nibble256(block + 48, e) | Bit256(block + 16, e) << 4;
    out[e] = scale * static_cast<float>(q) - min;
  }
}

// {low nibbles[128], high pairs[64], scales int8[16], d f16}: (d * scale) * (q - 32), by 16. Each
// half of 128 has 64 bytes of low nibbles: its elements 0..63 the low, 64..127 the high halves.
void Q6_K(Bytes block, float* out) {
  const float d = LoadF16(block + 208);
  for (int e = 0; e < 256; ++e) {
    const int low = block[e / 128 * 64 + e % 64] >> (e % 128 / 64 * 4) & 15;
    const int high = Pair256(block + 128, e);
    const float scale = d * static_cast<float>(static_cast<int8_t>(block[192 + e / 16]));
    out[e] = scale * static_cast<float>((low | high << 4) - 32);
  }
}

// The values that a 4-bit code of the IQ4 formats stands for (kvalues_iq4nl in ggml-common.h).
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};

// {d f16, nibbles[16]}: d * value
void IQ4_NL(Bytes block, float* out) {
  const float d = LoadF16(block);
  for (int e = 0; e < 32; ++e) {
    out[e] = d * static_cast<float>(kIq4Values[Nibble32(block + 2, e)]);
  }
}

// {d f16, high pairs of the scales u16, low nibbles of the scales[4], nibbles[8][16]}:
// (d * (scale - 32)) * value, by 32
void IQ4_XS(Bytes block, float* out) {
  const float d = LoadF16(block);
  for (int run = 0; run < 8; ++run) {
    const int low = block[4 + run / 2] >> (run % 2 * 4) & 15;
    const int high = LoadU16(block + 2) >> (run * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    for (int e = 0; e < 32; ++e) {
      out[run * 32 + e] = scale * static_cast<float>(kIq4Values[Nibble32(block + 8 + run * 16, e)]);
    }
  }
}

// {exponent e8m0, nibbles[16]}: 2^(exponent - 127) * e2m1 (OCP Microscaling Formats 1.0, sec. 5.3,
// 5.4); the table holds the doubled values, the scale is halved. ggml gives exponent 255, a NaN in
// the standard, no special meaning. In double, so that the scale is normal; results below 2^-126
// are subnormal, and 0 where the processor flushes those.
void MXFP4(Bytes block, float* out) {
  constexpr int8_t kDoubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const auto half_scale = std::bit_cast<double>(uint64_t{block[0] + 1023u - 128u} << 52);
  for (int e = 0; e < 32; ++e) {
    out[e] = static_cast<float>(half_scale * kDoubled[Nibble32(block + 1, e)]);
  }
}

using DequantizeBlock = void (*)(Bytes, float*);
DequantizeBlock BlockFunction(StorageFormat format) {
  switch (format) {
    case StorageFormat::kQ8_0:
      return Q8_0;
    case StorageFormat::kQ4_0:
      return Q4_0;
    case StorageFormat::kQ4_1:
      return Q4_1;
    case StorageFormat::kQ5_0:
      return Q5_0;
    case StorageFormat::kQ5_1:
      return Q5_1;
    case StorageFormat::kQ2_K:
      return Q2_K;
    case StorageFormat::kQ3_K:
      return Q3_K;
    case StorageFormat::kQ4_K:
      return Q4_K;
    case StorageFormat::kQ5_K:
      return Q5_K;
    case StorageFormat::kQ6_K:
      return Q6_K;
    case StorageFormat::kIQ4_NL:
      return IQ4_NL;
    case StorageFormat::kIQ4_XS:
      return IQ4_XS;
    case StorageFormat::kMXFP4:
      return MXFP4;
    default:
      return nullptr;
  }
}

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

}  // namespace

const FormatInfo& InfoOf(StorageFormat format) { return kInfo[static_cast<size_t>(format)]; }
const char* Name(StorageFormat format) { return InfoOf(format).name; }

std::optional<StorageFormat> FormatNamed(std::string_view name) {
  for (size_t i = 0; i < kInfo.size(); ++i) {
    if (EqualIgnoringCase(name, kInfo[i].name)) return static_cast<StorageFormat>(i);
  }
  return {};
}

bool FitsRow(StorageFormat format, int64_t columns) {
  return columns >= 0 && columns % InfoOf(format).block_elements == 0;
}

int64_t RowBytes(StorageFormat format, int64_t columns) {
  const FormatInfo& info = InfoOf(format);
  int64_t bytes = 0;
  if (!FitsRow(format, columns) ||
      __builtin_mul_overflow(columns / info.block_elements, info.block_bytes, &bytes)) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("rows of {} elements are not whole blocks of {} ({} elements each)", columns,
                      info.name, info.block_elements));
  }
  return bytes;
}

void DequantizeRow(StorageFormat format, const std::byte* row, int64_t n, float* out) {
  Check(FitsRow(format, n), "DequantizeRow: a whole number of blocks");
  if (n == 0) return;
  const auto* bytes = reinterpret_cast<Bytes>(row);
  if (format == StorageFormat::kF32) {
    std::memcpy(out, bytes, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  if (format == StorageFormat::kF16 || format == StorageFormat::kBF16) {
    const auto convert = format == StorageFormat::kF16 ? F32FromF16 : F32FromBF16;
    for (int64_t i = 0; i < n; ++i) out[i] = convert(LoadU16(bytes + 2 * i));
    return;
  }
  const FormatInfo& info = InfoOf(format);
  const DequantizeBlock dequantize = BlockFunction(format);
  Check(dequantize != nullptr, "DequantizeRow: the format has a block function");
  for (int64_t e = 0; e < n; e += info.block_elements, bytes += info.block_bytes) {
    dequantize(bytes, out + e);
  }
}

StorageFormat FormatForRow(StorageFormat wanted, int64_t columns) {
  if (FitsRow(wanted, columns)) return wanted;
  if (columns % 32 != 0) return StorageFormat::kF16;
  return wanted == StorageFormat::kQ4_K ? StorageFormat::kQ5_0 : StorageFormat::kQ8_0;
}

}  // namespace reckon
