// Runs the reckon binary as a user would: arguments and environment in, exit code and text out.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace reckon {

// One thread unless the environment says otherwise: tests share the machine with each other.
struct ProcessOptions {
  std::vector<std::pair<std::string, std::string>> environment;  // beside the test's own
  std::string input;                                             // standard input
  int64_t max_file_bytes = 0;  // the largest file it may write (RLIMIT_FSIZE); 0: any
};

struct ProcessResult {
  int exit_code = -1;  // -1: ended by `signal`
  int signal = 0;
  std::string out, err;
};

class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
  ~Process();  // ends it
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // False if it still runs after that long.
  bool EndsWithin(std::chrono::milliseconds time);
  void Signal(int signal) const;
  ProcessResult Wait();

 private:
  bool Poll(bool block);

  pid_t pid_ = -1;  // -1: waited for
  int out_ = -1, err_ = -1, status_ = 0;
};

ProcessResult RunReckon(const std::vector<std::string>& arguments,
                        const ProcessOptions& options = {});

// A fresh folder, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace reckon
