// No file, however wrong, makes its reader allocate more than a small multiple of its own size.
// Each file here is of the kind that costs most: as many things as its bytes can hold.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "formats/gguf.h"
#include "formats/gguf_config.h"
#include "formats/gguf_weights.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "tests/support/allocation_meter.h"

namespace reckon {
namespace {

constexpr size_t kFileBytes = size_t{2} << 20;

template <typename T>
std::string Raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
std::string Text(std::string_view text) { return Raw<uint64_t>(text.size()) + std::string(text); }

// What repeated calls of `next` give, up to kFileBytes, between begin and end.
template <typename Next>
std::string Many(const std::string& begin, const Next& next, const std::string& end,
                 uint64_t* count = nullptr) {
  std::string text = begin;
  uint64_t i = 0;
  while (text.size() < kFileBytes) text += next(i++);
  if (count != nullptr) *count = i;
  return text + end;
}

// The most that `read` allocated, which may end in an Error.
template <typename Read>
size_t PeakOf(const Read& read) {
  const AllocationMeter meter;
  try {
    read();
  } catch (const Error&) {
  }
  return meter.peak();
}

TEST(AllocationMeter, CountsWhatIsAliveAtOnce) {
  // A compiler may leave out an allocation of which nothing is used.
  const auto use = [](std::vector<char>& memory) {
    volatile char* first = memory.data();
    *first = 1;
  };
  const AllocationMeter meter;
  for (int i = 0; i < 10; ++i) {
    std::vector<char> one(1 << 20);
    use(one);
  }
  EXPECT_GE(meter.peak(), size_t{1} << 20);
  EXPECT_LT(meter.peak(), size_t{2} << 20);
  std::vector<char> first(1 << 20), second(1 << 20);
  use(first);
  use(second);
  EXPECT_GE(meter.peak(), size_t{2} << 20);
}

TEST(Allocation, OfJsonIsAMultipleOfTheText) {
  const auto expect_small = [](const std::string& text) {
    const size_t peak = PeakOf([&] { ParseJson(text, "x.json"); });
    EXPECT_LE(peak, AllowedAllocation(text.size())) << text.substr(0, 40);
    EXPECT_GT(peak, text.size()) << "the text was read to its end";
  };
  for (const char* item : {"0,", "[],", "{},", "\"\",", "1e1,", "[[[0]]],"}) {
    expect_small(Many(
        "[", [&](uint64_t) { return item; }, "0]"));
  }
  expect_small(Many(
      "{", [](uint64_t i) { return "\"" + std::to_string(i) + "\":{},"; }, "\"\":0}"));
}

class FileAllocation : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Reading a file of these bytes is cheap.
  template <typename File>
  void ExpectSmall(const std::string& bytes) const {
    const std::string path = folder_ + "/x.gguf";
    WriteFileAtomically(path, bytes);
    EXPECT_LE(PeakOf([&] { const File file(path); }), AllowedAllocation(bytes.size()));
  }

  std::string folder_ = testing::TempDir() + "/reckon_allocation_" + std::to_string(::getpid());
};

std::string Safetensors(const std::string& header) { return Raw<uint64_t>(header.size()) + header; }

TEST_F(FileAllocation, OfSafetensorsIsAMultipleOfTheFile) {
  ExpectSmall<SafetensorsFile>(Safetensors(Many(
      "{",
      [](uint64_t i) {
        return "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
      },
      R"("":{"dtype":"U8","shape":[],"data_offsets":[0,0]}})")));
  ExpectSmall<SafetensorsFile>(
      Safetensors(Many(R"({"a":{"dtype":"U8","data_offsets":[0,1],"shape":[)",
                       [](uint64_t) { return "1,"; }, "1]}} ")));
  for (const uint64_t length : {~uint64_t{0}, uint64_t{1} << 40, uint64_t{100'000'000}}) {
    ExpectSmall<SafetensorsFile>(Raw(length) + "{}");
  }
}

std::string Gguf(uint64_t num_tensors, uint64_t num_keys, const std::string& rest) {
  return "GGUF" + Raw<uint32_t>(3) + Raw(num_tensors) + Raw(num_keys) + rest;
}

TEST_F(FileAllocation, OfGgufIsAMultipleOfTheFile) {
  uint64_t count = 0;
  std::string many = Many(
      "",
      [](uint64_t i) { return Text(std::to_string(i)) + Raw<uint32_t>(0) + std::string(1, '\0'); },
      "", &count);
  ExpectSmall<GgufFile>(Gguf(0, count, many));
  many = Many(
      "",
      [](uint64_t i) {
        return Text(std::to_string(i)) + Raw<uint32_t>(0) + Raw<uint32_t>(0) +
               Raw<uint64_t>(32 * i);
      },
      "", &count);
  std::string file = Gguf(count, 0, many);
  ExpectSmall<GgufFile>(file);
  file.resize(file.size() + 32 * (count + 1));
  ExpectSmall<GgufFile>(file);
  for (const uint64_t huge : {~uint64_t{0}, uint64_t{1} << 62, uint64_t{1} << 32}) {
    ExpectSmall<GgufFile>(Gguf(huge, 0, std::string(100, 'x')));
    ExpectSmall<GgufFile>(Gguf(0, huge, std::string(100, 'x')));
    ExpectSmall<GgufFile>(Gguf(0, 1, Text("k") + Raw<uint32_t>(9) + Raw<uint32_t>(4) + Raw(huge)));
    ExpectSmall<GgufFile>(Gguf(0, 1, Text("k") + Raw<uint32_t>(8) + Raw(huge) + "x"));
  }
}

// config.json as the metadata give it.
struct ConfigOf {
  explicit ConfigOf(const std::string& path) { ConfigFromGguf(GgufModel(path)); }
};

TEST_F(FileAllocation, OfRotaryFactorsIsThatOfTheirTensor) {
  GgufMetadata metadata;
  metadata.AddString("general.architecture", "llama");
  for (const char* key : {"context_length", "embedding_length", "block_count",
                          "feed_forward_length", "attention.head_count"}) {
    metadata.AddU32(std::string("llama.") + key, 8);
  }
  metadata.AddU32("llama.attention.key_length", 2'000'000'000);
  metadata.AddF32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  const std::string path = folder_ + "/rope.gguf";
  WriteGguf(path, metadata, {{"rope_freqs.weight", StorageFormat::kF32, {4}}},
            [](size_t, const WriteBytes& write) { write(std::vector<std::byte>(16)); });
  ExpectSmall<ConfigOf>(ReadFile(path));
  EXPECT_THROW(ConfigOf{path}, Error);
}

}  // namespace
}  // namespace reckon
