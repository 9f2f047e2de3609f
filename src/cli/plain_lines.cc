#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/interrupt.h"
#include "cli/line_source.h"

namespace reckon {
namespace {

class PlainLines : public LineSource {
 public:
  explicit PlainLines(bool prompts) : prompts_(prompts) {}

  LineEvent Read(const char* prompt, std::string& line) override {
    if (prompts_) std::fputs(prompt, stdout);
    std::fflush(stdout);
    line.clear();
    size_t end = 0;
    while ((end = pending_.find('\n')) == pending_.npos) {
      if (ReadMore()) continue;
      if (prompts_) std::fputs("\n", stdout);
      if (Interrupted()) return LineEvent::kInterrupted;
      line.swap(pending_);  // the last one may lack its end
      return line.empty() ? LineEvent::kEnd : LineEvent::kLine;
    }
    line = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    return LineEvent::kLine;
  }

 private:
  bool ReadMore() {
    char buffer[4096];
    while (WaitToRead(STDIN_FILENO)) {
      const ssize_t bytes = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes > 0) pending_.append(buffer, static_cast<size_t>(bytes));
      return bytes > 0;
    }
    return false;
  }

  bool prompts_;
  std::string pending_;  // read, without a whole line
};

}  // namespace

std::unique_ptr<LineSource> OpenPlainLines(bool prompts) {
  return std::make_unique<PlainLines>(prompts);
}

}  // namespace reckon
