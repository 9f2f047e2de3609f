// What the fuzz targets share: files made of the fuzzer's bytes, and what must hold of any input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"

namespace reckon {

inline std::string_view InputText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// The parts of an input between the markers "%%%": a fuzzer keeps a text together better than
// lengths.
std::vector<std::string_view> InputParts(std::string_view input, size_t max_parts);

// One file or folder of this process, written anew for each input; in memory where the system has
// a file system for that.
class FuzzFolder {
 public:
  FuzzFolder();
  ~FuzzFolder();
  FuzzFolder(const FuzzFolder&) = delete;
  FuzzFolder& operator=(const FuzzFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, std::string_view bytes) const;  // its path
  void Remove(const std::string& name) const;

 private:
  std::string path_;
};

// A safetensors file whose header is what comes before the first NUL, with the length it needs.
std::string SafetensorsOf(std::string_view input);

// Runs `read`, which may throw an Error in one line that is no mistake of ours, and may not
// allocate more than AllowedAllocation(input_bytes) + more_bytes. Anything else is a finding.
void MustAnswer(size_t input_bytes, FunctionRef<void()> read, size_t more_bytes = 0);

// Aborts with `what`, for a property that must hold of whatever was read.
void MustHold(bool condition, const char* what);

}  // namespace reckon
