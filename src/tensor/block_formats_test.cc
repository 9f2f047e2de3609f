#include "tensor/block_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "tensor/number_formats.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

constexpr uint8_t kOneLow = 0x00, kOneHigh = 0x3C;  // f16 1.0

std::vector<float> Dequantized(StorageFormat format, const std::vector<uint8_t>& blocks) {
  const FormatInfo& info = InfoOf(format);
  const auto n = static_cast<int64_t>(blocks.size()) / info.block_bytes * info.block_elements;
  std::vector<float> out(static_cast<size_t>(n));
  DequantizeRow(format, reinterpret_cast<const std::byte*>(blocks.data()), n, out.data());
  return out;
}

std::vector<uint8_t> Quantized(StorageFormat format, const std::vector<float>& row,
                               const std::vector<float>& importance = {}) {
  std::vector<uint8_t> out(static_cast<size_t>(RowBytes(format, static_cast<int64_t>(row.size()))));
  QuantizeRow(format, row, importance, reinterpret_cast<std::byte*>(out.data()));
  return out;
}

std::vector<float> NormalRow(size_t n, uint64_t seed, double scale = 0.05) {
  Rng rng(seed, {StreamName("block_formats_test")});
  std::vector<float> row(n);
  for (float& x : row) x = static_cast<float>(rng.Normal() * scale);
  return row;
}

double MeanSquare(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(a[i] - static_cast<double>(b[i]), 2);
  return sum / static_cast<double>(a.size());
}

// One block whose bytes are all zero but those set.
std::vector<uint8_t> Block(StorageFormat format,
                           std::initializer_list<std::pair<size_t, uint8_t>> set) {
  std::vector<uint8_t> block(static_cast<size_t>(InfoOf(format).block_bytes));
  for (const auto& [at, value] : set) block[at] = value;
  return block;
}

TEST(BlockFormats, AreKnownByTheNamesOfGgml) {
  for (int i = 0; i < kNumStorageFormats; ++i) {
    const auto format = static_cast<StorageFormat>(i);
    EXPECT_EQ(FormatNamed(Name(format)), format);
  }
  EXPECT_EQ(FormatNamed("q4_k"), StorageFormat::kQ4_K);
  EXPECT_EQ(FormatNamed("Q4"), std::nullopt);
  EXPECT_EQ(RowBytes(StorageFormat::kQ4_K, 512), 288);
  EXPECT_THROW(RowBytes(StorageFormat::kQ4_K, 128), Error);
  EXPECT_THROW(RowBytes(StorageFormat::kF32, std::numeric_limits<int64_t>::max()), Error);
}

TEST(BlockFormats, FallBackToAFormatThatTheRowFits) {
  EXPECT_EQ(FormatForRow(StorageFormat::kQ4_K, 256), StorageFormat::kQ4_K);
  EXPECT_EQ(FormatForRow(StorageFormat::kQ4_K, 64), StorageFormat::kQ5_0);
  EXPECT_EQ(FormatForRow(StorageFormat::kQ6_K, 352), StorageFormat::kQ8_0);
  EXPECT_EQ(FormatForRow(StorageFormat::kQ4_0, 172), StorageFormat::kF16);
  EXPECT_EQ(FormatForRow(StorageFormat::kBF16, 172), StorageFormat::kBF16);
}

// Hand-made blocks: f16 1.0 as the scale, single codes set, the elements worked out from the layout
// in ggml-common.h.
TEST(BlockFormats, ReadHandMadeBlocksOf32) {
  auto q8 = Dequantized(StorageFormat::kQ8_0,
                        Block(StorageFormat::kQ8_0, {{1, kOneHigh}, {2, 5}, {33, 0x80}}));
  EXPECT_EQ(q8[0], 5);
  EXPECT_EQ(q8[31], -128);
  auto q4 = Dequantized(StorageFormat::kQ4_0,
                        Block(StorageFormat::kQ4_0, {{1, kOneHigh}, {2, 0xF0}, {17, 0x09}}));
  EXPECT_EQ(q4[0], -8);
  EXPECT_EQ(q4[16], 7);
  EXPECT_EQ(q4[15], 1);
  auto q41 = Dequantized(StorageFormat::kQ4_1,
                         Block(StorageFormat::kQ4_1, {{1, kOneHigh}, {3, 0xBC}, {4, 0xF2}}));
  EXPECT_EQ(q41[0], 1) << "2 * 1 - 1";
  EXPECT_EQ(q41[16], 14);
  EXPECT_EQ(q41[1], -1);
  auto q50 =
      Dequantized(StorageFormat::kQ5_0,
                  Block(StorageFormat::kQ5_0, {{1, kOneHigh}, {2, 0x01}, {4, 0x01}, {6, 0x23}}));
  EXPECT_EQ(q50[0], 3) << "3 + 16 - 16";
  EXPECT_EQ(q50[16], 2);
  EXPECT_EQ(q50[1], -16);
  auto q51 = Dequantized(
      StorageFormat::kQ5_1,
      Block(StorageFormat::kQ5_1, {{1, kOneHigh}, {3, kOneHigh}, {7, 0x80}, {23, 0x40}}));
  EXPECT_EQ(q51[31], 4 + 16 + 1);
  EXPECT_EQ(q51[0], 1);
  auto iq4 = Dequantized(StorageFormat::kIQ4_NL,
                         Block(StorageFormat::kIQ4_NL, {{1, kOneHigh}, {2, 0xF8}}));
  EXPECT_EQ(iq4[0], 1);
  EXPECT_EQ(iq4[16], 113);
  EXPECT_EQ(iq4[1], -127);
}

TEST(BlockFormats, ReadHandMadeMicroscalingBlocks) {
  auto block = Block(StorageFormat::kMXFP4, {{0, 128}, {1, 0x71}, {2, 0x0F}});
  auto values = Dequantized(StorageFormat::kMXFP4, block);
  EXPECT_EQ(values[0], 1) << "e2m1 0001 = 0.5, times 2";
  EXPECT_EQ(values[16], 12) << "0111 = 6";
  EXPECT_EQ(values[1], -12);
  block[0] = 0;
  EXPECT_EQ(Dequantized(StorageFormat::kMXFP4, block)[16], 6 * 0x1p-127f);
  block[0] = 1;
  EXPECT_EQ(Dequantized(StorageFormat::kMXFP4, block)[16], 6 * 0x1p-126f);
  block[0] = 254;
  EXPECT_EQ(Dequantized(StorageFormat::kMXFP4, block)[0], 0x1p126f);
}

TEST(BlockFormats, ReadHandMadeBlocksOf256) {
  // Q2_K: scale of run 15 (elements 240..255) is 3, its min 2; element 255 is bits 6, 7 of byte 63.
  auto q2 = Dequantized(
      StorageFormat::kQ2_K,
      Block(StorageFormat::kQ2_K, {{15, 0x23}, {16 + 63, 0xC0}, {81, kOneHigh}, {83, kOneHigh}}));
  EXPECT_EQ(q2[255], 3 * 3 - 2);
  EXPECT_EQ(q2[254], -2);
  EXPECT_EQ(q2[0], 0);
  // Q3_K: run 5's scale is low 4 bits of byte 5, high bits in pair 1 of byte 9; 6 bits 100001 = 33.
  // Element 80 is pair 2 of byte 16, third bit 2 of byte 16.
  auto q3 = Dequantized(
      StorageFormat::kQ3_K,
      Block(StorageFormat::kQ3_K,
            {{96 + 5, 0x01}, {96 + 9, 0x08}, {32 + 16, 0x30}, {16, 0x04}, {109, kOneHigh}}));
  EXPECT_EQ(q3[80], 3) << "(33 - 32) * (3 + 4 - 4)";
  EXPECT_EQ(q3[81], -4);
  // Q6_K: element 200 is in run 12, low nibble in the high half of byte 64 + 8, high bits in pair 2
  // of byte 32 + 8.
  auto q6 = Dequantized(StorageFormat::kQ6_K,
                        Block(StorageFormat::kQ6_K,
                              {{72, 0x50}, {128 + 40, 0x20}, {192 + 12, 0xFE}, {209, kOneHigh}}));
  EXPECT_EQ(q6[200], -2 * (5 + 32 - 32));
  EXPECT_EQ(q6[201], 64);
}

TEST(BlockFormats, ReadHandMadeBlocksOf256WithPackedScales) {
  // Q4_K: run 6's scale 0x21 = 1 in byte 10's low half, 2 on top of byte 2; its min 0x13: 3 in byte
  // 10's high half, 1 on top of byte 6. Element 200 is the low half of byte 96 + 8.
  auto q4 = Dequantized(StorageFormat::kQ4_K, Block(StorageFormat::kQ4_K, {{1, kOneHigh},
                                                                           {3, kOneHigh},
                                                                           {4 + 10, 0x31},
                                                                           {4 + 2, 0x80},
                                                                           {4 + 6, 0x40},
                                                                           {16 + 104, 0x07}}));
  EXPECT_EQ(q4[200], 0x21 * 7 - 0x13);
  EXPECT_EQ(q4[201], -0x13);
  // Q5_K: the same, and bit 6 of byte 8 adds 16.
  auto q5 = Dequantized(StorageFormat::kQ5_K, Block(StorageFormat::kQ5_K, {{1, kOneHigh},
                                                                           {3, kOneHigh},
                                                                           {4 + 10, 0x31},
                                                                           {4 + 2, 0x80},
                                                                           {4 + 6, 0x40},
                                                                           {16 + 8, 0x40},
                                                                           {48 + 104, 0x07}}));
  EXPECT_EQ(q5[200], 0x21 * 23 - 0x13);
  // IQ4_XS: run 3's scale is 34: low 2 in the high half of byte 5, high pair 3 = 2 in bits 6, 7.
  auto iq4 = Dequantized(
      StorageFormat::kIQ4_XS,
      Block(StorageFormat::kIQ4_XS, {{1, kOneHigh}, {2, 0x80}, {5, 0x20}, {8 + 48, 0xF8}}));
  EXPECT_EQ(iq4[96], 2);
  EXPECT_EQ(iq4[112], 2 * 113);
  EXPECT_EQ(iq4[0], -32 * -127);
  EXPECT_EQ(kOneLow, 0);
}

constexpr StorageFormat kWritten[] = {StorageFormat::kQ8_0, StorageFormat::kQ4_0,
                                      StorageFormat::kQ5_0, StorageFormat::kQ4_K,
                                      StorageFormat::kQ6_K};

// Squared errors relative to the row's, on normal values. The limits are a tenth above what was
// measured (2.5e-5, 6.5e-3, 1.6e-3, 4.8e-3, 2.9e-4), so that a worse search is noticed.
TEST(QuantizeRow, StaysWithinTheErrorOfItsBits) {
  const std::vector<float> row = NormalRow(4096, 1);
  const double power = MeanSquare(row, std::vector<float>(row.size()));
  const double limits[] = {2.8e-5, 7.2e-3, 1.8e-3, 5.4e-3, 3.2e-4};
  for (size_t i = 0; i < std::size(kWritten); ++i) {
    const double error =
        MeanSquare(row, Dequantized(kWritten[i], Quantized(kWritten[i], row))) / power;
    EXPECT_LT(error, limits[i]) << Name(kWritten[i]);
  }
}

TEST(QuantizeRow, KeepsWhatItsCodesCanSay) {
  std::vector<float> row(256);
  for (size_t i = 0; i < row.size(); ++i) row[i] = 0.25f * static_cast<float>(i % 16) - 2;
  for (StorageFormat format : {StorageFormat::kQ4_0, StorageFormat::kQ5_0, StorageFormat::kQ4_K}) {
    EXPECT_LT(MeanSquare(row, Dequantized(format, Quantized(format, row))), 1e-6) << Name(format);
  }
}

TEST(QuantizeRow, SpendsItsPrecisionWhereTheImportanceIs) {
  const std::vector<float> row = NormalRow(256, 2);
  std::vector<float> importance(256, 0.01f);
  for (size_t i = 0; i < 256; i += 8) importance[i] = 1;
  for (StorageFormat format : kWritten) {
    const auto plain = Dequantized(format, Quantized(format, row));
    const auto weighted = Dequantized(format, Quantized(format, row, importance));
    double plain_error = 0, weighted_error = 0;
    for (size_t i = 0; i < 256; i += 8) {
      plain_error += std::pow(plain[i] - row[i], 2);
      weighted_error += std::pow(weighted[i] - row[i], 2);
    }
    EXPECT_LT(weighted_error, plain_error) << Name(format);
  }
}

TEST(QuantizeRow, TakesRowsOfAnyMagnitude) {
  for (const double scale : {0.0, 1e-38, 1e-9, 1e-4, 1.0, 1e4, 1e30, 3e37}) {
    std::vector<float> row = NormalRow(256, 3, scale);
    row[0] = -row[0];
    for (StorageFormat format : kWritten) {
      for (float value : Dequantized(format, Quantized(format, row))) {
        EXPECT_TRUE(std::isfinite(value)) << Name(format) << " " << scale;
      }
    }
    if (scale < 1e-4 || scale > 1e4) continue;
    const auto back = Dequantized(StorageFormat::kQ4_K, Quantized(StorageFormat::kQ4_K, row));
    EXPECT_LT(MeanSquare(row, back), 0.01 * scale * scale);
  }
  const std::vector<float> equal(256, -3.f);
  for (StorageFormat format : kWritten) {
    for (float value : Dequantized(format, Quantized(format, equal))) {
      EXPECT_NEAR(value, -3, 3 * 0x1p-10) << Name(format);
    }
  }
}

TEST(QuantizeRow, RefusesWhatIsNotFiniteNamingTheColumn) {
  std::vector<float> row(256, 1.f);
  row[200] = std::numeric_limits<float>::quiet_NaN();
  for (StorageFormat format : kWritten) {
    try {
      Quantized(format, row);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("column 200"));
    }
  }
  EXPECT_THROW(Quantized(StorageFormat::kQ2_K, std::vector<float>(256)), Error);
  EXPECT_THROW(Quantized(StorageFormat::kQ4_K, std::vector<float>(32)), Error);
  EXPECT_THROW(
      Quantized(StorageFormat::kQ8_0, std::vector<float>(32), std::vector<float>(32, -1.f)), Error);
}

TEST(QuantizeRow, UsesEqualImportanceWhereAllIsZero) {
  const std::vector<float> row = NormalRow(256, 4);
  const std::vector<float> importance(256, 0.f);
  for (StorageFormat format : kWritten) {
    const auto back = Dequantized(format, Quantized(format, row, importance));
    EXPECT_LT(MeanSquare(row, back), 0.02 * 0.05 * 0.05) << Name(format);
  }
}

TEST(QuantizeRow, RoundsToTheShortFloats) {
  const std::vector<float> row = {1, -0.1f, 65504, 1e-7f, 70000, 0x1p-25f};
  const auto back = Dequantized(StorageFormat::kF16, Quantized(StorageFormat::kF16, row));
  EXPECT_EQ(back[0], 1);
  EXPECT_EQ(back[1], -0.0999755859375f);
  EXPECT_EQ(back[2], 65504);
  EXPECT_EQ(back[3], 0x1p-23f);
  EXPECT_EQ(back[4], std::numeric_limits<float>::infinity());
  EXPECT_EQ(back[5], 0);
  EXPECT_EQ(Dequantized(StorageFormat::kF32, Quantized(StorageFormat::kF32, row)), row);
  EXPECT_EQ(Dequantized(StorageFormat::kBF16, Quantized(StorageFormat::kBF16, {3.f}))[0], 3);
}

TEST(F16FromF32, InvertsF32FromF16AndRoundsToTheNearest) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto code = static_cast<uint16_t>(bits);
    const float value = F32FromF16(code);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(F32FromF16(F16FromF32(value))));
      continue;
    }
    EXPECT_EQ(F16FromF32(value), code);
    const float next = F32FromF16(static_cast<uint16_t>(code + 1));
    if ((code & 0x7FFF) < 0x7BFF) {  // between two neighbours: ties to the even code
      EXPECT_EQ(F16FromF32((value + next) / 2), code + (code & 1));
    }
  }
}

}  // namespace
}  // namespace reckon
