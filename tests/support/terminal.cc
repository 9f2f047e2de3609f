#include "tests/support/terminal.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"

namespace reckon {
namespace {

constexpr int kPatienceMs = 60'000;

[[noreturn]] void Fail(const std::string& what, const std::string& shown) {
  Throw(ErrorKind::kInternal, what + ": " + shown);
}

}  // namespace

Terminal::Terminal(const std::vector<std::string>& arguments,
                   const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<std::string> words = {RECKON_BINARY_DIR "/reckon"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const winsize size{50, 200, 0, 0};
  pid_ = ::forkpty(&file_, nullptr, nullptr, &size);
  if (pid_ == 0) {
    ::setenv("RECKON_THREADS", "1", 1);
    ::setenv("TERM", "xterm", 1);
    ::unsetenv("NO_COLOR");
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  Check(pid_ > 0, "forkpty failed");
}

Terminal::~Terminal() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(file_);
}

void Terminal::Type(std::string_view keys) {
  Check(::write(file_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()),
        "writing to the terminal failed");
}

void Terminal::Signal(int signal) const { ::kill(pid_, signal); }

bool Terminal::ReadMore() {
  pollfd wanted{file_, POLLIN, 0};
  if (::poll(&wanted, 1, kPatienceMs) <= 0) Fail("nothing appeared for a minute after", pending_);
  char buffer[4096];
  const ssize_t bytes = ::read(file_, buffer, sizeof buffer);
  if (bytes <= 0) return false;  // EIO: nobody has the other end any more
  pending_.append(buffer, static_cast<size_t>(bytes));
  return true;
}

std::string Terminal::Take(size_t count) {
  std::string taken = pending_.substr(0, count);
  pending_.erase(0, count);
  return taken;
}

std::string Terminal::Expect(std::string_view text) {
  for (;;) {
    const size_t at = pending_.find(text);
    if (at != pending_.npos) return Take(at + text.size());
    if (!ReadMore()) Fail("the program ended without \"" + std::string(text) + "\" in", pending_);
  }
}

std::string Terminal::ExpectBytes(size_t count) {
  while (pending_.size() < count) {
    if (!ReadMore()) Fail("the program ended after", pending_);
  }
  return Take(count);
}

int Terminal::Wait() {
  while (ReadMore()) {
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace reckon
