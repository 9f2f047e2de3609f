#include "base/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace reckon {
namespace {

TEST(MachineMemory, IsNoMoreThanThePagesOfTheMachine) {
  const MachineMemory memory = ReadMachineMemory();
  const int64_t pages = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  EXPECT_GT(memory.available_bytes, 0);
  EXPECT_LE(memory.available_bytes, memory.total_bytes);
  EXPECT_LE(memory.total_bytes, pages);
  EXPECT_GT(memory.total_bytes, int64_t{1} << 20);
}

}  // namespace
}  // namespace reckon
