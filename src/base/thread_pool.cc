#include "base/thread_pool.h"

#include <sched.h>
#include <xmmintrin.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace reckon {
namespace {

constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
constexpr int kSpins = 2000;  // some 20 to 40 microseconds: more than the gap between two operators
constexpr int kTaskBits = 32;
constexpr uint64_t kTaskMask = (uint64_t{1} << kTaskBits) - 1;

class FlushDenormals {
 public:
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero); }
  ~FlushDenormals() { _mm_setcsr(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

template <typename Condition>
bool SpinUntil(const Condition& condition) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (condition()) return true;
    if (spin % 64 == 63) {
      sched_yield();
    } else {
      _mm_pause();
    }
  }
  return false;
}

}  // namespace

// How a job is handed out. `ticket` holds the job's number and the tasks of it that nobody has
// claimed; a task is claimed by taking one off. The caller takes part and waits for claimed tasks
// only, so a worker that the operating system keeps from running costs nothing. A claim that
// succeeds proves that the job is the one whose fields were read: the caller writes the next job's
// fields only when every task of this one has run.
struct ThreadPool::State {
  using Task = FunctionRef<void(int64_t)>;

  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake;
  bool stop = false;  // under mutex
  std::atomic<int> sleepers{0};

  std::atomic<uint64_t> ticket{0};  // job << kTaskBits | tasks left to claim
  std::atomic<const Task*> task{nullptr};
  std::atomic<int64_t> num_tasks{0};
  std::atomic<int64_t> unfinished{0};

  std::atomic<bool> failed{false};  // the rest of the job is skipped
  std::mutex error_mutex;
  std::exception_ptr error;

  // Claims and runs tasks until none of the current job is left.
  void RunTasks() {
    for (;;) {
      uint64_t seen = ticket.load(std::memory_order_acquire);
      const auto left = static_cast<int64_t>(seen & kTaskMask);
      if (left == 0) return;
      const Task* job = task.load(std::memory_order_relaxed);
      const int64_t index = num_tasks.load(std::memory_order_relaxed) - left;
      if (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) continue;
      if (!failed.load(std::memory_order_relaxed)) RunTask(*job, index);
      if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_one();
    }
  }

  void RunTask(const Task& job, int64_t index) {
    try {
      job(index);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(error_mutex);
      if (!error) error = std::current_exception();
      failed.store(true, std::memory_order_relaxed);
    }
  }

  bool HasWork() const { return (ticket.load(std::memory_order_acquire) & kTaskMask) != 0; }

  // Waits for tasks to claim; false when the pool ends.
  bool WaitForWork() {
    if (SpinUntil([&] { return HasWork(); })) return true;
    std::unique_lock<std::mutex> lock(mutex);
    sleepers.fetch_add(1);
    wake.wait(lock, [&] { return stop || (ticket.load() & kTaskMask) != 0; });
    sleepers.fetch_sub(1);
    return !stop;
  }

  void Work() {
    const FlushDenormals flush;
    while (WaitForWork()) RunTasks();
  }

  void Run(int64_t count, const Task& job) {
    task.store(&job, std::memory_order_relaxed);
    num_tasks.store(count, std::memory_order_relaxed);
    unfinished.store(count, std::memory_order_relaxed);
    failed.store(false, std::memory_order_relaxed);
    const uint64_t number = ticket.load(std::memory_order_relaxed) >> kTaskBits;
    ticket.store((number + 1) << kTaskBits | static_cast<uint64_t>(count));
    if (sleepers.load() > 0) {
      const std::lock_guard<std::mutex> lock(mutex);
      wake.notify_all();
    }
    RunTasks();
    WaitForOthers();
    if (error) {
      std::exception_ptr thrown;
      std::swap(thrown, error);
      std::rethrow_exception(thrown);
    }
  }

  // Sleeping hands this core to a worker that was interrupted in the middle of a task.
  void WaitForOthers() {
    const auto done = [&] { return unfinished.load(std::memory_order_acquire) == 0; };
    while (!SpinUntil(done)) {
      const int64_t left = unfinished.load(std::memory_order_acquire);
      if (left != 0) unfinished.wait(left, std::memory_order_acquire);
    }
  }
};

ThreadPool::ThreadPool(int num_threads) : state_(std::make_unique<State>()) {
  if (num_threads < 1 || num_threads > 4096) {
    Throw(ErrorKind::kInvalidArgument,
          "number of threads must be 1 to 4096, got " + std::to_string(num_threads));
  }
  for (int i = 1; i < num_threads; ++i) {
    state_->workers.emplace_back([state = state_.get()] { state->Work(); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::num_threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::ParallelFor(int64_t num_tasks, FunctionRef<void(int64_t)> task) {
  const FlushDenormals flush;
  Check(num_tasks < static_cast<int64_t>(kTaskMask), "ParallelFor: too many tasks");
  if (state_->workers.empty() || num_tasks <= 1) {
    for (int64_t i = 0; i < num_tasks; ++i) task(i);
    return;
  }
  state_->Run(num_tasks, task);
}

void ParallelFor(ThreadPool* pool, int64_t num_tasks, FunctionRef<void(int64_t)> task) {
  if (pool != nullptr) return pool->ParallelFor(num_tasks, task);
  for (int64_t i = 0; i < num_tasks; ++i) task(i);
}

int DefaultThreadCount() {
  if (const char* text = std::getenv("RECKON_THREADS")) {
    char* end = nullptr;
    const long count = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || count < 1 || count > 4096) {
      Throw(ErrorKind::kInvalidArgument,
            std::string("RECKON_THREADS must be 1 to 4096, got \"") + text + "\"");
    }
    return static_cast<int>(count);
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace reckon
