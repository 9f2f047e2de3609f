#include "tasks/catalog.h"

namespace reckon {
namespace {

// "p:0110=": the parity of the bits. The chain is the running parity, one character a bit.
class Parity : public Task {
 public:
  explicit Parity(KnobRange bits) : bits_(bits) {}
  std::string name() const override { return "parity"; }
  std::string alphabet() const override { return "01p:="; }

 protected:
  Problem Draw(Rng& rng) const override {
    const int64_t bits = bits_.Draw(rng);
    Problem problem;
    problem.prompt = "p:";
    int parity = 0;
    for (int64_t i = 0; i < bits; ++i) {
      const int bit = static_cast<int>(rng.Below(2));
      parity ^= bit;
      problem.prompt += static_cast<char>('0' + bit);
      problem.reasoning += static_cast<char>('0' + parity);
    }
    problem.prompt += "=";
    problem.answer = parity == 0 ? "0" : "1";
    return problem;
  }

 private:
  KnobRange bits_;
};

}  // namespace

std::unique_ptr<Task> MakeParity(ObjectReader& knobs) {
  return std::make_unique<Parity>(ReadRange(knobs, "bits", 8, 256, 20));
}

}  // namespace reckon
