#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "formats/file_case.h"
#include "formats/json.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class SafetensorsTest : public FileCase<SafetensorsFile> {
 protected:
  SafetensorsTest() : FileCase("model.safetensors") {}

  // A file with this header (its true length in front unless given) and that many data bytes.
  void WriteRaw(const std::string& header, size_t data_bytes, uint64_t length = 0) {
    if (length == 0) length = header.size();
    std::string text(8, '\0');
    std::memcpy(text.data(), &length, 8);
    WriteFileAtomically(path_, text + header + std::string(data_bytes, '\1'));
  }
  std::string FailureOf(const std::string& header, size_t data_bytes) {
    WriteRaw(header, data_bytes);
    return FailureOfReading();
  }
};

template <typename T>
std::span<const std::byte> Bytes(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

TEST_F(SafetensorsTest, ReadsBackWhatItWrote) {
  const std::vector<float> floats = {1, -2, 0.5f, 3, 4, 5};
  const std::vector<int64_t> ints = {-1, int64_t{1} << 40};
  const std::vector<int32_t> small = {7};
  const std::vector<uint16_t> halves = {0x3F80, 0xC000};
  WriteSafetensors(path_,
                   {{"b.bf16", DType::kBF16, {2}, Bytes(halves)},
                    {"a.floats", DType::kF32, {2, 3}, Bytes(floats)},
                    {"ints", DType::kI64, {2}, Bytes(ints)},
                    {"scalar", DType::kI32, {}, Bytes(small)},
                    {"none", DType::kF32, {0, 4}, {}}},
                   {{"format", "pt"}, {"step", "3"}});
  const SafetensorsFile file(path_);
  EXPECT_EQ(file.metadata().at("step"), "3");
  EXPECT_EQ(file.tensors().size(), 5u);
  const Tensor tensor = file.LoadF32("a.floats");
  EXPECT_EQ(tensor.shape(), (Shape{2, 3}));
  EXPECT_EQ(std::vector<float>(tensor.floats().begin(), tensor.floats().end()), floats);
  EXPECT_EQ(file.LoadInts("ints"), ints);
  EXPECT_EQ(file.LoadInts("scalar"), std::vector<int64_t>{7});
  EXPECT_EQ(file.LoadF32("b.bf16").f32()[1], -2);
  EXPECT_EQ(file.LoadF32("none").num_elements(), 0);
  EXPECT_THROW(file.LoadInts("a.floats"), Error);
  EXPECT_THROW(file.LoadF32("ints"), Error);
  EXPECT_FALSE(file.Has("absent"));
  EXPECT_THROW(file.Get("absent"), Error);
}

TEST_F(SafetensorsTest, WritesTheSameBytesWhateverTheOrderOfTensors) {
  const std::vector<float> a = {1, 2}, b = {3};
  const NamedBytes first{"a", DType::kF32, {2}, Bytes(a)}, second{"b", DType::kF32, {1}, Bytes(b)};
  WriteSafetensors(path_, {first, second});
  const std::string once = ReadFile(path_);
  WriteSafetensors(path_, {second, first});
  EXPECT_EQ(ReadFile(path_), once);
  uint64_t length = 0;
  std::memcpy(&length, once.data(), 8);
  EXPECT_EQ(length % 8, 0u) << "the data begins aligned";
}

TEST_F(SafetensorsTest, ReadsAFileWithoutTensors) {
  WriteRaw("{}  ", 0);
  EXPECT_TRUE(SafetensorsFile(path_).tensors().empty());
}

TEST_F(SafetensorsTest, RefusesBadHeaderLengths) {
  WriteFileAtomically(path_, "");
  EXPECT_THAT(FailureOfReading(), HasSubstr("too short"));
  WriteFileAtomically(path_, "1234567");
  EXPECT_THAT(FailureOfReading(), HasSubstr("too short"));
  WriteRaw("{}", 0, 3);
  EXPECT_THAT(FailureOfReading(), HasSubstr("cut short"));
  WriteRaw("{}", 0, std::numeric_limits<uint64_t>::max());
  EXPECT_THAT(FailureOfReading(), HasSubstr("at most 100000000"));
  WriteFileAtomically(path_, std::string(16, '\0'));
  EXPECT_THAT(FailureOfReading(), HasSubstr("'{'"));
}

TEST_F(SafetensorsTest, RefusesHeadersThatAreNotTheJsonItWants) {
  FailureOf("[]", 0);
  FailureOf(" {}", 0);
  FailureOf("{\"a\"", 0);
  FailureOf("{\"\xff\": 1}", 0);
  FailureOf(R"({"a": 1})", 0);
  FailureOf(R"({"a": {"dtype": "F32", "shape": [1]}})", 4);
  FailureOf(R"({"a": {"dtype": 1, "shape": [1], "data_offsets": [0, 4]}})", 4);
  FailureOf(R"({"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}})", 4);
  FailureOf(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "x": 1}})", 4);
  FailureOf(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}})", 4);
  FailureOf(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}})", 4);
  FailureOf(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0.0, 4.0]}})", 4);
  FailureOf(R"({"__metadata__": {"a": 1}})", 0);
  FailureOf(R"({"__metadata__": []})", 0);
}

TEST_F(SafetensorsTest, RefusesDuplicateNames) {
  EXPECT_THAT(FailureOf(R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
                            "a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}})",
                        2),
              HasSubstr("duplicate key \"a\""));
}

TEST_F(SafetensorsTest, RefusesShapesThatAreNegativeWrapAroundOrDoNotMatchTheBytes) {
  const auto with_shape = [&](const std::string& shape, size_t bytes) {
    return FailureOf("{\"a\": {\"dtype\": \"F32\", \"shape\": " + shape +
                         ", \"data_offsets\": [0, " + std::to_string(bytes) + "]}}",
                     bytes);
  };
  EXPECT_THAT(with_shape("[-1]", 4), HasSubstr("bad dimension"));
  EXPECT_THAT(with_shape("[1.5]", 4), HasSubstr("bad dimension"));
  EXPECT_THAT(with_shape("[18446744073709551615]", 4), HasSubstr("bad dimension"));
  // 2^62 elements of 4 bytes are 2^64 bytes, which wraps to 0.
  EXPECT_THAT(with_shape("[4611686018427387904]", 0), HasSubstr("overflows"));
  EXPECT_THAT(with_shape("[4294967296, 4294967296]", 0), HasSubstr("overflows"));
  EXPECT_THAT(with_shape("[2]", 4), HasSubstr("takes 8 bytes, data_offsets give 4"));
}

TEST_F(SafetensorsTest, RefusesOverlapsHolesAndBytesThatBelongToNobody) {
  const auto two = [&](const std::string& first, const std::string& second, size_t bytes) {
    return FailureOf(
        "{\"a\": {\"dtype\": \"U8\", \"shape\": [4], \"data_offsets\": " + first +
            "}, \"b\": {\"dtype\": \"U8\", \"shape\": [4], \"data_offsets\": " + second + "}}",
        bytes);
  };
  EXPECT_THAT(two("[0, 4]", "[3, 7]", 7), HasSubstr("\"b\": overlaps"));
  EXPECT_THAT(two("[0, 4]", "[0, 4]", 4), HasSubstr("overlaps"));
  EXPECT_THAT(two("[0, 4]", "[5, 9]", 9), HasSubstr("\"b\": leaves a hole of 1 bytes"));
  EXPECT_THAT(two("[1, 5]", "[5, 9]", 9), HasSubstr("\"a\": leaves a hole of 1 bytes"));
  EXPECT_THAT(two("[0, 4]", "[4, 8]", 9), HasSubstr("1 bytes of data belong to no tensor"));
  EXPECT_THAT(two("[0, 4]", "[4, 8]", 7), HasSubstr("cut short"));
}

TEST_F(SafetensorsTest, NamesADtypeItDoesNotKnow) {
  WriteRaw(R"({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}})", 1);
  EXPECT_THAT(FailureOfReading(ErrorKind::kUnsupported), HasSubstr("\"F4\""));
}

TEST_F(SafetensorsTest, TellsAMissingFileFromABrokenOne) {
  FailureOfReading(ErrorKind::kNotFound);
  std::filesystem::create_directories(path_);
  FailureOfReading(ErrorKind::kIo);
}

TEST_F(SafetensorsTest, LeavesNothingBehindWhenWritingFails) {
  const std::vector<float> a = {1};
  EXPECT_THROW(WriteSafetensors(path_, {{"a", DType::kF32, {2}, Bytes(a)}}), Error);
  EXPECT_THROW(WriteSafetensors(
                   path_, {{"a", DType::kF32, {1}, Bytes(a)}, {"a", DType::kF32, {1}, Bytes(a)}}),
               Error);
  EXPECT_THROW(WriteSafetensors(path_, {{"\xff", DType::kF32, {1}, Bytes(a)}}), Error);
  EXPECT_THROW(WriteSafetensors(folder_ + "/no/such", {{"a", DType::kF32, {1}, Bytes(a)}}), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

// Whatever a damaged file says, the answer is tensors within the file or our own error.
TEST_F(SafetensorsTest, MeetsDamagedFilesWithAnError) {
  const std::vector<float> a = {1, 2, 3, 4};
  WriteSafetensors(path_,
                   {{"a", DType::kF32, {2, 2}, Bytes(a)}, {"b", DType::kF32, {4}, Bytes(a)}});
  const std::string whole = ReadFile(path_);
  Rng rng(5, {StreamName("damage")});
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = whole;
    for (int64_t changes = 1 + rng.Below(3); changes > 0; --changes) {
      const auto at = static_cast<size_t>(rng.Below(static_cast<int64_t>(damaged.size())));
      const std::string_view replacements = "0123456789{}[]\",:-.eF ";
      if (rng.Bernoulli(0.1)) {
        damaged.resize(at + 1);
      } else if (rng.Bernoulli(0.5)) {
        damaged[at] =
            replacements[static_cast<size_t>(rng.Below(static_cast<int64_t>(replacements.size())))];
      } else {
        damaged[at] = static_cast<char>(rng.Below(256));
      }
    }
    std::ofstream(path_, std::ios::binary) << damaged;
    try {
      const SafetensorsFile file(path_);
      for (const auto& [name, view] : file.tensors()) {
        EXPECT_LE(view.bytes.size(), damaged.size());
        if (view.dtype == DType::kF32) file.LoadF32(name);
      }
    } catch (const Error&) {
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

// Every F16 value against an independent rule: sign * 2^(exponent - 25) * (1024 + fraction).
TEST(ConvertToF32, IsExactForEveryF16AndBF16) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const std::vector<uint16_t> code = {static_cast<uint16_t>(bits)};
    float half = 0, brain = 0;
    ConvertToF32({DType::kF16, {1}, Bytes(code)}, &half);
    ConvertToF32({DType::kBF16, {1}, Bytes(code)}, &brain);
    const int exponent = static_cast<int>(bits >> 10) & 31,
              fraction = static_cast<int>(bits) & 1023;
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(half), fraction != 0);
      EXPECT_EQ(std::isinf(half), fraction == 0);
    } else {
      EXPECT_EQ(half, sign * (exponent == 0 ? std::ldexp(fraction, -24)
                                            : std::ldexp(1024 + fraction, exponent - 25)));
    }
    EXPECT_EQ(std::signbit(half), (bits & 0x8000) != 0);
    uint32_t brain_bits = 0;
    std::memcpy(&brain_bits, &brain, 4);
    EXPECT_EQ(brain_bits, bits << 16);
  }
}

class SafetensorsFolderTest : public SafetensorsTest {
 protected:
  void WriteShard(const std::string& shard, const std::vector<std::string>& names) {
    const std::vector<float> value = {1};
    std::vector<NamedBytes> tensors;
    for (const auto& name : names) tensors.push_back({name, DType::kF32, {1}, Bytes(value)});
    WriteSafetensors(folder_ + "/" + shard, tensors);
  }
  void WriteIndex(const std::string& map) {
    WriteFileAtomically(path_ + ".index.json", "{\"weight_map\": " + map + "}");
  }
  std::string Failure() {
    try {
      SafetensorsFolder folder(folder_);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(SafetensorsFolderTest, FindsTensorsInOneFileOrInShards) {
  WriteShard("s1.safetensors", {"a", "b"});
  WriteShard("s2.safetensors", {"c"});
  WriteIndex(R"({"a": "s1.safetensors", "b": "s1.safetensors", "c": "s2.safetensors"})");
  const SafetensorsFolder sharded(folder_);
  EXPECT_EQ(sharded.names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(sharded.Get("c").shape, Shape{1});
  EXPECT_THROW(sharded.Get("d"), Error);
  WriteShard("model.safetensors", {"x"});
  EXPECT_TRUE(SafetensorsFolder(folder_).Has("x"));
}

TEST_F(SafetensorsFolderTest, NamesWhatIsMissingOrContradictory) {
  EXPECT_THAT(Failure(), HasSubstr("neither"));
  WriteShard("s1.safetensors", {"a"});
  WriteIndex(R"({"a": "s1.safetensors", "c": "s2.safetensors"})");
  EXPECT_THAT(Failure(), HasSubstr("s2.safetensors: missing, though"));
  WriteIndex(R"({"a": "s1.safetensors", "b": "s1.safetensors"})");
  EXPECT_THAT(Failure(), HasSubstr("has no tensor \"b\""));
  WriteIndex(R"({"a": "../s1.safetensors"})");
  EXPECT_THAT(Failure(), HasSubstr("is not a file name"));
  WriteIndex("[]");
  EXPECT_THAT(Failure(), HasSubstr("weight_map"));
  WriteShard("s2.safetensors", {"a", "c"});
  WriteIndex(R"({"a": "s1.safetensors", "c": "s2.safetensors"})");
  EXPECT_THAT(Failure(), HasSubstr("\"a\" is also in"));
}

TEST_F(SafetensorsFolderTest, NamesTheTensorOfABadIndexOrACutShard) {
  WriteShard("s1.safetensors", {"a", "b"});
  WriteIndex(R"({"a": "s2.safetensors", "a": "s1.safetensors"})");
  EXPECT_THAT(Failure(), HasSubstr("index.json"));
  EXPECT_THAT(Failure(), HasSubstr("duplicate key \"a\""));
  WriteIndex(R"({"a": "s1.safetensors", "b": "s1.safetensors", "c": "s2.safetensors"})");
  EXPECT_THAT(Failure(), HasSubstr("the first \"c\""));
  WriteIndex(R"({"a": "s1.safetensors", "b": "s1.safetensors"})");
  std::filesystem::resize_file(folder_ + "/s1.safetensors",
                               std::filesystem::file_size(folder_ + "/s1.safetensors") - 1);
  EXPECT_THAT(Failure(), HasSubstr("s1.safetensors: tensor \"b\": ends at byte 8 of 7"));
}

class SafetensorsShardsTest : public SafetensorsFolderTest {
 protected:
  // Tensors "t0".. of 4 floats each, tensor i all i.
  static std::vector<SafetensorsSpec> Specs(int count) {
    std::vector<SafetensorsSpec> specs;
    for (int i = 0; i < count; ++i) {
      specs.push_back({"t" + std::to_string(i), DType::kF32, {2, 2}});
    }
    return specs;
  }
  static void FillInTwoPieces(size_t i, const WriteBytes& write) {
    const std::vector<float> half(2, static_cast<float>(i));
    write(Bytes(half));
    write(Bytes(half));
  }
};

TEST_F(SafetensorsShardsTest, AreCutBySizeAndFoundByTheIndex) {
  std::vector<SafetensorsSpec> specs = Specs(5);
  specs[2].shape = {16};  // larger than a shard
  WriteSafetensorsFolder(folder_, specs, 40, [&](size_t i, const WriteBytes& write) {
    if (i == 2) {
      write(Bytes(std::vector<float>(16, 2)));
    } else {
      FillInTwoPieces(i, write);
    }
  });
  for (int shard = 1; shard <= 3; ++shard) {
    EXPECT_TRUE(
        FileExists(folder_ + "/model-0000" + std::to_string(shard) + "-of-00003.safetensors"));
  }
  const Json index = ReadJsonFile(path_ + ".index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 4 * 16 + 64);
  EXPECT_EQ(index["weight_map"]["t1"], "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["t2"], "model-00002-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["t4"], "model-00003-of-00003.safetensors");
  const SafetensorsFolder folder(folder_);
  EXPECT_EQ(folder.names().size(), 5u);
  float values[4];
  ConvertToF32(folder.Get("t3"), values);
  EXPECT_EQ(values[3], 3);
}

TEST_F(SafetensorsShardsTest, AreOneFileWhereThatIsEnough) {
  WriteSafetensorsFolder(folder_, Specs(3), 48, FillInTwoPieces);
  EXPECT_TRUE(FileExists(path_));
  EXPECT_FALSE(FileExists(path_ + ".index.json"));
  EXPECT_EQ(SafetensorsFolder(folder_).names().size(), 3u);
}

TEST_F(SafetensorsShardsTest, LeaveNothingBehindWhenWritingFails) {
  const auto fail_at_last = [](size_t i, const WriteBytes& write) {
    if (i == 3) Throw(ErrorKind::kCancelled, "stopped");
    FillInTwoPieces(i, write);
  };
  EXPECT_THROW(WriteSafetensorsFolder(folder_, Specs(4), 16, fail_at_last), Error);
  const auto too_long = [](size_t, const WriteBytes& write) {
    write(Bytes(std::vector<float>(5, 1)));
  };
  EXPECT_THROW(WriteSafetensorsFolder(folder_, Specs(2), 16, too_long), Error);
  std::vector<SafetensorsSpec> twice = Specs(2);
  twice[1].name = "t0";
  EXPECT_THROW(WriteSafetensorsFolder(folder_, twice, 16, FillInTwoPieces), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST(SafetensorsFixtures, AreAllRead) {
  const char* shared = std::getenv("RECKON_SHARED");
  const std::filesystem::path fixtures =
      std::filesystem::path(shared != nullptr ? shared : RECKON_SOURCE_DIR "/../shared") /
      "fixtures";
  if (!std::filesystem::is_directory(fixtures)) {
    GTEST_SKIP() << fixtures << " is not there; set RECKON_SHARED to the folder of fixtures";
  }
  const SafetensorsFolder sharded((fixtures / "v3-tiny-fp8").string());
  EXPECT_EQ(sharded.Get("model.layers.0.mlp.down_proj.weight").dtype, DType::kF8E4M3);
  EXPECT_TRUE(SafetensorsFolder((fixtures / "v3-tiny").string()).Has("lm_head.weight"));
  for (const char* name : {"v3-tiny", "grpo", "numerics", "sampling", "llama3-tiny"}) {
    EXPECT_FALSE(
        SafetensorsFile((fixtures / name / "expected.safetensors").string()).tensors().empty());
  }
}

}  // namespace
}  // namespace reckon
