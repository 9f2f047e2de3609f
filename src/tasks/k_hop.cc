#include "tasks/catalog.h"

namespace reckon {
namespace {

// "h5:3 4081...=": start at the digit before the space and follow the table of ten digits (where to
// go from 0, 1, ...) as often as the number after h says. The chain is the path. A negative
// control.
class KHop : public Task {
 public:
  explicit KHop(KnobRange hops) : hops_(hops) {}
  std::string name() const override { return "k_hop"; }
  std::string alphabet() const override { return "0123456789h:= "; }

 protected:
  Problem Draw(Rng& rng) const override {
    const int64_t hops = hops_.Draw(rng);
    std::string table;
    for (int i = 0; i < 10; ++i) table += static_cast<char>('0' + rng.Below(10));
    char at = static_cast<char>('0' + rng.Below(10));
    Problem problem;
    problem.prompt = "h" + std::to_string(hops) + ":" + at + " " + table + "=";
    for (int64_t i = 0; i < hops; ++i) {
      at = table[static_cast<size_t>(at - '0')];
      problem.reasoning += at;
    }
    problem.answer = std::string(1, at);
    return problem;
  }

 private:
  KnobRange hops_;
};

}  // namespace

std::unique_ptr<Task> MakeKHop(ObjectReader& knobs) {
  return std::make_unique<KHop>(ReadRange(knobs, "hops", 1, 32, 5));
}

}  // namespace reckon
