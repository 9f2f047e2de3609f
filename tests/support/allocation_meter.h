// How much memory a piece of code allocates. For tests that a wrong file, whatever it says, costs
// no more than a small multiple of its own size.
#pragma once

#include <cstddef>

namespace reckon {

// Counts allocations of all threads while it lives: of operator new, and under a sanitizer of
// malloc too. One at a time.
class AllocationMeter {
 public:
  // Aborts within the allocation that makes more than `limit` bytes of them, so that a debugger or
  // a fuzzer shows who asked.
  explicit AllocationMeter(size_t limit = static_cast<size_t>(-1));
  ~AllocationMeter();
  AllocationMeter(const AllocationMeter&) = delete;
  AllocationMeter& operator=(const AllocationMeter&) = delete;

  // The most bytes alive at once since the meter was made, beyond those alive then.
  size_t peak() const;
};

// What reading a file of this size may allocate: containers, hash tables and the copies that a
// parser makes on its way; and tables of a fixed size, such as those of the largest token ids.
constexpr size_t AllowedAllocation(size_t file_bytes) {
  return (size_t{8} << 20) + 64 * file_bytes;
}

}  // namespace reckon
