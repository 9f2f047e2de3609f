#include "base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"

namespace reckon {
namespace {

// Handlers belong to the process, so each case has one of its own.

TEST(InterruptDeathTest, TheFirstSignalIsAFlagAndTheSecondEndsTheProcess) {
  const auto twice = [] {
    CatchInterrupts();
    ::raise(SIGINT);
    if (!Interrupted() || Terminated()) std::exit(1);
    ::raise(SIGINT);
    std::exit(2);
  };
  EXPECT_EXIT(twice(), testing::KilledBySignal(SIGINT), "");
}

TEST(InterruptDeathTest, AClearedSignalIsAsIfItHadNotCome) {
  const auto cleared = [] {
    CatchInterrupts();
    ::raise(SIGINT);
    ClearInterrupt();
    ThrowIfInterrupted();
    ::raise(SIGTERM);
    if (!Interrupted() || !Terminated()) std::exit(1);
    try {
      ThrowIfInterrupted();
    } catch (const Error& error) {
      std::exit(error.kind() == ErrorKind::kCancelled ? 0 : 2);
    }
    std::exit(3);
  };
  EXPECT_EXIT(cleared(), testing::ExitedWithCode(0), "");
}

TEST(InterruptDeathTest, WaitingForInputEndsBySignalsEvenThoseThatCameBefore) {
  const auto waits = [] {
    int ends[2];
    if (::pipe(ends) != 0) std::exit(1);
    CatchInterrupts();
    ::raise(SIGINT);
    if (WaitToRead(ends[0])) std::exit(2);
    ClearInterrupt();
    if (::write(ends[1], "x", 1) != 1 || !WaitToRead(ends[0])) std::exit(3);
    std::exit(0);
  };
  EXPECT_EXIT(waits(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace reckon
