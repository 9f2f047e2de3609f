// Where the golden fixtures are: RECKON_SHARED, else ../shared beside the source folder.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <string>

namespace reckon {

// The folder of a fixture, or an empty string where it is absent (the test then skips).
inline std::string FixtureFolder(const std::string& name) {
  const char* shared = std::getenv("RECKON_SHARED");
  const std::string root =
      shared != nullptr ? shared : std::string(RECKON_SOURCE_DIR) + "/../shared";
  const std::string folder = root + "/fixtures/" + name;
  struct stat status {};
  return stat(folder.c_str(), &status) == 0 ? folder : std::string();
}

}  // namespace reckon
