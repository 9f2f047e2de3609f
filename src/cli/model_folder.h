// A folder that is named where a model's is wanted.
#pragma once

#include <string>

namespace reckon {

// Throws if `path` is a folder without a model that holds some further down, as those of a run and
// of a stage do, and names them. Other mistakes are left to whoever opens the model.
void CheckModelFolder(const std::string& path);

}  // namespace reckon
