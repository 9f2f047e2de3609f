// Built where there is no libedit.

#include "cli/line_source.h"

namespace reckon {

std::unique_ptr<LineSource> OpenLineEditor(const std::string&) { return nullptr; }

}  // namespace reckon
