// Where the golden files are: the folder named by RECKON_SHARED, or ../shared beside the sources.
#pragma once

#include <cstdlib>
#include <string>

#include "base/files.h"

namespace reckon {

inline std::string SharedPath(const std::string& relative) {
  const char* folder = std::getenv("RECKON_SHARED");
  const std::string root =
      folder != nullptr ? folder : std::string(RECKON_SOURCE_DIR) + "/../shared";
  return root + "/" + relative;
}

}  // namespace reckon
