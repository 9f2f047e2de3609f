// Process-wide memory settings.
#pragma once

namespace reckon {

// Keeps large freed buffers in the process, so that activations of the next step reuse pages that
// are already mapped: a page fault for every 4 KiB would cost about a quarter of a training step.
void KeepFreedMemory();

}  // namespace reckon
