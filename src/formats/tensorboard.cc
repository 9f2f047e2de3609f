#include "formats/tensorboard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "base/files.h"

namespace reckon {
namespace {

constexpr size_t kLengthBytes = 8, kCrcBytes = 4;
constexpr size_t kFlushBytes = 1 << 16;

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0u);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = MakeCrcTable();

// TFRecord rotates and shifts checksums, so that a CRC over data that holds CRCs stays useful.
uint32_t MaskedCrc(std::string_view bytes) {
  const uint32_t crc = Crc32c(std::as_bytes(std::span<const char>(bytes.data(), bytes.size())));
  return std::rotr(crc, 15) + 0xA282EAD8u;
}

template <typename T>
void AppendFixed(T value, std::string& out) {  // little-endian, as this machine is
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// Protobuf's wire format: a field is a key (number << 3 | type) and its value.
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
void AppendKey(uint32_t field, WireType type, std::string& out) {
  AppendVarint(field << 3 | type, out);
}
void AppendBytes(uint32_t field, std::string_view bytes, std::string& out) {
  AppendKey(field, kBytes, out);
  AppendVarint(bytes.size(), out);
  out += bytes;
}

// Event: 1 wall_time (double), 2 step (int64), 3 file_version (string) or 5 summary.
std::string EventHead(double wall_time, int64_t step) {
  std::string event;
  AppendKey(1, kFixed64, event);
  AppendFixed(wall_time, event);
  AppendKey(2, kVarint, event);
  AppendVarint(static_cast<uint64_t>(step), event);
  return event;
}

void AppendRecord(std::string_view data, std::string& out) {
  std::string length;
  AppendFixed(static_cast<uint64_t>(data.size()), length);
  out += length;
  AppendFixed(MaskedCrc(length), out);
  out += data;
  AppendFixed(MaskedCrc(data), out);
}

template <typename T>
T FixedAt(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// Bytes of the records that are whole.
size_t WholeRecords(std::string_view file) {
  size_t end = 0;
  while (file.size() - end >= kLengthBytes + 2 * kCrcBytes) {
    const std::string_view rest = file.substr(end);
    const auto length = FixedAt<uint64_t>(rest, 0);
    if (FixedAt<uint32_t>(rest, kLengthBytes) != MaskedCrc(rest.substr(0, kLengthBytes))) break;
    if (length > rest.size() - kLengthBytes - 2 * kCrcBytes) break;
    const size_t data = kLengthBytes + kCrcBytes, crc = data + static_cast<size_t>(length);
    if (FixedAt<uint32_t>(rest, crc) != MaskedCrc(rest.substr(data, crc - data))) break;
    end += crc + kCrcBytes;
  }
  return end;
}

[[noreturn]] void ThrowErrno(const std::string& path, const char* action) {
  Throw(ErrorKind::kIo, fmt::format("{}: {} failed: {}", path, action, std::strerror(errno)));
}

}  // namespace

uint32_t Crc32c(std::span<const std::byte> bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (std::byte byte : bytes) {
    crc = crc >> 8 ^ kCrcTable[(crc ^ std::to_integer<uint32_t>(byte)) & 0xFF];
  }
  return ~crc;
}

TensorBoardWriter::TensorBoardWriter(const std::string& path) : path_(path) {
  std::error_code ignored;
  const std::string before = std::filesystem::is_regular_file(path, ignored) ? ReadFile(path) : "";
  const size_t whole = WholeRecords(before);
  // A first record is some 40 bytes; more than that without one is another kind of file.
  if (whole == 0 && before.size() > 64) {
    Throw(ErrorKind::kCorrupt, path + ": exists and is no TensorBoard event file; move it away");
  }
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) ThrowErrno(path_, "opening");
  if (whole < before.size() && ::ftruncate(fd_, static_cast<off_t>(whole)) != 0) {
    const int error = errno;
    ::close(fd_);
    errno = error;
    ThrowErrno(path_, "cutting off an unfinished record");
  }
  if (whole == 0) {
    std::string event = EventHead(0, 0);
    AppendBytes(3, "brain.Event:2", event);
    AppendRecord(event, buffer_);
  }
}

TensorBoardWriter::~TensorBoardWriter() {
  try {
    Flush();
  } catch (const Error&) {  // a destructor has nobody to tell; who must know calls Flush
  }
  ::close(fd_);
}

void TensorBoardWriter::WriteScalar(int64_t step, const std::string& tag, float value,
                                    double wall_time) {
  std::string scalar;  // Summary.Value: 1 tag, 2 simple_value (float)
  AppendBytes(1, tag, scalar);
  AppendKey(2, kFixed32, scalar);
  AppendFixed(value, scalar);
  std::string summary;  // Summary: 1 value, repeated
  AppendBytes(1, scalar, summary);
  std::string event = EventHead(wall_time, step);
  AppendBytes(5, summary, event);
  AppendRecord(event, buffer_);
  if (buffer_.size() >= kFlushBytes) Flush();
}

void TensorBoardWriter::Flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t written = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      buffer_.erase(0, done);  // what is written must not be written twice
      errno = error;
      ThrowErrno(path_, "writing");
    }
    done += static_cast<size_t>(written);
  }
  buffer_.clear();
}

}  // namespace reckon
