// Ctrl-C and SIGTERM as a flag that loops look at.
#pragma once

namespace reckon {

void CatchInterrupts();  // first signal sets the flag; a second one ends the process
bool Interrupted();
void ClearInterrupt();
void ThrowIfInterrupted();  // Error{kCancelled}

}  // namespace reckon
