// Where the golden files are: the folder named by RECKON_SHARED, or ../shared beside the sources.
#pragma once

#include <algorithm>
#include <cctype>
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

// What GoogleTest takes for the name of a case: letters, digits and "_".
inline std::string CaseName(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return text;
}

}  // namespace reckon
