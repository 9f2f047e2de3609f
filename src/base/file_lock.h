// A lock that one process holds at a time; the kernel drops it when the process ends, however it
// ends.
#pragma once

#include <memory>
#include <string>

namespace reckon {

class FileLock {
 public:
  // Takes the lock of the file at `path`, which is made if it is not there and stays; null if
  // another process (or another FileLock of this one) holds it. On a file system that knows no
  // locks nobody is kept out. Throws Error{kIo, kNotFound} where the file cannot be opened.
  static std::unique_ptr<FileLock> Try(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace reckon
