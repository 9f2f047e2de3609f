#include "tests/support/allocation_meter.h"

#include <malloc.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#include <sanitizer/allocator_interface.h>
#define RECKON_SANITIZER_HOOKS
#endif
#endif

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> alive{0}, peak_alive{0}, limit_alive{0};

void Count(int64_t bytes) {
  if (!counting.load(std::memory_order_relaxed)) return;
  const int64_t now = alive.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = peak_alive.load(std::memory_order_relaxed);
  while (now > peak && !peak_alive.compare_exchange_weak(peak, now)) {
  }
  if (now > limit_alive.load(std::memory_order_relaxed)) {
    counting = false;
    std::fprintf(stderr, "allocation: %lld bytes alive, %lld of them just now, %lld are allowed\n",
                 static_cast<long long>(now), static_cast<long long>(bytes),
                 static_cast<long long>(limit_alive.load()));
    std::abort();
  }
}

}  // namespace

#ifdef RECKON_SANITIZER_HOOKS

namespace {

void OnMalloc(const volatile void*, size_t bytes) { Count(static_cast<int64_t>(bytes)); }
void OnFree(const volatile void* memory) {
  if (memory == nullptr || !counting.load(std::memory_order_relaxed)) return;
  Count(-static_cast<int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(memory))));
}
void CountAllocations() {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(OnMalloc, OnFree);
  if (installed == 0) std::abort();
}

}  // namespace

#else

void* operator new(size_t bytes) {
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  Count(static_cast<int64_t>(malloc_usable_size(memory)));
  return memory;
}
void operator delete(void* memory) noexcept {
  Count(-static_cast<int64_t>(malloc_usable_size(memory)));
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

namespace {
void CountAllocations() {}
}  // namespace

#endif

namespace reckon {

AllocationMeter::AllocationMeter(size_t limit) {
  CountAllocations();
  alive = peak_alive = 0;
  limit_alive = static_cast<int64_t>(limit < INT64_MAX ? limit : INT64_MAX);
  counting = true;
}
AllocationMeter::~AllocationMeter() { counting = false; }
size_t AllocationMeter::peak() const { return static_cast<size_t>(peak_alive.load()); }

}  // namespace reckon
