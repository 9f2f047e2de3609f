// The one thread pool of a process. Work is a counted set of independent tasks; which thread runs a
// task never affects its result.
#pragma once

#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace reckon {

class ThreadPool {
 public:
  // num_threads >= 1 counts the caller. Sets flush-to-zero and denormals-are-zero on every worker
  // and, for as long as a ParallelFor runs, on the caller.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const;

  // Calls task(i) once for each i in [0, num_tasks), on any thread, and returns when all are done.
  // The first exception of a task is rethrown here. Not reentrant: a task may not call ParallelFor.
  void ParallelFor(int64_t num_tasks, FunctionRef<void(int64_t)> task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// On the threads of `pool`, or one task after the other where it is null.
void ParallelFor(ThreadPool* pool, int64_t num_tasks, FunctionRef<void(int64_t)> task);

// Threads to use when the user names none: RECKON_THREADS if set, else the CPUs this process may
// use.
int DefaultThreadCount();

}  // namespace reckon
