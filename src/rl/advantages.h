// How much better a response did than the others of its group (GRPO, arXiv:2402.03300, sec. 4.1.2).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reckon {

// What r - mean(group) is divided by: the standard deviation over n - 1 (as TRL and verl do), over
// n, or nothing (Dr. GRPO, arXiv:2503.20783, which finds the division biased towards easy
// problems).
enum class AdvantageScale { kSampleStd, kPopulationStd, kNone };

// rewards [num_groups * group_size], group after group; returns one advantage a response, zero for
// every response of a group of equal rewards. `epsilon` is added to the standard deviation.
std::vector<float> GroupAdvantages(std::span<const float> rewards, int64_t group_size,
                                   AdvantageScale scale, double epsilon);

// Whether the rewards of a group differ at all: otherwise it teaches nothing.
bool HasSignal(std::span<const float> group_rewards);

}  // namespace reckon
