#include "tasks/task.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "tasks/catalog.h"

namespace reckon {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>";
constexpr int kHeldOutPercent = 10;
constexpr int kMostDraws = 100000;

struct Maker {
  const char* name;
  std::unique_ptr<Task> (*make)(ObjectReader&);
  char commutes = 0;  // the operator whose two operands may change places, if there is one
};
constexpr Maker kMakers[] = {
    {"parity", MakeParity}, {"digit_sum", MakeDigitSum},  {"addition", MakeAddition, '+'},
    {"sort", MakeSort},     {"countdown", MakeCountdown}, {"op_chain", MakeOpChain},
    {"k_hop", MakeKHop},    {"product", MakeProduct, '*'}};

// The prompt with the operands of a commutative operation in ascending order of text, so that
// "a:12+34=" and "a:34+12=" are one problem.
std::string Canonical(const Problem& problem) {
  const auto* maker = std::find_if(std::begin(kMakers), std::end(kMakers),
                                   [&](const Maker& m) { return problem.task == m.name; });
  const std::string& prompt = problem.prompt;
  const size_t begin = prompt.find(':') + 1, end = prompt.size() - 1;
  if (maker == std::end(kMakers) || maker->commutes == 0) return prompt;
  const size_t middle = prompt.find(maker->commutes);
  if (middle == std::string::npos || begin == 0) return prompt;
  const std::string left = prompt.substr(begin, middle - begin);
  const std::string right = prompt.substr(middle + 1, end - middle - 1);
  return prompt.substr(0, begin) + std::min(left, right) + maker->commutes + std::max(left, right) +
         prompt.substr(end);
}

// FNV-1a ends with weak low bits; two rounds of multiply and shift spread them.
uint64_t MixedHash(std::string_view text) {
  uint64_t hash = StreamName(text);
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93ull;
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93ull;
  return hash ^ (hash >> 32);
}

}  // namespace

KnobRange ReadRange(ObjectReader& knobs, const std::string& key, int64_t min, int64_t max,
                    int64_t fallback) {
  const Json* value = knobs.Find(key);
  if (value == nullptr || !value->is_array()) {
    const int64_t single = knobs.Int(key, min, max, fallback);
    return {single, single};
  }
  const bool numbers =
      value->size() == 2 && (*value)[0].is_number_integer() && (*value)[1].is_number_integer();
  const int64_t low = numbers ? (*value)[0].get<int64_t>() : 0;
  const int64_t high = numbers ? (*value)[1].get<int64_t>() : 0;
  if (!numbers || low < min || high > max || low > high) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: expected a number or [low, high] within {} to {}, got {}",
                      knobs.PathOf(key), min, max, value->dump()));
  }
  return {low, high};
}

std::optional<int64_t> ParseNumber(std::string_view text, int64_t max) {
  if (text.empty() || text.size() > 18 || (text.size() > 1 && text[0] == '0')) return {};
  int64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return {};
    value = 10 * value + (c - '0');
  }
  if (value > max) return {};
  return value;
}

Split SplitOf(const Problem& problem) {
  const uint64_t hash = MixedHash(problem.task + "\n" + Canonical(problem));
  return hash % 100 < kHeldOutPercent ? Split::kHeldOut : Split::kTrain;
}

Problem Task::Generate(Rng& rng, Split split) const {
  for (int i = 0; i < kMostDraws; ++i) {
    Problem problem = Draw(rng);
    problem.task = name();
    if (SplitOf(problem) == split) return problem;
  }
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("task {}: no {} problem in {} draws; its knobs leave too few problems", name(),
                    split == Split::kTrain ? "training" : "held-out", kMostDraws));
}

bool Task::Grade(const Problem& problem, std::string_view answer) const {
  return answer == problem.answer;
}

std::unique_ptr<Task> MakeTask(const Json& json, const std::string& path) {
  ObjectReader knobs(json, path);
  const std::string name = knobs.Choice("name", TaskNames());
  for (const Maker& maker : kMakers) {
    if (name != maker.name) continue;
    std::unique_ptr<Task> task = maker.make(knobs);
    knobs.Finish();
    return task;
  }
  Throw(ErrorKind::kInternal, "a task name without a maker");
}

std::vector<std::string> TaskNames() {
  std::vector<std::string> names;
  for (const Maker& maker : kMakers) names.emplace_back(maker.name);
  return names;
}

ParsedResponse ParseResponse(std::string_view response) {
  ParsedResponse parsed;
  const size_t close = response.find(kClose);
  if (response.substr(0, kOpen.size()) != kOpen || close == std::string_view::npos) return parsed;
  parsed.reasoning = response.substr(kOpen.size(), close - kOpen.size());
  parsed.answer = response.substr(close + kClose.size());
  const auto clean = [](const std::string& text) {
    return text.find(kOpen) == std::string::npos && text.find(kClose) == std::string::npos;
  };
  parsed.well_formed = clean(parsed.reasoning) && clean(parsed.answer) && !parsed.answer.empty();
  return parsed;
}

std::string FormatResponse(std::string_view reasoning, std::string_view answer) {
  return fmt::format("{}{}{}{}", kOpen, reasoning, kClose, answer);
}

}  // namespace reckon
