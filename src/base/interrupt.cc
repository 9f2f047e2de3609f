#include "base/interrupt.h"

#include <signal.h>

#include "base/error.h"

namespace reckon {
namespace {

// Signal handlers can reach nothing but a global.
volatile sig_atomic_t interrupted = 0;

void OnSignal(int signal) {
  if (interrupted != 0) {  // the second one takes its usual course
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
  interrupted = 1;
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Interrupted() { return interrupted != 0; }
void ClearInterrupt() { interrupted = 0; }

void ThrowIfInterrupted() {
  if (Interrupted()) Throw(ErrorKind::kCancelled, "interrupted");
}

}  // namespace reckon
