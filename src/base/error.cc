#include "base/error.h"

namespace reckon {
namespace {

constexpr size_t kLongest = 4000;

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Names and values in a message may come from a file of somebody else: what could move a terminal's
// cursor or fill a log does not pass.
std::string OneLine(const std::string& message) {
  std::string line = message;
  if (line.size() > kLongest) {
    size_t cut = kLongest;
    while (cut > 0 && IsContinuation(line[cut])) --cut;
    line.resize(cut);
    line += "...";
  }
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return line;
}

}  // namespace

void Throw(ErrorKind kind, const std::string& message) { throw Error(kind, OneLine(message)); }

}  // namespace reckon
