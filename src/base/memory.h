// Process-wide memory settings, and how much memory the machine has.
#pragma once

#include <cstdint>

namespace reckon {

// Keeps large freed buffers in the process, so that activations of the next step reuse pages that
// are already mapped: a page fault for every 4 KiB would cost about a quarter of a training step.
void KeepFreedMemory();

// What Linux has and could still give to programs, pages of files included; within a container at
// most what its limit leaves.
struct MachineMemory {
  int64_t total_bytes = 0, available_bytes = 0;  // 0 where the system does not say
};
MachineMemory ReadMachineMemory();

}  // namespace reckon
