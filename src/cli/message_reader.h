// Messages made of the lines that are typed.
#pragma once

#include <memory>
#include <string>

#include "cli/line_source.h"

namespace reckon {

struct Message {
  LineEvent event = LineEvent::kEnd;
  std::string text;
  bool quoted = false;  // within """, so that it is no command
};

class MessageReader {
 public:
  // `multiline`: a line that ends in \ goes on in the next, and """ begins a text that ends with
  // """. Else a message is a line.
  MessageReader(std::unique_ptr<LineSource> lines, bool multiline)
      : lines_(std::move(lines)), multiline_(multiline) {}
  Message Read();

 private:
  void ReadContinued(Message& message);
  void ReadQuoted(Message& message);

  std::unique_ptr<LineSource> lines_;
  bool multiline_;
};

}  // namespace reckon
