// TensorBoard event files, so that a run's curves open in the tool people have. A file is a list of
// TFRecords: length (u64), masked CRC-32C of it, data, masked CRC-32C of the data; the data is an
// Event message in protobuf's wire format (tensorflow/core/util/event.proto).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace reckon {

class TensorBoardWriter {
 public:
  // Appends to the file if it is there, after cutting off a record that a killed process left
  // unfinished; else begins one. TensorBoard looks for "tfevents" in the file's name. Throws kIo
  // with the path, kCorrupt where the file is no event file.
  explicit TensorBoardWriter(const std::string& path);
  ~TensorBoardWriter();
  TensorBoardWriter(const TensorBoardWriter&) = delete;
  TensorBoardWriter& operator=(const TensorBoardWriter&) = delete;

  // wall_time in seconds since 1970.
  void WriteScalar(int64_t step, const std::string& tag, float value, double wall_time);
  void Flush();  // to the operating system; throws kIo. Written records wait for it.

 private:
  std::string path_;
  int fd_ = -1;
  std::string buffer_;
};

// CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4).
uint32_t Crc32c(std::span<const std::byte> bytes);

}  // namespace reckon
