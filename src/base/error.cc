#include "base/error.h"

namespace reckon {

void Throw(ErrorKind kind, const std::string& message) { throw Error(kind, message); }

}  // namespace reckon
