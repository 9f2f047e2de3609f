// The numerics fixture: FP8 and bf16 conversions and DeepSeek's block quantisation, made with exact
// codecs and checked against torch. The rules of comparison are those of the fixture's README.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "formats/safetensors.h"
#include "kernels/kernel_table.h"
#include "tensor/block_quant.h"
#include "tensor/number_formats.h"
#include "tests/golden/shared.h"

namespace reckon {
namespace {

class Numerics : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = SharedPath("fixtures/numerics/expected.safetensors");
    if (!FileExists(path)) GTEST_SKIP() << "no fixture at " << path;
    file_ = std::make_unique<SafetensorsFile>(path);
  }

  std::vector<uint8_t> Codes(const std::string& name) const {
    const std::span<const std::byte> bytes = file_->Get(name).bytes;
    std::vector<uint8_t> codes(bytes.size());
    std::memcpy(codes.data(), bytes.data(), bytes.size());
    return codes;
  }

  Tensor CodeTensor(const std::string& name) const {
    Tensor tensor(DType::kF8E4M3, file_->Get(name).shape);
    std::memcpy(tensor.bytes(), file_->Get(name).bytes.data(), tensor.num_bytes());
    return tensor;
  }

  // All 256 codes; the payload and sign of a NaN do not count.
  void ExpectDecodes(const std::string& name, float (*decode)(uint8_t)) const {
    const Tensor want = file_->LoadF32(name);
    ASSERT_EQ(want.num_elements(), 256);
    for (int code = 0; code < 256; ++code) {
      const float value = decode(static_cast<uint8_t>(code)), expected = want.f32()[code];
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(value)) << code;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(expected)) << code;
      }
    }
  }

  void ExpectEncodes(const std::string& format, Overflow overflow,
                     uint8_t (*encode)(float, Overflow), float (*decode)(uint8_t)) const {
    const Tensor input = file_->LoadF32(format + ".encode.input");
    const std::vector<uint8_t> want =
        Codes(format +
              (overflow == Overflow::kSaturate ? ".encode.saturating" : ".encode.nonsaturating"));
    ASSERT_EQ(static_cast<size_t>(input.num_elements()), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const uint8_t code = encode(input.f32()[i], overflow);
      if (std::isnan(decode(want[i]))) {
        EXPECT_TRUE(std::isnan(decode(code))) << input.f32()[i];
      } else {
        EXPECT_EQ(code, want[i]) << input.f32()[i];
      }
    }
  }

  // Codes exactly; scales as far as a quotient that was rounded once can differ.
  void ExpectQuantized(const QuantizedMatrix& q, const std::string& codes,
                       const std::string& scales, bool exact) const {
    const std::vector<uint8_t> want_codes = Codes(codes);
    ASSERT_EQ(q.codes.num_bytes(), want_codes.size());
    EXPECT_EQ(std::memcmp(q.codes.bytes(), want_codes.data(), want_codes.size()), 0) << codes;
    const Tensor want = file_->LoadF32(scales);
    ASSERT_EQ(q.scales.shape(), want.shape());
    for (int64_t i = 0; i < want.num_elements(); ++i) {
      const float expected = want.f32()[i];
      const float ulp = std::nextafter(expected, INFINITY) - expected;
      EXPECT_NEAR(q.scales.f32()[i], expected, exact ? 0 : ulp) << scales << " " << i;
    }
  }

  std::unique_ptr<SafetensorsFile> file_;
};

TEST_F(Numerics, EveryFp8CodeHasItsValue) {
  ExpectDecodes("e4m3.decode", F32FromE4M3);
  ExpectDecodes("e5m2.decode", F32FromE5M2);
}

TEST_F(Numerics, Fp8RoundsToNearestEvenAndOverflowsAsAsked) {
  for (Overflow overflow : {Overflow::kSaturate, Overflow::kNonFinite}) {
    ExpectEncodes("e4m3", overflow, E4M3FromF32, F32FromE4M3);
    ExpectEncodes("e5m2", overflow, E5M2FromF32, F32FromE5M2);
  }
}

TEST_F(Numerics, Bf16RoundsToNearestEven) {
  const Tensor input = file_->LoadF32("bf16.input"), want = file_->LoadF32("bf16.rounded");
  for (int64_t i = 0; i < want.num_elements(); ++i) {
    const float value = F32FromBF16(BF16FromF32(input.f32()[i]));
    if (std::isnan(want.f32()[i])) {
      EXPECT_TRUE(std::isnan(value)) << i;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(want.f32()[i]))
          << input.f32()[i];
    }
  }
}

// The kernels of every instruction set round like the codec (they may flush subnormals).
TEST_F(Numerics, Bf16OfTheKernelsIsThatOfTheCodec) {
  const Tensor input = file_->LoadF32("bf16.input");
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    const KernelTable* table = FindKernelTable(isa);
    if (table == nullptr) continue;
    std::vector<uint16_t> rounded(static_cast<size_t>(input.num_elements()));
    table->f32_to_bf16(input.f32(), input.num_elements(), rounded.data());
    for (size_t i = 0; i < rounded.size(); ++i) {
      const float value = input.f32()[i];
      if (std::fpclassify(value) == FP_SUBNORMAL) continue;
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(F32FromBF16(rounded[i]))) << table->isa << " " << i;
      } else {
        EXPECT_EQ(rounded[i], BF16FromF32(value)) << table->isa << " " << value;
      }
    }
  }
}

TEST_F(Numerics, ActivationsAreQuantisedBy128Columns) {
  const Tensor x = file_->LoadF32("act.x");
  ExpectQuantized(QuantizeActivations(x.matrix()), "act.q", "act.scale", false);
  ExpectQuantized(QuantizeActivations(x.matrix(), ScaleFormat::kUe8m0), "act.ue8m0.q",
                  "act.ue8m0.scale", true);
  ExpectQuantized(QuantizeActivations(file_->LoadF32("act_ties.x").matrix()), "act_ties.q",
                  "act_ties.scale", true);
}

TEST_F(Numerics, WeightsAreQuantisedBy128RowsAndColumns) {
  const Tensor w = file_->LoadF32("weight.w");
  ExpectQuantized(QuantizeWeights(w.matrix()), "weight.q", "weight.scale_inv", false);
  ExpectQuantized(QuantizeWeights(w.matrix(), ScaleFormat::kUe8m0), "weight.ue8m0.q",
                  "weight.ue8m0.scale_inv", true);
}

TEST_F(Numerics, DequantisedValuesAreWithinHalfAStepOfTheOriginal) {
  const Tensor w = file_->LoadF32("weight.w");
  const QuantizedMatrix q = QuantizeWeights(w.matrix());
  const Tensor back = Dequantize(q);
  for (int64_t r = 0; r < w.dim(0); ++r) {
    for (int64_t c = 0; c < w.dim(1); ++c) {
      // e4m3 has 4 significant bits (half a step is 1/16 of the value) and a least step of 2^-9 of
      // the scale.
      const float scale = q.scales.f32()[r / kQuantBlock * q.scales.dim(1) + c / kQuantBlock];
      const float value = w.matrix().row(r)[c];
      ASSERT_NEAR(back.matrix().row(r)[c], value,
                  std::max(std::fabs(value) / 16, scale * 0x1p-10f) * (1 + 0x1p-20f));
    }
  }
}

TEST_F(Numerics, BlockProductIsThatOfFloat32Accumulation) {
  const QuantizedMatrix a{1, CodeTensor("act.q"), file_->LoadF32("act.scale")};
  const QuantizedMatrix b{kQuantBlock, CodeTensor("gemm.b_q"), file_->LoadF32("gemm.b_scale_inv")};
  const Tensor product = MultiplyQuantized(a, b);
  const Tensor want = file_->LoadF32("gemm.c"), size = file_->LoadF32("gemm.abs");
  ASSERT_EQ(product.shape(), want.shape());
  for (int64_t i = 0; i < want.num_elements(); ++i) {
    // The README's bound: 17 roundings of 2^-24 of the sum of magnitudes.
    ASSERT_NEAR(product.f32()[i], want.f32()[i], 1e-6 * static_cast<double>(size.f32()[i])) << i;
  }
}

TEST(BlockQuant, RefusesWhatItCannotScale) {
  Tensor x = Tensor::Zeros(DType::kF32, {2, 130});
  x.f32()[131] = NAN;
  EXPECT_THROW(QuantizeActivations(x.matrix()), Error);
  x.f32()[131] = -INFINITY;
  EXPECT_THROW(QuantizeWeights(x.matrix()), Error);
  x.f32()[131] = 0;
  const QuantizedMatrix a = QuantizeActivations(x.matrix());
  EXPECT_EQ(a.scales.shape(), (Shape{2, 2}));
  const Tensor narrow = Tensor::Zeros(DType::kF32, {2, 129});
  EXPECT_THROW(MultiplyQuantized(a, QuantizeWeights(narrow.matrix())), Error);
}

}  // namespace
}  // namespace reckon
