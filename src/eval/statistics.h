// Estimators and intervals for accuracies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace reckon {

struct Interval {
  double low = 0, high = 0;
};

// Unbiased pass@k from n samples of which c are right: 1 - C(n - c, k) / C(n, k)
// (arXiv:2107.03374, eq. 1). 1 <= k <= n.
double PassAtK(int64_t n, int64_t c, int64_t k);

// Index of the answer that occurs most often among the first k; the earliest among equals. Empty
// answers (no well-formed response) do not vote; -1 if nobody votes.
int64_t MajorityVote(const std::vector<std::string>& answers, int64_t k);

// Wilson's score interval of a share, 95% (Wilson, JASA 1927).
Interval WilsonInterval(int64_t successes, int64_t trials);

// Percentile bootstrap over problems of the mean of `values`, 95%, 1000 resamples.
Interval BootstrapInterval(const std::vector<double>& values, uint64_t seed);

double Mean(const std::vector<double>& values);

}  // namespace reckon
