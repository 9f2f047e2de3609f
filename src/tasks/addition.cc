#include <algorithm>

#include "tasks/catalog.h"

namespace reckon {
namespace {

// "a:4711+0815=": the sum. The chain goes from the last digit to the first; each step is the two
// digits, the carry in, and their sum in two digits: "15006;".
class Addition : public Task {
 public:
  explicit Addition(KnobRange digits) : digits_(digits) {}
  std::string name() const override { return "addition"; }
  std::string alphabet() const override { return "0123456789a:+=;"; }

 protected:
  Problem Draw(Rng& rng) const override {
    const int64_t digits = digits_.Draw(rng);
    std::string left, right, sum;
    for (int64_t i = 0; i < digits; ++i) {
      left += static_cast<char>('0' + rng.Below(10));
      right += static_cast<char>('0' + rng.Below(10));
    }
    Problem problem;
    problem.prompt = "a:" + left + "+" + right + "=";
    int carry = 0;
    for (size_t i = left.size(); i-- > 0;) {
      const int total = (left[i] - '0') + (right[i] - '0') + carry;
      const char step[] = {left[i],
                           right[i],
                           static_cast<char>('0' + carry),
                           static_cast<char>('0' + total / 10),
                           static_cast<char>('0' + total % 10),
                           ';',
                           '\0'};
      problem.reasoning += step;
      sum += static_cast<char>('0' + total % 10);
      carry = total / 10;
    }
    if (carry > 0) sum += '1';
    while (sum.size() > 1 && sum.back() == '0') sum.pop_back();
    std::reverse(sum.begin(), sum.end());
    problem.answer = sum;
    return problem;
  }

 private:
  KnobRange digits_;
};

}  // namespace

std::unique_ptr<Task> MakeAddition(ObjectReader& knobs) {
  return std::make_unique<Addition>(ReadRange(knobs, "digits", 2, 16, 4));
}

}  // namespace reckon
