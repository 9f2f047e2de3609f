// Lines from standard input, edited where it is a terminal.
#pragma once

#include <memory>
#include <string>

namespace reckon {

enum class LineEvent {
  kLine,
  kEnd,          // end of input, Ctrl-D
  kInterrupted,  // a signal came (base/interrupt.h); what was typed is gone
};

class LineSource {
 public:
  virtual ~LineSource() = default;
  // The line comes without its end. The prompt is for terminals.
  virtual LineEvent Read(const char* prompt, std::string& line) = 0;
};

// Reads lines as they are; writes prompts only where `prompts`.
std::unique_ptr<LineSource> OpenPlainLines(bool prompts);

// Lines with arrow keys, a history that lives in `history_path` (none where empty) and search by
// Ctrl-R. Null where this build has no libedit, or the terminal is too dumb for it.
std::unique_ptr<LineSource> OpenLineEditor(const std::string& history_path);

}  // namespace reckon
