#include "base/memory.h"

#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace reckon {
namespace {

// The number that a file of the system begins with; `otherwise` where it has none ("max").
int64_t NumberIn(const char* path, int64_t otherwise) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? number : otherwise;
}

// Of the control group (versions 2 and 1) that a container shows as its root.
void ApplyLimit(const char* limit_path, const char* used_path, MachineMemory& memory) {
  const int64_t limit = NumberIn(limit_path, memory.total_bytes);
  if (limit >= memory.total_bytes) return;
  memory.total_bytes = limit;
  memory.available_bytes =
      std::clamp<int64_t>(limit - NumberIn(used_path, 0), 0, memory.available_bytes);
}

}  // namespace

void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2147483647);
  mallopt(M_TOP_PAD, 64 << 20);
}

MachineMemory ReadMachineMemory() {
  MachineMemory memory;
  std::ifstream file("/proc/meminfo");  // lines "MemTotal:  24689764 kB"
  std::string name, rest;
  for (int64_t kib = 0; file >> name >> kib; std::getline(file, rest)) {
    if (name == "MemTotal:") memory.total_bytes = kib * 1024;
    if (name == "MemAvailable:") memory.available_bytes = kib * 1024;
  }
  ApplyLimit("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", memory);
  ApplyLimit("/sys/fs/cgroup/memory/memory.limit_in_bytes",
             "/sys/fs/cgroup/memory/memory.usage_in_bytes", memory);
  return memory;
}

}  // namespace reckon
