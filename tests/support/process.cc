#include "tests/support/process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/error.h"

namespace reckon {
namespace {

// A file in memory: a pipe would have to be emptied while the process runs.
int MemoryFile(const std::string& contents) {
  const int file = ::memfd_create("reckon-test", MFD_CLOEXEC);
  Check(file >= 0, "memfd_create failed");
  Check(
      ::pwrite(file, contents.data(), contents.size(), 0) == static_cast<ssize_t>(contents.size()),
      "writing to memory failed");
  return file;
}

std::string Contents(int file) {
  std::string text(static_cast<size_t>(::lseek(file, 0, SEEK_END)), '\0');
  Check(::pread(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
        "reading from memory failed");
  return text;
}

// In the child, between fork and exec.
[[noreturn]] void Execute(char* const* arguments, const ProcessOptions& options, int in, int out,
                          int err) {
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::setenv("RECKON_THREADS", "1", 1);
  for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (options.max_file_bytes > 0) {
    const auto bytes = static_cast<rlim_t>(options.max_file_bytes);
    const rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ::execv(arguments[0], arguments);
  ::_exit(127);
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  std::vector<std::string> words = {RECKON_BINARY_DIR "/reckon"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const int in = MemoryFile(options.input);
  out_ = MemoryFile("");
  err_ = MemoryFile("");
  pid_ = ::fork();
  if (pid_ == 0) Execute(pointers.data(), options, in, out_, err_);
  ::close(in);
  Check(pid_ > 0, "fork failed");
}

Process::~Process() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Poll(true);
  }
  ::close(out_);
  ::close(err_);
}

bool Process::Poll(bool block) {
  if (pid_ > 0 && ::waitpid(pid_, &status_, block ? 0 : WNOHANG) == pid_) pid_ = -1;
  return pid_ < 0;
}

bool Process::EndsWithin(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!Poll(false)) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void Process::Signal(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

ProcessResult Process::Wait() {
  Poll(true);
  ProcessResult result;
  if (WIFEXITED(status_)) result.exit_code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) result.signal = WTERMSIG(status_);
  result.out = Contents(out_);
  result.err = Contents(err_);
  return result;
}

ProcessResult RunReckon(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  return Process(arguments, options).Wait();
}

TemporaryFolder::TemporaryFolder() {
  path_ = (std::filesystem::temp_directory_path() / "reckon-test-XXXXXX").string();
  Check(::mkdtemp(path_.data()) != nullptr, "mkdtemp failed");
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace reckon
