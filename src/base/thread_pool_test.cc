#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"

namespace reckon {
namespace {

TEST(ThreadPool, RunsEveryTaskExactlyOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.num_threads(), threads);
    for (int64_t tasks : {0, 1, 2, 3, 1000}) {
      for (int round = 0; round < 20; ++round) {
        std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
        pool.ParallelFor(tasks, [&](int64_t i) { ++runs.at(static_cast<size_t>(i)); });
        for (const std::atomic<int>& count : runs) ASSERT_EQ(count.load(), 1);
      }
    }
  }
}

// Most workers of such a pool are asleep or waiting for a core when a job begins and ends.
TEST(ThreadPool, RunsManyShortJobsOnMoreThreadsThanCores) {
  ThreadPool pool(32);
  for (int64_t job = 0; job < 3000; ++job) {
    const int64_t tasks = 2 + job % 7;
    std::vector<int64_t> results(static_cast<size_t>(tasks), -1);
    pool.ParallelFor(tasks, [&](int64_t i) { results[static_cast<size_t>(i)] = job * 100 + i; });
    for (int64_t i = 0; i < tasks; ++i) {
      ASSERT_EQ(results[static_cast<size_t>(i)], job * 100 + i);
    }
  }
}

TEST(ThreadPool, RethrowsAnExceptionAndCanBeUsedAgain) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int64_t tasks : {1, 50}) {
      try {
        pool.ParallelFor(tasks, [](int64_t i) {
          if (i % 10 == 0) throw Error(ErrorKind::kCorrupt, "task " + std::to_string(i));
        });
        ADD_FAILURE() << "nothing was thrown on " << threads << " threads";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
        EXPECT_EQ(std::string(error.what()).rfind("task ", 0), 0u);
      }
      std::atomic<int> runs = 0;
      pool.ParallelFor(tasks, [&](int64_t) { ++runs; });
      EXPECT_EQ(runs.load(), tasks);
    }
  }
}

// Half of the least normal number, computed where the compiler cannot.
float HalfOfTheLeastNormal() {
  volatile float least = 0x1p-126f;
  return least * 0.5f;
}
float TwiceALeastDenormal() {
  volatile float denormal = 0x1p-149f;
  return denormal * 0x1p30f;
}

TEST(ThreadPool, FlushesDenormalsInTasksOfEveryThreadAndNowhereElse) {
  ASSERT_NE(HalfOfTheLeastNormal(), 0) << "the caller should begin without flush-to-zero";
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::atomic<int> kept = 0;
    pool.ParallelFor(300, [&](int64_t) {
      if (HalfOfTheLeastNormal() != 0 || TwiceALeastDenormal() != 0) ++kept;
    });
    EXPECT_EQ(kept.load(), 0);
    EXPECT_NE(HalfOfTheLeastNormal(), 0);
    EXPECT_NE(TwiceALeastDenormal(), 0);
  }
}

TEST(ThreadPool, RestoresTheCallersModeAfterAnException) {
  const unsigned mode = _mm_getcsr();
  ThreadPool pool(2);
  EXPECT_THROW(pool.ParallelFor(9, [](int64_t) { throw std::runtime_error("no"); }),
               std::runtime_error);
  EXPECT_EQ(_mm_getcsr() & 0x8040u, mode & 0x8040u);
}

TEST(ThreadPool, RefusesAnImpossibleNumberOfThreads) {
  EXPECT_THROW(ThreadPool(0), Error);
  EXPECT_THROW(ThreadPool(-1), Error);
  EXPECT_THROW(ThreadPool(4097), Error);
}

TEST(DefaultThreadCount, FollowsTheEnvironment) {
  const char* before = std::getenv("RECKON_THREADS");
  const std::string saved = before == nullptr ? "" : before;
  setenv("RECKON_THREADS", "3", 1);
  EXPECT_EQ(DefaultThreadCount(), 3);
  for (const char* wrong : {"0", "two", "4097", "3x", ""}) {
    setenv("RECKON_THREADS", wrong, 1);
    EXPECT_THROW(DefaultThreadCount(), Error) << wrong;
  }
  unsetenv("RECKON_THREADS");
  EXPECT_GE(DefaultThreadCount(), 1);
  if (before != nullptr) setenv("RECKON_THREADS", saved.c_str(), 1);
}

}  // namespace
}  // namespace reckon
