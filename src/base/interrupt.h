// Ctrl-C and SIGTERM as a flag that loops look at.
#pragma once

namespace reckon {

void CatchInterrupts();  // first signal sets the flag; a second one ends the process
bool Interrupted();
bool Terminated();  // it was SIGTERM: the program is to end, not only what it is doing
void ClearInterrupt();
bool WaitToRead(int file);  // until it can be read or has ended; false where a signal came first
void ThrowIfInterrupted();  // Error{kCancelled}

}  // namespace reckon
