#include "tasks/catalog.h"

namespace reckon {
namespace {

// "x13:5+7*3-2=": operations from left to right modulo the number after x. The chain is the running
// value. A negative control: without the chain nothing is learnt, and chains give RL nothing to
// find.
class OpChain : public Task {
 public:
  OpChain(KnobRange operations, int64_t modulus) : operations_(operations), modulus_(modulus) {}
  std::string name() const override { return "op_chain"; }
  std::string alphabet() const override { return "0123456789x:+-*=,"; }

 protected:
  Problem Draw(Rng& rng) const override {
    const int64_t operations = operations_.Draw(rng);
    int64_t value = rng.Below(10);
    Problem problem;
    problem.prompt = "x" + std::to_string(modulus_) + ":" + std::to_string(value);
    value %= modulus_;
    for (int64_t i = 0; i < operations; ++i) {
      const char op = "+-*"[rng.Below(3)];
      const int64_t operand = 1 + rng.Below(9);
      value = op == '+' ? value + operand : op == '-' ? value - operand : value * operand;
      value = (value % modulus_ + modulus_) % modulus_;
      problem.prompt += op + std::to_string(operand);
      problem.reasoning += (i > 0 ? "," : "") + std::to_string(value);
    }
    problem.prompt += "=";
    problem.answer = std::to_string(value);
    return problem;
  }

 private:
  KnobRange operations_;
  int64_t modulus_;
};

}  // namespace

std::unique_ptr<Task> MakeOpChain(ObjectReader& knobs) {
  const KnobRange operations = ReadRange(knobs, "operations", 2, 64, 10);
  return std::make_unique<OpChain>(operations, knobs.Int("modulus", 2, 997, 97));
}

}  // namespace reckon
