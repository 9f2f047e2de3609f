#include "model/rope.h"

#include <algorithm>
#include <cmath>

#include "base/math.h"

namespace reckon {
namespace {

double MscaleFactor(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * Log(factor) + 1.0;
}

// The pair index whose wavelength makes `rotations` turns within the original context.
double CorrectionIndex(const ModelConfig& config, double rotations) {
  constexpr double kTwoPi = 6.283185307179586477;
  const double context = static_cast<double>(config.rope_scaling->original_max_position_embeddings);
  return static_cast<double>(config.qk_rope_head_dim) * Log(context / (rotations * kTwoPi)) /
         (2 * Log(config.rope_theta));
}

}  // namespace

std::vector<float> InverseFrequencies(const ModelConfig& config) {
  const int64_t dim = config.qk_rope_head_dim, half = dim / 2;
  std::vector<float> inv_freq(static_cast<size_t>(half));
  double low = 0, high = 0;
  if (config.rope_scaling) {
    low = std::max(std::floor(CorrectionIndex(config, config.rope_scaling->beta_fast)), 0.0);
    high = std::min(std::ceil(CorrectionIndex(config, config.rope_scaling->beta_slow)),
                    static_cast<double>(dim - 1));
    if (low == high) high += 0.001;
  }
  for (int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    const float period = static_cast<float>(Pow(config.rope_theta, static_cast<double>(exponent)));
    float value = 1.0f / period;
    if (config.rope_scaling) {
      const float slow = 1.0f / (static_cast<float>(config.rope_scaling->factor) * period);
      const float ramp =
          (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
      const float keep = 1.0f - std::clamp(ramp, 0.0f, 1.0f);
      value = slow * (1.0f - keep) + value * keep;
    }
    inv_freq[static_cast<size_t>(i)] = value;
  }
  return inv_freq;
}

float SoftmaxScale(const ModelConfig& config) {
  double scale = 1.0 / std::sqrt(static_cast<double>(config.qk_head_dim()));
  if (config.rope_scaling && config.rope_scaling->mscale_all_dim != 0) {
    const double m = MscaleFactor(config.rope_scaling->factor, config.rope_scaling->mscale_all_dim);
    scale *= m * m;
  }
  return static_cast<float>(scale);
}

float RopeScale(const ModelConfig& config) {
  if (!config.rope_scaling) return 1;
  const RopeScaling& s = *config.rope_scaling;
  return static_cast<float>(MscaleFactor(s.factor, s.mscale) /
                            MscaleFactor(s.factor, s.mscale_all_dim));
}

}  // namespace reckon
