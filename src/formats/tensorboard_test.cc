#include "formats/tensorboard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace reckon {
namespace {

uint32_t CrcOf(const std::string& text) {
  return Crc32c(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

TEST(Crc32c, GivesTheKnownAnswersOfTheRfc) {
  EXPECT_EQ(CrcOf("123456789"), 0xE3069283u);
  EXPECT_EQ(CrcOf(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(CrcOf(std::string(32, '\xFF')), 0x62A8AB43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending += c;
  EXPECT_EQ(CrcOf(ascending), 0x46DD794Eu);
  EXPECT_EQ(CrcOf(""), 0u);
}

// Reads a file back by the description of the format, independently of the writer.
struct Event {
  double wall_time = 0;
  int64_t step = -1;
  std::string file_version, tag;
  float value = 0;
};

class Reader {
 public:
  explicit Reader(std::string bytes) : bytes_(std::move(bytes)) {}
  bool AtEnd() const { return at_ == bytes_.size(); }
  template <typename T>
  T Fixed() {
    T value;
    EXPECT_LE(at_ + sizeof(T), bytes_.size());
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = Fixed<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }
  std::string Bytes(size_t count) {
    EXPECT_LE(at_ + count, bytes_.size());
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  std::string Record() {
    const std::string length = bytes_.substr(at_, 8);
    const auto size = Fixed<uint64_t>();
    EXPECT_EQ(Fixed<uint32_t>(), Masked(length));
    std::string data = Bytes(size);
    EXPECT_EQ(Fixed<uint32_t>(), Masked(data));
    return data;
  }

 private:
  static uint32_t Masked(const std::string& text) {
    const uint32_t crc = CrcOf(text);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  }
  std::string bytes_;
  size_t at_ = 0;
};

void ReadFields(const std::string& message, int depth, Event& event) {
  Reader reader(message);
  while (!reader.AtEnd()) {
    const uint64_t key = reader.Varint();
    const uint64_t place = static_cast<uint64_t>(depth) * 100 + (key >> 3);
    switch (key & 7) {
      case 0:
        EXPECT_EQ(place, 2u);
        event.step = static_cast<int64_t>(reader.Varint());
        break;
      case 1:
        EXPECT_EQ(place, 1u);
        event.wall_time = reader.Fixed<double>();
        break;
      case 5:
        EXPECT_EQ(place, 202u);
        event.value = reader.Fixed<float>();
        break;
      default: {
        const std::string bytes = reader.Bytes(reader.Varint());
        if (place == 3) {
          event.file_version = bytes;
        } else if (place == 201) {
          event.tag = bytes;
        } else {
          EXPECT_TRUE(place == 5 || place == 101) << place;
          ReadFields(bytes, depth + 1, event);
        }
      }
    }
  }
}

std::vector<Event> ReadEvents(const std::string& path) {
  std::vector<Event> events;
  Reader reader(ReadFile(path));
  while (!reader.AtEnd()) ReadFields(reader.Record(), 0, events.emplace_back());
  return events;
}

class TensorBoardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "/reckon.tfevents." + std::to_string(::getpid());
    std::filesystem::remove(path_);
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_;
};

TEST_F(TensorBoardTest, WritesEventsThatReadBack) {
  {
    TensorBoardWriter writer(path_);
    writer.WriteScalar(0, "loss", 2.5f, 1764000000.25);
    writer.WriteScalar(int64_t{1} << 40, "rl/accuracy", -0.125f, 1764000001);
    writer.Flush();
    EXPECT_EQ(ReadEvents(path_).size(), 3u);
  }
  const std::vector<Event> events = ReadEvents(path_);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_EQ(events[1].wall_time, 1764000000.25);
  EXPECT_EQ(events[1].step, 0);
  EXPECT_EQ(events[1].tag, "loss");
  EXPECT_EQ(events[1].value, 2.5f);
  EXPECT_EQ(events[2].step, int64_t{1} << 40);
  EXPECT_EQ(events[2].tag, "rl/accuracy");
  EXPECT_EQ(events[2].value, -0.125f);
}

TEST_F(TensorBoardTest, GoesOnAfterARecordThatAKilledProcessLeftUnfinished) {
  TensorBoardWriter(path_).WriteScalar(1, "loss", 1, 10);
  const std::string whole = ReadFile(path_);
  TensorBoardWriter(path_).WriteScalar(2, "loss", 2, 20);
  const std::string longer = ReadFile(path_);
  for (size_t size = 0; size < longer.size(); size += 7) {
    WriteFileAtomically(path_, longer.substr(0, size));
    TensorBoardWriter(path_).WriteScalar(3, "loss", 3, 30);
    const std::vector<Event> events = ReadEvents(path_);
    ASSERT_GE(events.size(), size >= whole.size() ? 3u : 2u) << size;
    EXPECT_EQ(events.front().file_version, "brain.Event:2");
    EXPECT_EQ(events.back().step, 3);
  }
}

TEST_F(TensorBoardTest, DoesNotTouchAFileOfAnotherKind) {
  const std::string other(1000, 'x');
  WriteFileAtomically(path_, other);
  EXPECT_THROW(TensorBoardWriter{path_}, Error);
  EXPECT_EQ(ReadFile(path_), other);
}

TEST_F(TensorBoardTest, ReportsWhatTheSystemRefuses) {
  EXPECT_THROW(TensorBoardWriter("/nowhere/x.tfevents"), Error);
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "/dev/full is not there";
  TensorBoardWriter writer("/dev/full");  // a device on which every write finds the disk full
  writer.WriteScalar(1, "loss", 1, 10);
  EXPECT_THROW(writer.Flush(), Error);
}

}  // namespace
}  // namespace reckon
