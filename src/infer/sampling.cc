#include "infer/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/math.h"

namespace reckon {
namespace {

bool HasPenalties(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.frequency_penalty != 0 ||
         params.presence_penalty != 0;
}

bool HasFilters(const SamplingParams& params) {
  return params.top_k > 0 || params.top_p < 1 || params.min_p > 0;
}

std::vector<int32_t> SortedIds(std::span<const int32_t> ids, int64_t vocab_size) {
  std::vector<int32_t> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  Check(sorted.empty() || (sorted.front() >= 0 && sorted.back() < vocab_size),
        "sampling penalties: a token id is outside the vocabulary");
  return sorted;
}

void Penalise(const SamplingParams& params, std::span<const int32_t> prompt_ids,
              std::span<const int32_t> output_ids, std::vector<double>& logits) {
  const auto vocab_size = static_cast<int64_t>(logits.size());
  if (params.repetition_penalty != 1) {
    std::vector<int32_t> seen(prompt_ids.begin(), prompt_ids.end());
    seen.insert(seen.end(), output_ids.begin(), output_ids.end());
    seen = SortedIds(seen, vocab_size);
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    const double penalty = params.repetition_penalty;
    for (int32_t id : seen) {
      double& logit = logits[static_cast<size_t>(id)];
      logit = logit > 0 ? logit / penalty : logit * penalty;
    }
  }
  if (params.frequency_penalty == 0 && params.presence_penalty == 0) return;
  const std::vector<int32_t> ids = SortedIds(output_ids, vocab_size);
  for (size_t begin = 0; begin < ids.size();) {
    size_t end = begin;
    while (end < ids.size() && ids[end] == ids[begin]) ++end;
    const auto count = static_cast<double>(end - begin);
    logits[static_cast<size_t>(ids[begin])] -=
        count * params.frequency_penalty + params.presence_penalty;
    begin = end;
  }
}

// A token that the filters have not removed.
struct Candidate {
  double weight;  // exp(logit - largest), later a probability
  int32_t id;
};

bool Better(const Candidate& a, const Candidate& b) {
  return a.weight > b.weight || (a.weight == b.weight && a.id < b.id);
}

// The smallest logit that top_k keeps.
double TopKThreshold(const std::vector<double>& logits, int64_t top_k) {
  if (top_k <= 0 || top_k >= static_cast<int64_t>(logits.size())) {
    return -std::numeric_limits<double>::infinity();
  }
  std::vector<double> copy = logits;
  const auto kth = copy.begin() + (top_k - 1);
  std::nth_element(copy.begin(), kth, copy.end(), std::greater<>());
  return *kth;
}

// Keeps the best candidates whose mass reaches top_p. Sorts only as long a prefix as is needed: for
// real vocabularies the answer is usually among the first few.
void KeepTopP(double top_p, std::vector<Candidate>& candidates) {
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  double mass = 0;
  size_t kept = 0, sorted = 0;
  while (kept < candidates.size() && mass / total < top_p) {
    if (kept == sorted) {
      const size_t next = std::min(candidates.size(), std::max<size_t>(64, sorted * 8));
      const auto begin = candidates.begin();
      std::partial_sort(begin + static_cast<int64_t>(sorted), begin + static_cast<int64_t>(next),
                        candidates.end(), Better);
      sorted = next;
    }
    mass += candidates[kept++].weight;
  }
  candidates.resize(std::min(candidates.size(), std::max<size_t>(kept, 1)));
}

size_t Argmax(const std::vector<double>& logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// The draw on f32 probabilities: the first token at which their sum passes `uniform`. The sum of
// all may fall short of 1 by rounding; the rest belongs to the last token that is possible at all.
int32_t InvertCumulative(std::span<const float> probabilities, double uniform) {
  double sum = 0;
  size_t last = probabilities.size();
  for (size_t i = 0; i < probabilities.size(); ++i) {
    sum += static_cast<double>(probabilities[i]);
    if (sum > uniform) return static_cast<int32_t>(i);
  }
  while (last > 0 && !(probabilities[last - 1] > 0)) --last;
  if (last == 0) {
    Throw(ErrorKind::kInternal,
          "no token can be sampled: every probability is 0 or NaN; check the weights");
  }
  return static_cast<int32_t>(last - 1);
}

}  // namespace

void CheckSamplingParams(const SamplingParams& p) {
  const auto check = [](bool good, const char* name, double value, const char* range) {
    if (good) return;
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("sampling: {} is {}; it must be {}", name, value, range));
  };
  check(p.temperature >= 0 && p.temperature <= 1000, "temperature", p.temperature, "in [0, 1000]");
  check(p.top_p > 0 && p.top_p <= 1, "top_p", p.top_p, "above 0 and at most 1");
  check(p.min_p >= 0 && p.min_p <= 1, "min_p", p.min_p, "in [0, 1]");
  check(p.top_k >= 0, "top_k", static_cast<double>(p.top_k), "0 (off) or more");
  check(p.repetition_penalty > 0 && p.repetition_penalty <= 1000, "repetition_penalty",
        p.repetition_penalty, "above 0 and at most 1000");
  check(std::abs(p.frequency_penalty) <= 1000, "frequency_penalty", p.frequency_penalty,
        "in [-1000, 1000]");
  check(std::abs(p.presence_penalty) <= 1000, "presence_penalty", p.presence_penalty,
        "in [-1000, 1000]");
}

std::vector<float> SamplingDistribution(std::span<const float> logits, const SamplingParams& params,
                                        std::span<const int32_t> prompt_ids,
                                        std::span<const int32_t> output_ids, int64_t* kept) {
  Check(!logits.empty(), "SamplingDistribution: no logits");
  std::vector<double> values(logits.begin(), logits.end());
  Penalise(params, prompt_ids, output_ids, values);
  std::vector<float> probabilities(logits.size(), 0.0f);
  const double best = values[Argmax(values)];
  if (params.temperature == 0) {
    probabilities[Argmax(values)] = 1;
    if (kept != nullptr) *kept = 1;
    return probabilities;
  }
  const double temperature = params.temperature;
  const double threshold = TopKThreshold(values, params.top_k);
  std::vector<Candidate> candidates;
  candidates.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= threshold) || !std::isfinite(values[i])) continue;
    const double exponent = (values[i] - best) / temperature;
    candidates.push_back({exponent < -708 ? 0 : Exp(exponent), static_cast<int32_t>(i)});
  }
  if (params.top_p < 1) KeepTopP(params.top_p, candidates);
  if (params.min_p > 0) {  // the best candidate's weight is 1
    std::erase_if(candidates, [&](const Candidate& c) { return !(c.weight >= params.min_p); });
  }
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  for (const Candidate& c : candidates) {
    probabilities[static_cast<size_t>(c.id)] = static_cast<float>(c.weight / total);
  }
  if (kept != nullptr) *kept = static_cast<int64_t>(candidates.size());
  return probabilities;
}

TokenDraw DrawToken(const KernelTable& kernels, std::span<const float> logits,
                    const SamplingParams& params, std::span<const int32_t> prompt_ids,
                    std::span<const int32_t> output_ids, double uniform,
                    std::vector<float>& scratch) {
  const auto vocab_size = static_cast<int64_t>(logits.size());
  const bool greedy = params.temperature == 0, penalised = HasPenalties(params);
  const float scale = greedy ? 1.0f : 1.0f / params.temperature;
  const SoftmaxStats stats = kernels.softmax_stats(logits.data(), scale, vocab_size);
  if (std::isnan(stats.log_sum_exp)) {
    Throw(ErrorKind::kInternal, "no token can be sampled: the logits hold NaN; check the weights");
  }
  TokenDraw draw;
  if (greedy && !penalised) {
    draw.token = static_cast<int32_t>(kernels.argmax(logits.data(), vocab_size));
  } else if (!greedy && !penalised && !HasFilters(params)) {
    scratch.resize(logits.size());
    kernels.softmax(logits.data(), scale, vocab_size, scratch.data());
    draw.token = InvertCumulative(scratch, uniform);
  } else {
    draw.token =
        InvertCumulative(SamplingDistribution(logits, params, prompt_ids, output_ids), uniform);
  }
  draw.logprob = scale * logits[static_cast<size_t>(draw.token)] - stats.log_sum_exp;
  draw.entropy = stats.entropy;
  return draw;
}

}  // namespace reckon
