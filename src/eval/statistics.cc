#include "eval/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/rng.h"

namespace reckon {

double PassAtK(int64_t n, int64_t c, int64_t k) {
  Check(k >= 1 && k <= n && c >= 0 && c <= n, "PassAtK: 1 <= k <= n and 0 <= c <= n");
  if (n - c < k) return 1;
  // C(n - c, k) / C(n, k) as a product of shares.
  double none = 1;
  for (int64_t i = n - c + 1; i <= n; ++i) {
    none *= 1 - static_cast<double>(k) / static_cast<double>(i);
  }
  return 1 - none;
}

int64_t MajorityVote(const std::vector<std::string>& answers, int64_t k) {
  int64_t best = -1, best_votes = 0;
  const auto end = answers.begin() + std::min<int64_t>(k, static_cast<int64_t>(answers.size()));
  for (auto it = answers.begin(); it != end; ++it) {
    if (it->empty()) continue;
    const int64_t votes = std::count(answers.begin(), end, *it);
    if (votes > best_votes) {
      best = it - answers.begin();
      best_votes = votes;
    }
  }
  return best;
}

Interval WilsonInterval(int64_t successes, int64_t trials) {
  if (trials == 0) return {0, 1};
  constexpr double kZ = 1.959963984540054;  // of 95%
  const double n = static_cast<double>(trials), p = static_cast<double>(successes) / n;
  const double denominator = 1 + kZ * kZ / n;
  const double centre = (p + kZ * kZ / (2 * n)) / denominator;
  const double half = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n)) / denominator;
  // At the ends the bound is 0 or 1, which rounding would miss.
  return {successes == 0 ? 0 : centre - half, successes == trials ? 1 : centre + half};
}

Interval BootstrapInterval(const std::vector<double>& values, uint64_t seed) {
  if (values.empty()) return {};
  constexpr int kResamples = 1000;
  const int64_t n = static_cast<int64_t>(values.size());
  std::vector<double> means;
  for (int i = 0; i < kResamples; ++i) {
    Rng rng(seed, {StreamName("bootstrap"), static_cast<uint64_t>(i)});
    double sum = 0;
    for (int64_t j = 0; j < n; ++j) sum += values[static_cast<size_t>(rng.Below(n))];
    means.push_back(sum / static_cast<double>(n));
  }
  std::sort(means.begin(), means.end());
  return {means[kResamples * 25 / 1000], means[kResamples * 975 / 1000 - 1]};
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace reckon
