#include <algorithm>

#include "tasks/catalog.h"

namespace reckon {
namespace {

constexpr int64_t kLargest = 1000000;  // of any intermediate value

// Evaluates + - * and parentheses over unsigned numbers; none for anything else, for a value beyond
// +-kLargest, or for nesting deeper than the text could need. Collects the numbers used.
class Evaluator {
 public:
  explicit Evaluator(std::string_view text) : text_(text) {}

  std::optional<int64_t> Evaluate() {
    if (text_.size() > 64) return {};
    const std::optional<int64_t> value = Sum();
    return at_ == text_.size() ? value : std::nullopt;
  }
  const std::vector<int64_t>& numbers() const { return numbers_; }

 private:
  static std::optional<int64_t> Bounded(int64_t value) {
    if (value > kLargest || value < -kLargest) return {};
    return value;
  }
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::optional<int64_t> Sum() {
    std::optional<int64_t> value = Product();
    while (value) {
      const bool plus = Take('+');
      if (!plus && !Take('-')) return value;
      const std::optional<int64_t> other = Product();
      if (!other) return {};
      value = Bounded(plus ? *value + *other : *value - *other);
    }
    return value;
  }
  std::optional<int64_t> Product() {
    std::optional<int64_t> value = Atom();
    while (value && Take('*')) {
      const std::optional<int64_t> other = Atom();
      if (!other) return {};
      value = Bounded(*value * *other);
    }
    return value;
  }
  std::optional<int64_t> Atom() {
    if (Take('(')) {
      const std::optional<int64_t> value = Sum();
      return value && Take(')') ? value : std::nullopt;
    }
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    const std::optional<int64_t> value = ParseNumber(text_.substr(begin, at_ - begin), kLargest);
    if (value) numbers_.push_back(*value);
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<int64_t> numbers_;
};

struct Attempt {
  std::string expression, steps;
  int64_t value = 0;
};

// Folds shuffled numbers from left to right with random operations; differences stay positive.
Attempt Try(Rng& rng, std::vector<int64_t> numbers) {
  for (size_t i = numbers.size(); i > 1; --i) {
    std::swap(numbers[i - 1], numbers[static_cast<size_t>(rng.Below(static_cast<int64_t>(i)))]);
  }
  Attempt attempt;
  attempt.value = numbers[0];
  attempt.expression = std::to_string(numbers[0]);
  for (size_t i = 1; i < numbers.size(); ++i) {
    char op = "+-*"[rng.Below(3)];
    if (op == '-' && numbers[i] >= attempt.value) op = '+';
    const std::string right = std::to_string(numbers[i]);
    const int64_t before = attempt.value;
    attempt.value = op == '+'   ? before + numbers[i]
                    : op == '-' ? before - numbers[i]
                                : before * numbers[i];
    if (op == '*' && i > 1) attempt.expression = "(" + attempt.expression + ")";
    attempt.expression += op + right;
    attempt.steps += (i > 1 ? "," : "") + std::to_string(before) + op + right + "=" +
                     std::to_string(attempt.value);
  }
  return attempt;
}

// "c24:3 5 9=": an expression with + - * that uses each number once and gives the number before the
// colon. The chain is a search: attempts that miss end in "x;", then one that hits. Any right
// expression is graded right.
class Countdown : public Task {
 public:
  Countdown(int64_t numbers, int64_t max_number) : numbers_(numbers), max_number_(max_number) {}
  std::string name() const override { return "countdown"; }
  std::string alphabet() const override { return "0123456789c:=+-*(),;x "; }

  bool Grade(const Problem& problem, std::string_view answer) const override {
    const size_t colon = problem.prompt.find(':');
    if (colon == std::string::npos || problem.prompt.empty()) return false;
    const std::optional<int64_t> target =
        ParseNumber(std::string_view(problem.prompt).substr(1, colon - 1), kLargest);
    Evaluator evaluator(answer);
    const std::optional<int64_t> value = evaluator.Evaluate();
    if (!target || !value || *value != *target) return false;
    std::vector<int64_t> used = evaluator.numbers(), given = Given(problem.prompt, colon);
    std::sort(used.begin(), used.end());
    std::sort(given.begin(), given.end());
    return used == given;
  }

 protected:
  Problem Draw(Rng& rng) const override {
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < numbers_; ++i) numbers.push_back(1 + rng.Below(max_number_));
    std::sort(numbers.begin(), numbers.end());  // one prompt a problem: the split goes by it
    Attempt hit = Try(rng, numbers);
    while (hit.value > 999) hit = Try(rng, numbers);
    Problem problem;
    problem.prompt = "c" + std::to_string(hit.value) + ":";
    for (size_t i = 0; i < numbers.size(); ++i) {
      problem.prompt += (i > 0 ? " " : "") + std::to_string(numbers[i]);
    }
    problem.prompt += "=";
    for (int64_t misses = rng.Below(3); misses > 0; --misses) {
      const Attempt miss = Try(rng, numbers);
      if (miss.value != hit.value) problem.reasoning += miss.steps + "x;";
    }
    problem.reasoning += hit.steps;
    problem.answer = hit.expression;
    return problem;
  }

 private:
  static std::vector<int64_t> Given(const std::string& prompt, size_t colon) {
    std::vector<int64_t> numbers;
    size_t begin = colon + 1;
    for (size_t i = begin; i < prompt.size(); ++i) {
      if (prompt[i] != ' ' && prompt[i] != '=') continue;
      const auto number = ParseNumber(std::string_view(prompt).substr(begin, i - begin), kLargest);
      if (number) numbers.push_back(*number);
      begin = i + 1;
    }
    return numbers;
  }

  int64_t numbers_, max_number_;
};

}  // namespace

std::unique_ptr<Task> MakeCountdown(ObjectReader& knobs) {
  const int64_t numbers = knobs.Int("numbers", 3, 5, 3);
  return std::make_unique<Countdown>(numbers, knobs.Int("max_number", 5, 99, 10));
}

}  // namespace reckon
