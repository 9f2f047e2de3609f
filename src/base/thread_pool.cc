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
constexpr int kSpins = 2000;  // about 20 microseconds: longer than the gap between two operators

class FlushDenormals {
 public:
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero); }
  ~FlushDenormals() { _mm_setcsr(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

}  // namespace

struct ThreadPool::State {
  using Task = FunctionRef<void(int64_t)>;

  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake;
  bool stop = false;  // under mutex

  // A job: workers see a new generation, then read task and num_tasks, which are written before it.
  std::atomic<uint64_t> generation{0};
  const Task* task = nullptr;
  int64_t num_tasks = 0;
  std::atomic<int64_t> next{0};
  std::atomic<int> busy{0};  // workers that have not finished the current generation
  std::atomic<int> sleepers{0};

  std::mutex error_mutex;
  std::exception_ptr error;

  void RunTasks() {
    for (;;) {
      const int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= num_tasks) return;
      try {
        (*task)(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(error_mutex);
        if (!error) error = std::current_exception();
        next.store(num_tasks, std::memory_order_relaxed);
      }
    }
  }

  // Waits for a generation other than `seen`; false when the pool ends.
  bool WaitForWork(uint64_t seen) {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (generation.load(std::memory_order_acquire) != seen) return true;
      if (spin % 64 == 63) {
        sched_yield();
      } else {
        _mm_pause();
      }
    }
    std::unique_lock<std::mutex> lock(mutex);
    sleepers.fetch_add(1);
    wake.wait(lock, [&] { return stop || generation.load() != seen; });
    sleepers.fetch_sub(1);
    return generation.load() != seen;
  }

  void Work() {
    const FlushDenormals flush;
    uint64_t seen = 0;
    while (WaitForWork(seen)) {
      seen = generation.load(std::memory_order_acquire);
      RunTasks();
      busy.fetch_sub(1, std::memory_order_release);
    }
  }

  void Run(int64_t count, const Task& job) {
    task = &job;
    num_tasks = count;
    next.store(0, std::memory_order_relaxed);
    busy.store(static_cast<int>(workers.size()), std::memory_order_relaxed);
    generation.fetch_add(1);
    if (sleepers.load() > 0) {
      const std::lock_guard<std::mutex> lock(mutex);
      wake.notify_all();
    }
    RunTasks();
    for (int spin = 0; busy.load(std::memory_order_acquire) > 0; ++spin) {
      if (spin % 64 == 63) {
        sched_yield();
      } else {
        _mm_pause();
      }
    }
    if (error) {
      std::exception_ptr thrown;
      std::swap(thrown, error);
      std::rethrow_exception(thrown);
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
  if (state_->workers.empty() || num_tasks <= 1) {
    for (int64_t i = 0; i < num_tasks; ++i) task(i);
    return;
  }
  state_->Run(num_tasks, task);
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
