// Progress of long work: one line redrawn on a terminal, else a plain line now and then.
#pragma once

#include <cstdint>
#include <string>

#include "train/stage.h"

namespace reckon {

inline constexpr double kQuietSeconds = 2;  // work that takes less needs no bar

class Progress {
 public:
  // Shows nothing of work that takes less than `quiet_s` seconds.
  explicit Progress(double quiet_s = 0);
  ~Progress();
  void OnStep(const StageProgress& progress);
  void OnCount(const std::string& what, int64_t done, int64_t total);
  void EndLine();  // leaves the redrawn line standing

 private:
  void Show(const std::string& line, bool last);

  bool terminal_;
  double quiet_until_s_;  // on the monotonic clock
  bool open_ = false;     // a redrawn line stands without an end
  double last_shown_s_ = -1e9;
  double count_begin_s_ = 0;
  std::string counting_;
};

// "1:05", "12:40", "1:02:03".
std::string FormatDuration(double seconds);

}  // namespace reckon
