// A file's bytes as memory, read-only.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace reckon {

// The mapping lives as long as the object. A file that another process shortens meanwhile makes an
// access beyond its new end a bus error: the system offers no gentler answer.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);  // throws kNotFound or kIo with the path
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace reckon
