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

std::string Bar(int64_t done, int64_t total) {
  const int full = total > 0 ? static_cast<int>(kBarWidth * done / total) : 0;
  return "[" + std::string(static_cast<size_t>(full), '=') +
         std::string(static_cast<size_t>(kBarWidth - full), ' ') + "]";
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
  const double rate = p.seconds > 0 ? static_cast<double>(p.step) / p.seconds : 0;
  const double left_s = rate > 0 ? static_cast<double>(p.total_steps - p.step) / rate : 0;
  Show(fmt::format("{:<12}{} {}/{}  {:.1f} steps/s  {:.0f} tokens/s  {} left{}", p.stage,
                   terminal_ ? " " + Bar(p.step, p.total_steps) : "", p.step, p.total_steps, rate,
                   p.tokens_per_s, FormatDuration(left_s), Figures(p)),
       p.step == p.total_steps);
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
                   terminal_ ? " " + Bar(done, total) : "", done, total, rate,
                   FormatDuration(left_s)),
       done == total);
}

}  // namespace reckon
