#include "tests/fuzz/support.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "tests/support/allocation_meter.h"

namespace reckon {

std::vector<std::string_view> InputParts(std::string_view input, size_t max_parts) {
  constexpr std::string_view kMarker = "%%%";
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < max_parts) {
    const size_t end = input.find(kMarker);
    if (end == input.npos) break;
    parts.push_back(input.substr(0, end));
    input.remove_prefix(end + kMarker.size());
  }
  parts.push_back(input);
  parts.resize(max_parts);
  return parts;
}

FuzzFolder::FuzzFolder() {
  const bool in_memory = ::access("/dev/shm", W_OK) == 0;
  const std::filesystem::path parent =
      in_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
  path_ = (parent / "reckon-fuzz-XXXXXX").string();
  MustHold(::mkdtemp(path_.data()) != nullptr, "mkdtemp");
}

FuzzFolder::~FuzzFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string FuzzFolder::Write(const std::string& name, std::string_view bytes) const {
  std::string path = path_ + "/" + name;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  MustHold(file.good(), "a file of the fuzzer's own can be written");
  return path;
}

void FuzzFolder::Remove(const std::string& name) const { ::unlink((path_ + "/" + name).c_str()); }

std::string SafetensorsOf(std::string_view input) {
  const size_t end = std::min(input.find('\0'), input.size());
  const uint64_t length = end;
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  file += input.substr(0, end);
  if (end < input.size()) file += input.substr(end + 1);
  return file;
}

void MustHold(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

namespace {

void CheckMessage(const Error& error) {
  const std::string_view message = error.what();
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
  if (error.kind() == ErrorKind::kInternal) std::fprintf(stderr, "%s\n", error.what());
  MustHold(error.kind() != ErrorKind::kInternal, "an input does not lead to a mistake of ours");
  MustHold(!message.empty() && message.size() < 5000, "a message is short");
  MustHold(std::none_of(message.begin(), message.end(), control), "a message is one line of text");
}

}  // namespace

void MustAnswer(size_t input_bytes, FunctionRef<void()> read, size_t more_bytes) {
  const AllocationMeter meter(AllowedAllocation(input_bytes) + more_bytes);
  try {
    read();
  } catch (const Error& error) {
    CheckMessage(error);
  }
}

}  // namespace reckon
