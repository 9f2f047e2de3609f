#include "tasks/catalog.h"

namespace reckon {
namespace {

int64_t DrawNumber(Rng& rng, int64_t digits) {
  int64_t low = 1;
  for (int64_t i = 1; i < digits; ++i) low *= 10;
  return low + rng.Below(9 * low);
}

// "m:47*12=": the product. The chain adds the partial products from the last digit on. A negative
// control.
class Product : public Task {
 public:
  explicit Product(KnobRange digits) : digits_(digits) {}
  std::string name() const override { return "product"; }
  std::string alphabet() const override { return "0123456789m:*=+;"; }

 protected:
  Problem Draw(Rng& rng) const override {
    const int64_t digits = digits_.Draw(rng);
    const int64_t left = DrawNumber(rng, digits), right = DrawNumber(rng, digits);
    Problem problem;
    problem.prompt = "m:" + std::to_string(left) + "*" + std::to_string(right) + "=";
    int64_t sum = 0, unit = 1;
    for (int64_t rest = right; rest > 0; rest /= 10, unit *= 10) {
      const int64_t part = left * (rest % 10) * unit;
      problem.reasoning += std::to_string(sum) + "+" + std::to_string(part) + ";";
      sum += part;
    }
    problem.answer = std::to_string(sum);
    return problem;
  }

 private:
  KnobRange digits_;
};

}  // namespace

std::unique_ptr<Task> MakeProduct(ObjectReader& knobs) {
  return std::make_unique<Product>(ReadRange(knobs, "digits", 2, 8, 2));
}

}  // namespace reckon
