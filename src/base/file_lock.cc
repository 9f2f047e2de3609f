#include "base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace reckon {
namespace {

int LockWithoutWaiting(int fd) {
  int result = 0;
  do {
    result = ::flock(fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result;
}

}  // namespace

std::unique_ptr<FileLock> FileLock::Try(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    const int error = errno;
    Throw(error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo,
          fmt::format("{}: opening failed: {}", path, std::strerror(error)));
  }
  std::unique_ptr<FileLock> lock(new FileLock(fd));
  if (LockWithoutWaiting(fd) != 0 && errno == EWOULDBLOCK) lock.reset();
  return lock;
}

FileLock::~FileLock() { ::close(fd_); }

}  // namespace reckon
