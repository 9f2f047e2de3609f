#include "rl/advantages.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace reckon {
namespace {

double StandardDeviation(std::span<const float> rewards, double mean, AdvantageScale scale) {
  double sum = 0;
  for (float reward : rewards) sum += (reward - mean) * (reward - mean);
  const auto n = static_cast<double>(rewards.size());
  const double divisor = scale == AdvantageScale::kSampleStd ? std::max(1.0, n - 1) : n;
  return std::sqrt(sum / divisor);
}

}  // namespace

bool HasSignal(std::span<const float> group_rewards) {
  for (float reward : group_rewards) {
    if (reward != group_rewards[0]) return true;
  }
  return false;
}

std::vector<float> GroupAdvantages(std::span<const float> rewards, int64_t group_size,
                                   AdvantageScale scale, double epsilon) {
  Check(group_size >= 1 && rewards.size() % static_cast<size_t>(group_size) == 0,
        "GroupAdvantages: the rewards are not whole groups");
  std::vector<float> advantages(rewards.size(), 0.0f);
  const auto size = static_cast<size_t>(group_size);
  for (size_t begin = 0; begin < rewards.size(); begin += size) {
    const std::span<const float> group = rewards.subspan(begin, size);
    // The mean of equal numbers need not be that number; a group without signal is exactly zero.
    if (!HasSignal(group)) continue;
    double mean = 0;
    for (float reward : group) mean += reward;
    mean /= static_cast<double>(group_size);
    const double divisor =
        scale == AdvantageScale::kNone ? 1.0 : StandardDeviation(group, mean, scale) + epsilon;
    for (size_t i = 0; i < size; ++i) {
      advantages[begin + i] = static_cast<float>((group[i] - mean) / divisor);
    }
  }
  return advantages;
}

}  // namespace reckon
