// Floats to blocks. Each format's scales are found in three steps: candidates around "the largest
// element takes the largest code", each improved by least squares for its codes; rounding of the
// scales to what the block stores; least squares again with the rounded scales in place, kept where
// it lowers the error. All sums are in double, in ascending order.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "tensor/block_formats.h"
#include "tensor/number_formats.h"

namespace reckon {
namespace {

// Scales below this are 0 in f16, whatever small integer they are divided by.
constexpr float kLeastScale = 1e-10f;
constexpr float kLargestF16 = 65504;
// Smaller ones count as 0, so that the result does not depend on whether the processor flushes
// them.
constexpr float kLeastNormal = std::numeric_limits<float>::min();

uint16_t StoredF16(float value) { return F16FromF32(std::clamp(value, -kLargestF16, kLargestF16)); }
float ThroughF16(float value) { return F32FromF16(StoredF16(value)); }
void Store16(uint16_t bits, uint8_t* out) {
  out[0] = static_cast<uint8_t>(bits);
  out[1] = static_cast<uint8_t>(bits >> 8);
}

// The code nearest to `value` (ties to even) of low..high; exact, and needs no libm: adding
// 1.5 * 2^23 leaves no fraction bits.
int Code(float value, float low, float high) {
  const float clamped = value > low ? (value < high ? value : high) : low;  // a NaN becomes low
  return static_cast<int>((clamped + 12582912.f) - 12582912.f);
}

// A run of elements with one scale.
struct Run {
  const float* x;
  const float* weight;
  int n;
};

// ---- x = scale * q, q in low..high

struct Range {
  float low, high;
};

float Inverse(float scale) { return std::fabs(scale) < kLeastScale ? 0 : 1 / scale; }

double SymmetricError(const Run& run, Range range, float scale) {
  const float inverse = Inverse(scale);
  double error = 0;
  for (int i = 0; i < run.n; ++i) {
    const int q = Code(run.x[i] * inverse, range.low, range.high);
    const double off = static_cast<double>(run.x[i]) - static_cast<double>(scale) * q;
    error += run.weight[i] * off * off;
  }
  return error;
}

struct SymmetricSums {
  double xq = 0, qq = 0;
};
SymmetricSums SumsFor(const Run& run, Range range, float inverse) {
  SymmetricSums sums;
  for (int i = 0; i < run.n; ++i) {
    const double q = Code(run.x[i] * inverse, range.low, range.high);
    sums.xq += run.weight[i] * static_cast<double>(run.x[i]) * q;
    sums.qq += run.weight[i] * q * q;
  }
  return sums;
}

float LargestMagnitude(const Run& run) {  // with its sign
  float largest = 0;
  for (int i = 0; i < run.n; ++i) {
    if (std::fabs(run.x[i]) > std::fabs(largest)) largest = run.x[i];
  }
  return largest;
}

// The scale with the least error over candidates that give the largest element the codes
// end - width .. end + width, for both ends.
float SearchScale(const Run& run, Range range, int steps, float width) {
  const float largest = LargestMagnitude(run);
  if (std::fabs(largest) < kLeastScale) return 0;
  float best_scale = largest / range.low;
  double best_gain = -1;  // error = sum(w x^2) - gain
  for (const float end : {range.low, range.high}) {
    for (int step = -steps; step <= steps; ++step) {
      const float code = end + width * static_cast<float>(step) / static_cast<float>(steps);
      const SymmetricSums sums = SumsFor(run, range, code / largest);
      if (sums.qq <= 0) continue;
      const double gain = sums.xq * sums.xq / sums.qq;
      if (gain > best_gain) {
        best_gain = gain;
        best_scale = static_cast<float>(sums.xq / sums.qq);
      }
    }
  }
  return best_scale;
}

// As SearchScale, then through f16, with least squares for the codes that the rounded scale gives.
float SearchStoredScale(const Run& run, Range range, int steps, float width) {
  float best = ThroughF16(SearchScale(run, range, steps, width));
  double best_error = SymmetricError(run, range, best);
  for (int round = 0; round < 3; ++round) {
    const SymmetricSums sums = SumsFor(run, range, Inverse(best));
    if (sums.qq <= 0) break;
    const float scale = ThroughF16(static_cast<float>(sums.xq / sums.qq));
    const double error = SymmetricError(run, range, scale);
    if (!(error < best_error)) break;
    best = scale;
    best_error = error;
  }
  return best;
}

// Elements e and e + 16 share a byte.
void PackNibbles32(const int* q, uint8_t* out) {
  for (int e = 0; e < 16; ++e) out[e] = static_cast<uint8_t>((q[e] & 15) | (q[e + 16] & 15) << 4);
}

void QuantizeQ8_0(const Run& run, uint8_t* block) {
  const float scale = SearchStoredScale(run, {-127, 127}, 3, 1.5f), inverse = Inverse(scale);
  Store16(StoredF16(scale), block);
  for (int e = 0; e < 32; ++e) {
    block[2 + e] = static_cast<uint8_t>(static_cast<int8_t>(Code(run.x[e] * inverse, -127, 127)));
  }
}

void QuantizeQ4_0(const Run& run, uint8_t* block) {
  const float scale = SearchStoredScale(run, {-8, 7}, 12, 1.2f), inverse = Inverse(scale);
  int q[32];
  for (int e = 0; e < 32; ++e) q[e] = Code(run.x[e] * inverse, -8, 7) + 8;
  Store16(StoredF16(scale), block);
  PackNibbles32(q, block + 2);
}

void QuantizeQ5_0(const Run& run, uint8_t* block) {
  const float scale = SearchStoredScale(run, {-16, 15}, 12, 1.5f), inverse = Inverse(scale);
  int q[32];
  uint32_t fifth = 0;
  for (int e = 0; e < 32; ++e) {
    q[e] = Code(run.x[e] * inverse, -16, 15) + 16;
    fifth |= static_cast<uint32_t>(q[e] >> 4) << e;
  }
  Store16(StoredF16(scale), block);
  std::memcpy(block + 2, &fifth, sizeof(fifth));
  PackNibbles32(q, block + 6);
}

// ---- Q6_K: x = d * scale * q, 16 runs of 16, scale in -128..127, q in -32..31

constexpr Range kSixBits = {-32, 31};

struct Scales6 {
  float d = 0;
  int scale[16] = {};
  double error = 0;
};

// The scales of the runs for this d: the nearest to the wish, or one beside it if that is better.
Scales6 ChooseScales(const Run& block, const float* wished, float d) {
  Scales6 chosen;
  chosen.d = d;
  const float inverse = Inverse(d);
  for (int r = 0; r < 16; ++r) {
    const Run run = {block.x + 16 * r, block.weight + 16 * r, 16};
    const int nearest = Code(wished[r] * inverse, -128, 127);
    double best = -1;
    for (const int change : {0, -1, 1}) {
      const int scale = std::clamp(nearest + change, -128, 127);
      const double error = SymmetricError(run, kSixBits, d * static_cast<float>(scale));
      if (best < 0 || error < best) {
        best = error;
        chosen.scale[r] = scale;
      }
    }
    chosen.error += best;
  }
  return chosen;
}

float RefitD(const Run& block, const Scales6& scales) {
  double xq = 0, qq = 0;
  for (int r = 0; r < 16; ++r) {
    const Run run = {block.x + 16 * r, block.weight + 16 * r, 16};
    const float scale = scales.d * static_cast<float>(scales.scale[r]);
    const SymmetricSums sums = SumsFor(run, kSixBits, Inverse(scale));
    xq += sums.xq * scales.scale[r];
    qq += sums.qq * scales.scale[r] * scales.scale[r];
  }
  return qq > 0 ? ThroughF16(static_cast<float>(xq / qq)) : scales.d;
}

void QuantizeQ6_K(const Run& block, uint8_t* out) {
  float wished[16], largest = 0;
  for (int r = 0; r < 16; ++r) {
    wished[r] = SearchScale({block.x + 16 * r, block.weight + 16 * r, 16}, kSixBits, 6, 1.2f);
    if (std::fabs(wished[r]) > std::fabs(largest)) largest = wished[r];
  }
  Scales6 best = ChooseScales(block, wished, ThroughF16(largest / -128));
  for (int round = 0; round < 3; ++round) {
    const Scales6 next = ChooseScales(block, wished, RefitD(block, best));
    if (!(next.error < best.error)) break;
    best = next;
  }
  std::memset(out, 0, 210);
  for (int e = 0; e < 256; ++e) {
    const int group = e / 16;
    const float scale = best.d * static_cast<float>(best.scale[group]);
    const int q = Code(block.x[e] * Inverse(scale), kSixBits.low, kSixBits.high) + 32;
    out[e / 128 * 64 + e % 64] |= static_cast<uint8_t>((q & 15) << (e % 128 / 64 * 4));
    out[128 + e / 128 * 32 + e % 32] |= static_cast<uint8_t>(q >> 4 << (e % 128 / 32 * 2));
  }
  for (int r = 0; r < 16; ++r) {
    out[192 + r] = static_cast<uint8_t>(static_cast<int8_t>(best.scale[r]));
  }
  Store16(StoredF16(best.d), out + 208);
}

// ---- Q4_K: x = d * scale * q - dmin * min, 8 runs of 32, scale and min in 0..63, q in 0..15

struct Line {  // x = scale * q - min
  float scale = 0, min = 0;
};

double LineError(const Run& run, Line line) {
  const float inverse = Inverse(line.scale);
  double error = 0;
  for (int i = 0; i < run.n; ++i) {
    const int q = Code((run.x[i] + line.min) * inverse, 0, 15);
    const double off = static_cast<double>(run.x[i]) -
                       (static_cast<double>(line.scale) * q - static_cast<double>(line.min));
    error += run.weight[i] * off * off;
  }
  return error;
}

struct LineSums {
  double w = 0, x = 0, xx = 0, q = 0, qq = 0, xq = 0;  // each times the weight
};
LineSums SumsFor(const Run& run, float inverse, float min) {
  LineSums sums;
  for (int i = 0; i < run.n; ++i) {
    const double w = run.weight[i], x = run.x[i];
    const double q = Code((run.x[i] + min) * inverse, 0, 15);
    sums.w += w;
    sums.x += w * x;
    sums.xx += w * x * x;
    sums.q += w * q;
    sums.qq += w * q * q;
    sums.xq += w * x * q;
  }
  return sums;
}

// The line of least error for the codes behind the sums, with scale >= 0 and min >= 0.
Line Solve(const LineSums& s) {
  const double determinant = s.w * s.qq - s.q * s.q;
  if (determinant > 0) {
    const double scale = (s.w * s.xq - s.x * s.q) / determinant;
    const double min = (s.q * s.xq - s.qq * s.x) / determinant;
    if (scale >= 0 && min >= 0) return {static_cast<float>(scale), static_cast<float>(min)};
  }
  if (s.qq <= 0) return {0, s.w > 0 ? static_cast<float>(std::max(0.0, -s.x / s.w)) : 0};
  return {static_cast<float>(std::max(0.0, s.xq / s.qq)), 0};
}

double ErrorOf(const LineSums& s, Line line) {
  const double a = line.scale, b = -static_cast<double>(line.min);
  return s.xx + a * a * s.qq + b * b * s.w + 2 * (a * b * s.q - a * s.xq - b * s.x);
}

// Candidates spread the range of the run over 13 to 16 steps.
Line SearchLine(const Run& run) {
  float low = 0, high = run.x[0];
  for (int i = 0; i < run.n; ++i) {
    low = std::min(low, run.x[i]);
    high = std::max(high, run.x[i]);
  }
  Line best = {0, -low};
  if (high - low < kLeastScale) return best;
  best.scale = (high - low) / 15;
  double best_error = LineError(run, best);
  for (int step = 0; step <= 30; ++step) {
    const float inverse = (13.f + 0.1f * static_cast<float>(step)) / (high - low);
    const LineSums sums = SumsFor(run, inverse, -low);
    const Line line = Solve(sums);
    const double error = ErrorOf(sums, line);
    if (error < best_error) {
      best_error = error;
      best = line;
    }
  }
  return best;
}

struct Scales4 {
  float d = 0, dmin = 0;
  int scale[8] = {}, min[8] = {};
  double error = 0;
  Line line(int run) const {
    return {d * static_cast<float>(scale[run]), dmin * static_cast<float>(min[run])};
  }
};

Run RunOf32(const Run& block, int r) { return {block.x + 32 * r, block.weight + 32 * r, 32}; }

// The stored scales and minima for this d and dmin: the nearest to the wish, or a neighbour.
Scales4 ChooseScales(const Run& block, const Line* wished, float d, float dmin) {
  Scales4 chosen;
  chosen.d = d;
  chosen.dmin = dmin;
  for (int r = 0; r < 8; ++r) {
    const Run run = RunOf32(block, r);
    const int scale = Code(wished[r].scale * Inverse(d), 0, 63);
    const int min = Code(wished[r].min * Inverse(dmin), 0, 63);
    double best = -1;
    for (int s = std::max(0, scale - 1); s <= std::min(63, scale + 1); ++s) {
      for (int m = std::max(0, min - 1); m <= std::min(63, min + 1); ++m) {
        const double error =
            LineError(run, {d * static_cast<float>(s), dmin * static_cast<float>(m)});
        if (best < 0 || error < best) {
          best = error;
          chosen.scale[r] = s;
          chosen.min[r] = m;
        }
      }
    }
    chosen.error += best;
  }
  return chosen;
}

// d and dmin by least squares for the codes, scales and minima of `scales`.
Line RefitDs(const Run& block, const Scales4& scales) {
  LineSums sums;  // of x = d * (scale * q) - dmin * min, with -min in the place of 1
  for (int r = 0; r < 8; ++r) {
    const Line line = scales.line(r);
    const LineSums s = SumsFor(RunOf32(block, r), Inverse(line.scale), line.min);
    const double scale = scales.scale[r], min = scales.min[r];
    sums.w += s.w * min * min;
    sums.x += s.x * min;
    sums.q += s.q * scale * min;
    sums.qq += s.qq * scale * scale;
    sums.xq += s.xq * scale;
  }
  const Line line = Solve(sums);
  return {ThroughF16(line.scale), ThroughF16(line.min)};
}

// As ScaleMinOf in block_formats.cc reads them.
void PackScales(const Scales4& scales, uint8_t* out) {
  for (int r = 0; r < 4; ++r) {
    const int scale = scales.scale[r + 4], min = scales.min[r + 4];
    out[r] = static_cast<uint8_t>(scales.scale[r] | scale >> 4 << 6);
    out[r + 4] = static_cast<uint8_t>(scales.min[r] | min >> 4 << 6);
    out[r + 8] = static_cast<uint8_t>((scale & 15) | (min & 15) << 4);
  }
}

void QuantizeQ4_K(const Run& block, uint8_t* out) {
  Line wished[8];
  Line largest;
  for (int r = 0; r < 8; ++r) {
    wished[r] = SearchLine(RunOf32(block, r));
    largest.scale = std::max(largest.scale, wished[r].scale);
    largest.min = std::max(largest.min, wished[r].min);
  }
  Scales4 best =
      ChooseScales(block, wished, ThroughF16(largest.scale / 63), ThroughF16(largest.min / 63));
  for (int round = 0; round < 3; ++round) {
    const Line ds = RefitDs(block, best);
    const Scales4 next = ChooseScales(block, wished, ds.scale, ds.min);
    if (!(next.error < best.error)) break;
    best = next;
  }
  std::memset(out, 0, 144);
  Store16(StoredF16(best.d), out);
  Store16(StoredF16(best.dmin), out + 2);
  PackScales(best, out + 4);
  for (int e = 0; e < 256; ++e) {
    const Line line = best.line(e / 32);
    const int q = Code((block.x[e] + line.min) * Inverse(line.scale), 0, 15);
    out[16 + e / 64 * 32 + e % 32] |= static_cast<uint8_t>(q << (e % 64 / 32 * 4));
  }
}

// ---- rows

void CheckFinite(std::span<const float> row, std::span<const float> importance) {
  for (size_t i = 0; i < row.size(); ++i) {
    if (!(std::fabs(row[i]) <= std::numeric_limits<float>::max())) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("column {} is {}; only finite values can be quantised", i, row[i]));
    }
  }
  for (size_t i = 0; i < importance.size(); ++i) {
    if (!(importance[i] >= 0 && importance[i] <= std::numeric_limits<float>::max())) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("the importance of column {} is {}; it must be finite and not negative", i,
                        importance[i]));
    }
  }
}

// importance * sqrt(mean(x^2) + x^2). Large weights matter more than small ones (they are what
// outputs are made of), but not by their square.
std::vector<float> Weights(std::span<const float> row, std::span<const float> importance) {
  double squares = 0;
  for (const float x : row) squares += static_cast<double>(x) * x;
  const double mean = squares / static_cast<double>(std::max<size_t>(row.size(), 1));
  std::vector<float> weights(row.size());
  for (size_t i = 0; i < row.size(); ++i) {
    const double by = importance.empty() ? 1 : importance[i];
    const double weight = by * std::sqrt(mean + static_cast<double>(row[i]) * row[i]);
    weights[i] = weight < kLeastNormal ? 0 : static_cast<float>(std::min(weight, 1e37));
  }
  return weights;
}

// A block that no activation ever met is quantised by its own magnitudes.
void ReplaceIfAllZero(std::span<float> weights) {
  if (std::all_of(weights.begin(), weights.end(), [](float w) { return w == 0; })) {
    std::fill(weights.begin(), weights.end(), 1.f);
  }
}

using QuantizeBlock = void (*)(const Run&, uint8_t*);
QuantizeBlock BlockFunction(StorageFormat format) {
  switch (format) {
    case StorageFormat::kQ8_0:
      return QuantizeQ8_0;
    case StorageFormat::kQ4_0:
      return QuantizeQ4_0;
    case StorageFormat::kQ5_0:
      return QuantizeQ5_0;
    case StorageFormat::kQ4_K:
      return QuantizeQ4_K;
    case StorageFormat::kQ6_K:
      return QuantizeQ6_K;
    default:
      Throw(ErrorKind::kUnsupported,
            fmt::format("{} is read, not written; F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q4_K and Q6_K "
                        "are written",
                        Name(format)));
  }
}

}  // namespace

void QuantizeRow(StorageFormat format, std::span<const float> row,
                 std::span<const float> importance, std::byte* out) {
  RowBytes(format, static_cast<int64_t>(row.size()));  // throws unless whole blocks
  Check(importance.empty() || importance.size() == row.size(), "an importance for each column");
  auto* bytes = reinterpret_cast<uint8_t*>(out);
  if (format == StorageFormat::kF32) {
    if (!row.empty()) std::memcpy(bytes, row.data(), row.size_bytes());
    return;
  }
  if (format == StorageFormat::kF16 || format == StorageFormat::kBF16) {
    const auto convert = format == StorageFormat::kF16 ? F16FromF32 : BF16FromF32;
    for (size_t i = 0; i < row.size(); ++i) Store16(convert(row[i]), bytes + 2 * i);
    return;
  }
  CheckFinite(row, importance);
  const QuantizeBlock quantize = BlockFunction(format);
  const FormatInfo& info = InfoOf(format);
  const auto block = static_cast<size_t>(info.block_elements);
  std::vector<float> normal(row.begin(), row.end());
  for (float& x : normal) x = std::fabs(x) < kLeastNormal ? 0 : x;
  std::vector<float> weights = Weights(normal, importance);
  for (size_t e = 0; e < row.size(); e += block, bytes += info.block_bytes) {
    ReplaceIfAllZero(std::span(weights).subspan(e, block));
    quantize({normal.data() + e, weights.data() + e, static_cast<int>(block)}, bytes);
  }
}

}  // namespace reckon
