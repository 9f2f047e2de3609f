#include "base/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/error.h"

namespace reckon {
namespace {

// Signal handlers can reach nothing but globals.
volatile sig_atomic_t interrupted = 0;  // the signal that came
int wake = -1;                          // an eventfd that can be read once it has

void OnSignal(int signal) {
  if (interrupted != 0) {  // the second one takes its usual course
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
  interrupted = signal;
  const int error = errno;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake, &one, sizeof one);
  errno = error;
}

}  // namespace

void CatchInterrupts() {
  if (wake < 0) wake = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Interrupted() { return interrupted != 0; }
bool Terminated() { return interrupted == SIGTERM; }
void ClearInterrupt() {
  interrupted = 0;
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t bytes = ::read(wake, &count, sizeof count);
}

// The handler may run on any thread and at any time, also just before this one begins to wait; so
// the wait is for what the handler writes, not for a call that it cuts short.
bool WaitToRead(int file) {
  pollfd wanted[] = {{file, POLLIN, 0}, {wake, POLLIN, 0}};
  while (!Interrupted() && ::poll(wanted, 2, -1) < 0 && errno == EINTR) {
  }
  return !Interrupted();
}

void ThrowIfInterrupted() {
  if (Interrupted()) Throw(ErrorKind::kCancelled, "interrupted");
}

}  // namespace reckon
