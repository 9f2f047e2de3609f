#include <algorithm>

#include "tasks/catalog.h"

namespace reckon {
namespace {

std::string Joined(const std::vector<std::string>& numbers) {
  std::string text;
  for (const std::string& number : numbers) text += (text.empty() ? "" : " ") + number;
  return text;
}

// "o:43 12 99=": the two-digit numbers in ascending order. The chain is insertion sort, the sorted
// part after each number: "43;12 43;12 43 99;". Used with a noisy teacher.
class Sort : public Task {
 public:
  explicit Sort(KnobRange count) : count_(count) {}
  std::string name() const override { return "sort"; }
  std::string alphabet() const override { return "0123456789o:=; "; }

 protected:
  Problem Draw(Rng& rng) const override {
    const int64_t count = count_.Draw(rng);
    std::vector<std::string> numbers, sorted;
    Problem problem;
    for (int64_t i = 0; i < count; ++i) {
      std::string number(1, static_cast<char>('0' + rng.Below(10)));
      number += static_cast<char>('0' + rng.Below(10));
      numbers.push_back(number);
      sorted.insert(std::upper_bound(sorted.begin(), sorted.end(), number), number);
      problem.reasoning += Joined(sorted) + ";";
    }
    problem.prompt = "o:" + Joined(numbers) + "=";
    problem.answer = Joined(sorted);
    return problem;
  }

 private:
  KnobRange count_;
};

}  // namespace

std::unique_ptr<Task> MakeSort(ObjectReader& knobs) {
  return std::make_unique<Sort>(ReadRange(knobs, "count", 2, 16, 5));
}

}  // namespace reckon
