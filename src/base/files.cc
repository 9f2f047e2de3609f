#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace reckon {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void ThrowErrno(const std::string& path, const std::string& action) {
  const int error = errno;
  Throw(error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo,
        fmt::format("{}: {} failed: {}", path, action, std::strerror(error)));
}

// An open file that is removed unless it was kept.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) ThrowErrno(path_, "creating");
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!kept_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void Write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) ThrowErrno(path_, fmt::format("writing {} bytes", bytes.size()));
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
  }
  void RenameTo(const std::string& target) {
    if (::fsync(fd_) != 0) ThrowErrno(path_, "fsync");
    if (::close(fd_) != 0) {
      fd_ = -1;
      ThrowErrno(path_, "closing");
    }
    fd_ = -1;
    if (::rename(path_.c_str(), target.c_str()) != 0) ThrowErrno(target, "renaming to it");
    kept_ = true;
  }

 private:
  std::string path_;
  int fd_ = -1;
  bool kept_ = false;
};

std::string TemporaryName(const std::string& path) {
  return fmt::format("{}.tmp-{}", path, ::getpid());
}

void SyncFolder(const std::string& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

std::string ReadFile(const std::string& path) {
  if (fs::is_directory(path)) Throw(ErrorKind::kIo, path + ": is a folder, expected a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) ThrowErrno(path, "opening");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) Throw(ErrorKind::kIo, path + ": reading failed");
  return text;
}

void WriteFileAtomically(const std::string& path,
                         const std::function<void(const WriteBytes&)>& fill) {
  TemporaryFile file(TemporaryName(path));
  fill([&](std::span<const std::byte> bytes) { file.Write(bytes); });
  file.RenameTo(path);
  SyncFolder(fs::path(path).parent_path().string());
}

void WriteFileAtomically(const std::string& path, std::string_view contents) {
  WriteFileAtomically(path, [&](const WriteBytes& write) {
    write(std::as_bytes(std::span<const char>(contents.data(), contents.size())));
  });
}

void WriteExactly(const WriteBytes& write, uint64_t wanted, const std::string& what,
                  const std::function<void(const WriteBytes&)>& fill) {
  uint64_t written = 0;
  fill([&](std::span<const std::byte> bytes) {
    written += bytes.size();
    if (written <= wanted) write(bytes);
  });
  if (written != wanted) {
    Throw(ErrorKind::kInternal,
          fmt::format("{}: {} bytes written, {} wanted", what, written, wanted));
  }
}

void WriteFolderAtomically(const std::string& folder,
                           const std::function<void(const std::string&)>& fill) {
  const std::string temporary = TemporaryName(folder), old = folder + ".tmp-old";
  std::error_code ignored;
  fs::remove_all(temporary, ignored);
  try {
    MakeFolders(temporary);
    fill(temporary);
    SyncFolder(temporary);
    // Linux can exchange two names in one step, but not on every file system; a folder that is
    // missing between the two renames is found again by RecoverFolder's rule in RemoveTemporaries.
    fs::remove_all(old, ignored);
    if (fs::exists(folder) && ::rename(folder.c_str(), old.c_str()) != 0) {
      ThrowErrno(folder, "moving the old folder aside");
    }
    if (::rename(temporary.c_str(), folder.c_str()) != 0) {
      const int error = errno;
      fs::rename(old, folder, ignored);
      errno = error;
      ThrowErrno(folder, "renaming to it");
    }
  } catch (...) {
    fs::remove_all(temporary, ignored);
    throw;
  }
  SyncFolder(fs::path(folder).parent_path().string());
  fs::remove_all(old, ignored);
}

void RemoveTemporaries(const std::string& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const size_t at = name.find(".tmp-");
    if (at == std::string::npos) continue;
    const fs::path whole = entry.path().parent_path() / name.substr(0, at);
    // Killed between the two renames of WriteFolderAtomically: the old folder is still whole.
    if (name.substr(at) == ".tmp-old" && !fs::exists(whole)) {
      fs::rename(entry.path(), whole, ignored);
    } else {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

void MakeFolders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) {
    Throw(ErrorKind::kIo, fmt::format("{}: the folder cannot be made: {}", path, error.message()));
  }
}

bool FileExists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace reckon
