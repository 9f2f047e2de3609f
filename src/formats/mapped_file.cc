#include "formats/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace reckon {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void ThrowErrno(const std::string& path, const char* action) {
  const int error = errno;
  Throw(error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo,
        fmt::format("{}: {} failed: {}", path, action, std::strerror(error)));
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) ThrowErrno(path, "opening");
  struct stat status = {};
  if (::fstat(file.fd, &status) != 0) ThrowErrno(path, "reading the size");
  if (!S_ISREG(status.st_mode)) Throw(ErrorKind::kIo, path + ": is not a regular file");
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return;  // the system maps no empty range
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (memory == MAP_FAILED) ThrowErrno(path, "mapping");
  bytes_ = {static_cast<const std::byte*>(memory), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace reckon
