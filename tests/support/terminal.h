// The reckon binary at a terminal of its own, with somebody who types.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reckon {

class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& arguments,
                    const std::vector<std::pair<std::string, std::string>>& environment = {});
  ~Terminal();  // ends it
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void Type(std::string_view keys);
  void Signal(int signal) const;
  // What appears until `text` has, since the last call. Throws with all that came if it does not
  // within a minute, or the program ends.
  std::string Expect(std::string_view text);
  // The same until that many bytes have.
  std::string ExpectBytes(size_t count);
  // Reads on until the program ends; its exit code, -1 after a signal.
  int Wait();

 private:
  bool ReadMore();  // false at the end
  std::string Take(size_t count);

  pid_t pid_ = -1;
  int file_ = -1;
  std::string pending_;  // read, and not taken by a call
};

inline constexpr const char *kCtrlC = "\x03", *kCtrlD = "\x04", *kArrowUp = "\x1b[A";

}  // namespace reckon
