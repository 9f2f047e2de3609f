#include "cli/message_reader.h"

#include <string_view>

namespace reckon {
namespace {

constexpr std::string_view kQuote = "\"\"\"";
constexpr const char *kPrompt = "> ", *kContinued = ". ";

}  // namespace

Message MessageReader::Read() {
  Message message;
  message.event = lines_->Read(kPrompt, message.text);
  if (message.event != LineEvent::kLine || !multiline_) return message;
  if (message.text.starts_with(kQuote)) {
    ReadQuoted(message);
  } else {
    ReadContinued(message);
  }
  return message;
}

void MessageReader::ReadContinued(Message& message) {
  while (message.event == LineEvent::kLine && message.text.ends_with('\\')) {
    std::string line;
    message.event = lines_->Read(kContinued, line);
    message.text.back() = '\n';
    message.text += line;
  }
}

void MessageReader::ReadQuoted(Message& message) {
  message.quoted = true;
  std::string text = message.text.substr(kQuote.size());
  bool first = text.empty();  // the line of the quotes alone is no line of the text
  while (!text.ends_with(kQuote)) {
    std::string line;
    message.event = lines_->Read(kContinued, line);
    if (message.event != LineEvent::kLine) return;
    if (!first) text += '\n';
    first = false;
    text += line;
  }
  text.resize(text.size() - kQuote.size());
  if (text.ends_with('\n')) text.pop_back();
  message.text = std::move(text);
}

}  // namespace reckon
