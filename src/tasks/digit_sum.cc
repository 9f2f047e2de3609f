#include "tasks/catalog.h"

namespace reckon {
namespace {

// "s10:4711=": the sum of the digits modulo the number before the colon. The chain is the running
// sum: one character a digit for moduli up to 10, else numbers with commas between.
class DigitSum : public Task {
 public:
  DigitSum(KnobRange digits, int64_t modulus) : digits_(digits), modulus_(modulus) {}
  std::string name() const override { return "digit_sum"; }
  std::string alphabet() const override { return "0123456789s:=,"; }

 protected:
  Problem Draw(Rng& rng) const override {
    const int64_t digits = digits_.Draw(rng);
    Problem problem;
    problem.prompt = "s" + std::to_string(modulus_) + ":";
    int64_t sum = 0;
    for (int64_t i = 0; i < digits; ++i) {
      const int64_t digit = rng.Below(10);
      sum = (sum + digit) % modulus_;
      problem.prompt += static_cast<char>('0' + digit);
      if (modulus_ > 10 && i > 0) problem.reasoning += ",";
      problem.reasoning += std::to_string(sum);
    }
    problem.prompt += "=";
    problem.answer = std::to_string(sum);
    return problem;
  }

 private:
  KnobRange digits_;
  int64_t modulus_;
};

}  // namespace

std::unique_ptr<Task> MakeDigitSum(ObjectReader& knobs) {
  const KnobRange digits = ReadRange(knobs, "digits", 3, 128, 16);
  return std::make_unique<DigitSum>(digits, knobs.Int("modulus", 2, 100, 10));
}

}  // namespace reckon
