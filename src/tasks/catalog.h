// The task makers, one a file. `knobs` has been opened at the task's object and is read, not
// finished.
#pragma once

#include <memory>

#include "formats/json.h"
#include "tasks/task.h"

namespace reckon {

// A knob that is a number or a range [low, high]; a draw is uniform in it.
struct KnobRange {
  int64_t low = 0, high = 0;
  int64_t Draw(Rng& rng) const { return low + rng.Below(high - low + 1); }
};
KnobRange ReadRange(ObjectReader& knobs, const std::string& key, int64_t min, int64_t max,
                    int64_t fallback);

// A decimal number without sign, leading zeros or other characters; none if it is not one or is
// above `max`.
std::optional<int64_t> ParseNumber(std::string_view text, int64_t max);

std::unique_ptr<Task> MakeParity(ObjectReader& knobs);     // bits
std::unique_ptr<Task> MakeDigitSum(ObjectReader& knobs);   // digits, modulus
std::unique_ptr<Task> MakeAddition(ObjectReader& knobs);   // digits
std::unique_ptr<Task> MakeSort(ObjectReader& knobs);       // count
std::unique_ptr<Task> MakeCountdown(ObjectReader& knobs);  // numbers, max_number
std::unique_ptr<Task> MakeOpChain(ObjectReader& knobs);    // operations, modulus
std::unique_ptr<Task> MakeKHop(ObjectReader& knobs);       // hops
std::unique_ptr<Task> MakeProduct(ObjectReader& knobs);    // digits

}  // namespace reckon
