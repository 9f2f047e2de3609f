// The one exception type of the library. Thrown on cold paths; a message says what is wrong, the
// values, where, and what to change.
#pragma once

#include <stdexcept>
#include <string>

namespace reckon {

enum class ErrorKind {
  kInvalidArgument,  // a flag, a recipe key, a request that cannot be carried out as written
  kNotFound,         // a file, a tensor, a name that is not there
  kIo,               // the operating system refused: disk full, permission
  kCorrupt,          // a file whose bytes contradict its format
  kUnsupported,      // well formed, but not something this version does
  kCancelled,        // the user asked to stop
  kInternal,         // our own mistake
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// The message becomes one line of at most 4,000 bytes.
[[noreturn]] void Throw(ErrorKind kind, const std::string& message);

// Guards our own mistakes; stays on in release. Throws Error{kInternal}.
inline void Check(bool condition, const char* message) {
  if (!condition) Throw(ErrorKind::kInternal, message);
}

}  // namespace reckon
