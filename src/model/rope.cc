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
  return static_cast<double>(config.rope_dim()) * Log(context / (rotations * kTwoPi)) /
         (2 * Log(config.rope_theta));
}

// High frequencies are kept, low ones divided by factor, with a linear ramp over the pairs between
// (arXiv:2309.00071, section 3.2).
void ScaleYarn(const ModelConfig& config, const std::vector<float>& periods,
               std::vector<float>& inv_freq) {
  const RopeScaling& s = *config.rope_scaling;
  const double low = std::max(std::floor(CorrectionIndex(config, s.beta_fast)), 0.0);
  double high = std::min(std::ceil(CorrectionIndex(config, s.beta_slow)),
                         static_cast<double>(config.rope_dim() - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const float slow = 1.0f / (static_cast<float>(s.factor) * periods[i]);
    const float ramp =
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float keep = 1.0f - std::clamp(ramp, 0.0f, 1.0f);
    inv_freq[i] = slow * (1.0f - keep) + inv_freq[i] * keep;
  }
}

// Llama 3.1 (its released model code): by wavelength against the original context.
void ScaleLlama3(const RopeScaling& s, std::vector<float>& inv_freq) {
  constexpr float kTwoPi = 6.28318530717958648f;
  const auto context = static_cast<float>(s.original_max_position_embeddings);
  const auto factor = static_cast<float>(s.factor);
  const auto low = static_cast<float>(s.low_freq_factor);
  const auto high = static_cast<float>(s.high_freq_factor);
  for (float& f : inv_freq) {
    const float wavelength = kTwoPi / f;
    if (wavelength > context / low) {
      f /= factor;
    } else if (wavelength >= context / high) {
      const float smooth = (context / wavelength - low) / (high - low);
      f = (1.0f - smooth) * f / factor + smooth * f;
    }
  }
}

}  // namespace

std::vector<float> InverseFrequencies(const ModelConfig& config) {
  const int64_t dim = config.rope_dim(), half = dim / 2;
  std::vector<float> periods(static_cast<size_t>(half)), inv_freq(static_cast<size_t>(half));
  for (int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    const auto at = static_cast<size_t>(i);
    periods[at] = static_cast<float>(Pow(config.rope_theta, static_cast<double>(exponent)));
    inv_freq[at] = 1.0f / periods[at];
  }
  if (!config.rope_scaling) return inv_freq;
  switch (config.rope_scaling->type) {
    case RopeType::kYarn:
      ScaleYarn(config, periods, inv_freq);
      break;
    case RopeType::kLlama3:
      ScaleLlama3(*config.rope_scaling, inv_freq);
      break;
    case RopeType::kLinear:
      for (float& f : inv_freq) f /= static_cast<float>(config.rope_scaling->factor);
      break;
  }
  return inv_freq;
}

float SoftmaxScale(const ModelConfig& config) {
  double scale = 1.0 / std::sqrt(static_cast<double>(config.qk_head_dim()));
  if (config.uses_mla() && config.rope_scaling && config.rope_scaling->mscale_all_dim != 0) {
    const double m = MscaleFactor(config.rope_scaling->factor, config.rope_scaling->mscale_all_dim);
    scale *= m * m;
  }
  return static_cast<float>(scale);
}

float RopeScale(const ModelConfig& config) {
  if (!config.rope_scaling || config.rope_scaling->type != RopeType::kYarn) return 1;
  const RopeScaling& s = *config.rope_scaling;
  // Outside DeepSeek a YaRN without mscale has the paper's 0.1 ln(factor) + 1 on cos and sin.
  return static_cast<float>(MscaleFactor(s.factor, s.mscale) /
                            MscaleFactor(s.factor, s.mscale_all_dim));
}

}  // namespace reckon
