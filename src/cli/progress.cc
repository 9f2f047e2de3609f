#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/clock.h"

namespace reckon {
namespace {

constexpr double kRedrawEvery = 0.1, kPlainEvery = 5;  // seconds
constexpr int kBarWidth = 24;

// The figures worth a place on the line, in the order they are looked for.
struct Shown {
  const char *name, *label, *format;
};
constexpr Shown kShown[] = {{"loss", "loss", "{:.4f}"},
                            {"accuracy", "accuracy", "{:.3f}"},
                            {"response_tokens_mean", "length", "{:.1f}"},
                            {"entropy", "entropy", "{:.3f}"}};

std::string Figures(const StageProgress& progress) {
  std::string text;
  if (progress.metrics == nullptr) return text;
  bool rl = false;
  for (const auto& metric : *progress.metrics) rl = rl || metric.first == "accuracy";
  for (const Shown& shown : kShown) {
    if (rl && std::string(shown.name) == "loss") continue;
    for (const auto& [name, value] : *progress.metrics) {
      if (name == shown.name) {
        text += fmt::format("  {} {}", shown.label, fmt::format(fmt::runtime(shown.format), value));
      }
    }
  }
  return text;
}

std::string Bar(double share) {
  const int full = static_cast<int>(kBarWidth * std::clamp(share, 0.0, 1.0));
  return "[" + std::string(static_cast<size_t>(full), '=') +
         std::string(static_cast<size_t>(kBarWidth - full), ' ') + "]";
}

double Share(int64_t done, int64_t total) {
  return total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
}

struct StepEstimate {
  double steps_per_s = 0, share_done = 0, left_s = 0;
};

// By steps, or by the clock where that ends the stage sooner.
StepEstimate Estimate(const StageProgress& p) {
  StepEstimate e;
  e.steps_per_s = p.seconds > 0 ? static_cast<double>(p.step) / p.seconds : 0;
  e.share_done = Share(p.step, p.total_steps);
  e.left_s = e.steps_per_s > 0 ? static_cast<double>(p.total_steps - p.step) / e.steps_per_s : 0;
  const double clock_left_s = p.time_limit_s - p.seconds;
  if (p.time_limit_s > 0 && clock_left_s < e.left_s) {
    e.left_s = clock_left_s;
    e.share_done = std::max(e.share_done, p.seconds / p.time_limit_s);
  }
  return e;
}

// "120/300", or "120 steps, 0:12/0:26" where the number of steps is the clock's to decide.
std::string Position(const StageProgress& p) {
  if (p.time_limit_s <= 0) return fmt::format("{}/{}", p.step, p.total_steps);
  return fmt::format("{} steps, {}/{}", p.step, FormatDuration(p.seconds),
                     FormatDuration(p.time_limit_s));
}

}  // namespace

std::string FormatDuration(double seconds) {
  const int64_t s = std::llround(std::max(seconds, 0.0));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

Progress::Progress(double quiet_s)
    : terminal_(::isatty(STDERR_FILENO) == 1), quiet_until_s_(MonotonicSeconds() + quiet_s) {}
Progress::~Progress() { EndLine(); }

void Progress::EndLine() {
  if (open_) std::fputc('\n', stderr);
  open_ = false;
  last_shown_s_ = -1e9;
  counting_.clear();
}

void Progress::Show(const std::string& line, bool last) {
  const double now = MonotonicSeconds();
  if (now < quiet_until_s_) return;
  if (!last && now - last_shown_s_ < (terminal_ ? kRedrawEvery : kPlainEvery)) return;
  last_shown_s_ = now;
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    open_ = true;
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

void Progress::OnStep(const StageProgress& p) {
  const StepEstimate estimate = Estimate(p);
  Show(fmt::format("{:<12}{} {}  {:.1f} steps/s  {:.0f} tokens/s  {} left{}", p.stage,
                   terminal_ ? " " + Bar(estimate.share_done) : "", Position(p),
                   estimate.steps_per_s, p.tokens_per_s, FormatDuration(estimate.left_s),
                   Figures(p)),
       estimate.share_done >= 1);
}

void Progress::OnCount(const std::string& what, int64_t done, int64_t total) {
  const double now = MonotonicSeconds();
  if (counting_ != what) {
    counting_ = what;
    count_begin_s_ = now;
  }
  const double elapsed = std::max(now - count_begin_s_, 1e-3);
  const double rate = static_cast<double>(done) / elapsed;
  const double left_s = rate > 0 ? static_cast<double>(total - done) / rate : 0;
  Show(fmt::format("{:<12}{} {}/{}  {:.0f}/s  {} left", what,
                   terminal_ ? " " + Bar(Share(done, total)) : "", done, total, rate,
                   FormatDuration(left_s)),
       done == total);
}

}  // namespace reckon
