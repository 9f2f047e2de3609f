#include "formats/gguf.h"

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

namespace reckon {
namespace {

using ::testing::HasSubstr;

template <typename T>
std::string Raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
std::string Text(std::string_view text) { return Raw<uint64_t>(text.size()) + std::string(text); }
std::string U32Key(std::string_view key, uint32_t value) {
  return Text(key) + Raw<uint32_t>(4) + Raw(value);
}
// ggml order of dimensions, as in the file.
std::string TensorInfo(std::string_view name, const std::vector<uint64_t>& ne, uint32_t type,
                       uint64_t offset) {
  std::string info = Text(name) + Raw(static_cast<uint32_t>(ne.size()));
  for (const uint64_t n : ne) info += Raw(n);
  return info + Raw(type) + Raw(offset);
}
std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

std::vector<float> ReadFloats(const std::string& path) {
  const std::string text = ReadFile(path);
  std::vector<float> values(text.size() / sizeof(float));
  std::memcpy(values.data(), text.data(), values.size() * sizeof(float));
  return values;
}

std::vector<float> Dequantized(const StoredTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.rows() * tensor.columns()));
  for (int64_t r = 0; r < tensor.rows(); ++r) {
    DequantizeRow(tensor.format, tensor.row(r), tensor.columns(),
                  values.data() + r * tensor.columns());
  }
  return values;
}

class GgufTest : public FileCase<GgufFile> {
 protected:
  GgufTest() : FileCase("model.gguf") {}

  // Header, keys, descriptions, padding to 32, and that many bytes of data.
  void WriteRaw(const std::string& keys, uint64_t num_keys, const std::string& infos,
                uint64_t num_tensors, size_t data_bytes, uint32_t version = 3) {
    std::string file = "GGUF" + Raw(version) + Raw(num_tensors) + Raw(num_keys) + keys + infos;
    file.resize((file.size() + 31) / 32 * 32);
    WriteFileAtomically(path_, file + std::string(data_bytes, '\1'));
  }
  std::string FailureOfKeys(const std::string& keys, uint64_t num_keys,
                            ErrorKind kind = ErrorKind::kCorrupt) {
    WriteRaw(keys, num_keys, "", 0, 64);
    return FailureOfReading(kind);
  }
  std::string FailureOfTensors(const std::string& infos, uint64_t count, size_t data_bytes,
                               ErrorKind kind = ErrorKind::kCorrupt) {
    WriteRaw("", 0, infos, count, data_bytes);
    return FailureOfReading(kind);
  }
};

constexpr const char* kData = RECKON_SOURCE_DIR "/tests/data/";

// Random bytes in every format, and llama-quantize's own blocks, against the gguf package
// (tools/make_gguf_fixtures.py). Equal bits: both round the same products.
TEST(GgufBlocks, AreWhatThePythonPackageSays) {
  const GgufFile file(kData + std::string("blocks.gguf"));
  const std::vector<float> expected = ReadFloats(kData + std::string("blocks.f32"));
  size_t at = 0;
  int formats = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    SCOPED_TRACE(name);
    const std::vector<float> values = Dequantized(tensor);
    ASSERT_LE(at + values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(values[i], expected[at + i]) << "element " << i;
    }
    at += values.size();
    formats += name.find(".random") != name.npos ? 1 : 0;
  }
  EXPECT_EQ(at, expected.size());
  EXPECT_EQ(formats, kNumStorageFormats - 1) << "every format but F32";
}

// The weight of QuantizeRow: our blocks have no larger error by it than llama-quantize's, and by
// plain squares no more than a twentieth above (what the weight costs there).
TEST(GgufBlocks, AreQuantisedNoWorseThanByLlamaQuantize) {
  const GgufFile file(kData + std::string("blocks.gguf"));
  const std::vector<float> row = ReadFloats(kData + std::string("source.f32"));
  double mean = 0;
  for (float x : row) mean += static_cast<double>(x) * x / static_cast<double>(row.size());
  for (const char* name : {"Q8_0", "Q4_0", "Q5_0", "Q4_K", "Q6_K"}) {
    const StoredTensor& theirs = file.Get(std::string(name) + ".quantized");
    std::vector<std::byte> blocks(theirs.bytes.size());
    QuantizeRow(theirs.format, row, {}, blocks.data());
    const std::vector<float> a = Dequantized({theirs.format, theirs.shape, blocks});
    const std::vector<float> b = Dequantized(theirs);
    double ours_weighted = 0, theirs_weighted = 0, ours_plain = 0, theirs_plain = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      const double weight = std::sqrt(mean + row[i] * row[i]);
      ours_plain += std::pow(a[i] - row[i], 2);
      theirs_plain += std::pow(b[i] - row[i], 2);
      ours_weighted += weight * std::pow(a[i] - row[i], 2);
      theirs_weighted += weight * std::pow(b[i] - row[i], 2);
    }
    RecordProperty(std::string(name) + "_weighted",
                   std::to_string(ours_weighted / theirs_weighted));
    RecordProperty(std::string(name) + "_plain", std::to_string(ours_plain / theirs_plain));
    EXPECT_LE(ours_weighted, theirs_weighted) << name;
    EXPECT_LE(ours_plain, 1.05 * theirs_plain) << name;
  }
}

TEST_F(GgufTest, ReadsBackWhatItWrote) {
  GgufMetadata metadata;
  metadata.AddString("general.architecture", "llama");
  metadata.AddU32("u32", 7);
  metadata.AddI32("i32", -7);
  metadata.AddU64("u64", uint64_t{1} << 40);
  metadata.AddF32("f32", 0.5f);
  metadata.AddBool("yes", true);
  const std::vector<std::string_view> words = {"a", "", "bc"};
  metadata.AddStrings("words", words);
  const std::vector<float> scores = {1, -2};
  metadata.AddFloats("scores", scores);
  const std::vector<int32_t> types = {3, 1};
  metadata.AddInts("types", types);
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::string q8(34 * 4, '\2');
  WriteGguf(path_, metadata,
            {{"b", StorageFormat::kF32, {2, 3}}, {"a", StorageFormat::kQ8_0, {2, 2, 32}}},
            [&](size_t i, const WriteBytes& write) {
              if (i == 0) {
                write(std::as_bytes(std::span<const float>(values)).first(8));
                write(std::as_bytes(std::span<const float>(values)).subspan(8));
              } else {
                write(BytesOf(q8));
              }
            });
  const GgufFile file(path_);
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.String("general.architecture"), "llama");
  EXPECT_EQ(file.Int("u32"), 7);
  EXPECT_EQ(file.Int("i32"), -7);
  EXPECT_EQ(file.Int("u64"), int64_t{1} << 40);
  EXPECT_EQ(file.Number("f32"), 0.5);
  EXPECT_EQ(file.Number("i32"), -7);
  EXPECT_TRUE(file.Bool("yes"));
  EXPECT_EQ(file.Strings("words"), words);
  EXPECT_EQ(file.Floats("scores"), scores);
  EXPECT_EQ(file.Floats("types"), (std::vector<float>{3, 1}));
  EXPECT_EQ(file.Ints("types"), (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(file.ArraySize("words"), 3u);
  EXPECT_EQ(file.metadata()[1].first, "u32") << "in the order of the file";
  EXPECT_EQ(file.Get("b").shape, (Shape{2, 3}));
  EXPECT_EQ(Dequantized(file.Get("b")), values);
  EXPECT_EQ(file.Get("a").rows(), 4);
  EXPECT_EQ(file.Get("a").bytes.size(), q8.size());
  EXPECT_FALSE(file.Has("c"));
  EXPECT_THROW(file.Get("c"), Error);

  GgufMetadata copy;  // of every key; the file comes out the same
  for (const auto& [key, value] : file.metadata()) copy.Add(key, value);
  EXPECT_EQ(copy.bytes(), metadata.bytes());
}

TEST_F(GgufTest, ReadsVersion2AndNestedArrays) {
  // {{1, 2}, {}} of u8
  const std::string nested = Text("n") + Raw<uint32_t>(9) + Raw<uint32_t>(9) + Raw<uint64_t>(2) +
                             Raw<uint32_t>(0) + Raw<uint64_t>(2) + "\1\2" + Raw<uint32_t>(0) +
                             Raw<uint64_t>(0);
  WriteRaw(nested + U32Key("k", 5), 2, TensorInfo("t", {3}, 0, 0), 1, 12, 2);
  const GgufFile file(path_);
  EXPECT_EQ(file.version(), 2u);
  EXPECT_EQ(file.Find("n")->count, 2u);
  EXPECT_EQ(file.Find("n")->element_type, GgufType::kArray);
  EXPECT_EQ(file.Int("k"), 5);
  EXPECT_EQ(file.Get("t").shape, Shape{3});
  EXPECT_THROW(file.Ints("n"), Error);
  EXPECT_THROW(file.Strings("n"), Error);
}

TEST_F(GgufTest, NamesFileAndKeyOfAValueOfAnotherType) {
  WriteRaw(U32Key("k", 5), 1, "", 0, 0);
  const GgufFile file(path_);
  EXPECT_EQ(file.Int("absent", 3), 3);
  EXPECT_EQ(file.String("absent", "x"), "x");
  EXPECT_TRUE(file.Strings("absent", true).empty());
  const auto failure = [&](const auto& get) -> std::string {
    try {
      get();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path_));
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(failure([&] { file.String("k"); }), HasSubstr("\"k\": is u32 where a string"));
  EXPECT_THAT(failure([&] { file.Bool("k"); }), HasSubstr("a bool"));
  EXPECT_THAT(failure([&] { file.Floats("k"); }), HasSubstr("an array of numbers"));
  EXPECT_THAT(failure([&] { file.Int("absent"); }), HasSubstr("has no key \"absent\""));
}

TEST_F(GgufTest, RefusesBadHeaders) {
  WriteFileAtomically(path_, "");
  EXPECT_THAT(FailureOfReading(), HasSubstr("too short"));
  WriteFileAtomically(path_, "GGUF\3");
  EXPECT_THAT(FailureOfReading(), HasSubstr("too short"));
  WriteFileAtomically(path_, std::string(64, 'x'));
  EXPECT_THAT(FailureOfReading(), HasSubstr("\"GGUF\""));
  for (uint32_t version : {0u, 1u, 4u}) {
    WriteRaw("", 0, "", 0, 0, version);
    EXPECT_THAT(FailureOfReading(ErrorKind::kUnsupported), HasSubstr("version"));
  }
  WriteRaw("", 0, "", 0, 0, 0x03000000);
  EXPECT_THAT(FailureOfReading(ErrorKind::kUnsupported), HasSubstr("big-endian"));
  std::filesystem::remove(path_);
  FailureOfReading(ErrorKind::kNotFound);
}

TEST_F(GgufTest, RefusesCountsBeyondTheFileWithoutAllocating) {
  for (const uint64_t count : {uint64_t{1} << 20, uint64_t{1} << 40, ~uint64_t{0}}) {
    WriteRaw("", count, "", 0, 0);
    EXPECT_THAT(FailureOfReading(), HasSubstr("count is wrong"));
    WriteRaw("", 0, "", count, 0);
    EXPECT_THAT(FailureOfReading(), HasSubstr("count is wrong"));
    // As many strings, numbers and arrays.
    for (const uint32_t type : {0u, 4u, 8u, 9u, 12u}) {
      EXPECT_THAT(FailureOfKeys(Text("k") + Raw<uint32_t>(9) + Raw(type) + Raw(count), 1),
                  HasSubstr("array of " + std::to_string(count)));
    }
  }
}

TEST_F(GgufTest, RefusesStringsBeyondTheFile) {
  const std::string huge = Raw(uint64_t{1} << 60);
  EXPECT_THAT(FailureOfKeys(huge + "k", 1), HasSubstr("at most 65535"));
  EXPECT_THAT(FailureOfKeys(Text("k") + Raw<uint32_t>(8) + huge, 1), HasSubstr("\"k\": string of"));
  EXPECT_THAT(FailureOfKeys(Text("k") + Raw<uint32_t>(9) + Raw<uint32_t>(8) + Raw<uint64_t>(2) +
                                Text("a") + Raw(~uint64_t{0}),
                            1),
              HasSubstr("\"k\": string of"));
  EXPECT_THAT(FailureOfTensors(huge + std::string(64, 'x'), 1, 0), HasSubstr("tensor 1 of 1"));
}

TEST_F(GgufTest, RefusesDeeplyNestedArrays) {
  std::string value = Text("deep") + Raw<uint32_t>(9);
  for (int depth = 0; depth < 10000; ++depth) value += Raw<uint32_t>(9) + Raw<uint64_t>(1);
  EXPECT_THAT(FailureOfKeys(value, 1), HasSubstr("nested more than"));
}

TEST_F(GgufTest, RefusesUnknownTypesAndBools) {
  EXPECT_THAT(FailureOfKeys(Text("k") + Raw<uint32_t>(13) + std::string(8, '\0'), 1),
              HasSubstr("\"k\": value type 13"));
  EXPECT_THAT(FailureOfKeys(Text("k") + Raw<uint32_t>(7) + "\2", 1), HasSubstr("bool of value 2"));
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {256}, 16, 0), 1, 256, ErrorKind::kUnsupported),
              HasSubstr("\"t\": ggml type 16"));
}

TEST_F(GgufTest, RefusesDuplicates) {
  EXPECT_THAT(FailureOfKeys(U32Key("k", 1) + U32Key("j", 1) + U32Key("k", 1), 3),
              HasSubstr("key \"k\": is there twice"));
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {8}, 0, 0) + TensorInfo("t", {8}, 0, 32), 2, 64),
              HasSubstr("tensor \"t\": is there twice"));
}

TEST_F(GgufTest, RefusesBadAlignments) {
  for (const uint32_t alignment : {0u, 3u, 24u, 1u << 31}) {
    EXPECT_THAT(FailureOfKeys(U32Key("general.alignment", alignment), 1),
                HasSubstr("not a power of two"));
  }
  EXPECT_THAT(FailureOfKeys(Text("general.alignment") + Raw<uint32_t>(10) + Raw<uint64_t>(32), 1),
              HasSubstr("where u32 is wanted"));
  WriteRaw(U32Key("general.alignment", 16), 1,
           TensorInfo("a", {1}, 0, 0) + TensorInfo("b", {1}, 0, 16), 2, 20);
  EXPECT_EQ(GgufFile(path_).tensors().size(), 2u);
}

TEST_F(GgufTest, RefusesShapesThatWrapAroundOrAreNoBlocks) {
  const uint64_t big = uint64_t{1} << 32;
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {big, big}, 0, 0), 1, 64), HasSubstr("overflows"));
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {4, big, big, 1}, 0, 0), 1, 64),
              HasSubstr("overflows"));
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {uint64_t{1} << 62, 4}, 0, 0), 1, 64),
              HasSubstr("overflows"));
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {~uint64_t{0}}, 0, 0), 1, 64),
              HasSubstr("a dimension of"));
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {0}, 0, 0), 1, 64), HasSubstr("a dimension of 0"));
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {1, 1, 1, 1, 1}, 0, 0), 1, 64),
              HasSubstr("5 dimensions"));
  EXPECT_THAT(FailureOfTensors(TensorInfo("t", {48}, 8, 0), 1, 64), HasSubstr("whole blocks"));
}

TEST_F(GgufTest, RefusesOffsetsBeyondTheFileUnalignedOverlappingOrHoled) {
  const auto two = [&](uint64_t first, uint64_t second, size_t data) {
    return FailureOfTensors(TensorInfo("a", {8}, 0, first) + TensorInfo("b", {8}, 0, second), 2,
                            data);
  };
  EXPECT_THAT(two(0, 36, 96), HasSubstr("\"b\": offset 36 is not a multiple"));
  EXPECT_THAT(two(0, 0, 96), HasSubstr("overlaps"));
  EXPECT_THAT(two(0, 96, 160), HasSubstr("\"b\": leaves a hole of 64"));
  EXPECT_THAT(two(32, 64, 160), HasSubstr("\"a\": leaves a hole of 32"));
  EXPECT_THAT(two(0, 32, 60), HasSubstr("\"b\": 32 bytes at 32 in 60 bytes of data"));
  EXPECT_THAT(two(0, ~uint64_t{31}, 96), HasSubstr("cut short"));
}

// Every prefix of a good file is refused, or holds all its tensors.
TEST_F(GgufTest, RefusesTruncatedFiles) {
  GgufMetadata metadata;
  metadata.AddString("general.architecture", "llama");
  const std::vector<std::string_view> words = {"a", "bc"};
  metadata.AddStrings("words", words);
  const std::string data(64, '\1');
  WriteGguf(
      path_, metadata, {{"a", StorageFormat::kF32, {4}}, {"b", StorageFormat::kF32, {16}}},
      [&](size_t i, const WriteBytes& write) { write(BytesOf(data).first(i == 0 ? 16 : 64)); });
  const std::string whole = ReadFile(path_);
  for (size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(path_, std::ios::binary) << whole.substr(0, size);
    EXPECT_THAT(FailureOfReading(), HasSubstr(path_)) << size;
  }
}

// Whatever a damaged file says, the answer is tensors within the file or our own error.
TEST_F(GgufTest, MeetsDamagedFilesWithAnError) {
  const std::string whole = ReadFile(kData + std::string("blocks.gguf"));
  Rng rng(6, {StreamName("damage")});
  for (int round = 0; round < 1000; ++round) {
    std::string damaged = whole;
    for (int64_t changes = 1 + rng.Below(3); changes > 0; --changes) {
      const auto at = static_cast<size_t>(rng.Below(rng.Bernoulli(0.9) ? 1500 : 9000));
      if (rng.Bernoulli(0.05)) {
        damaged.resize(at + 1);
      } else if (at < damaged.size()) {
        damaged[at] = static_cast<char>(rng.Bernoulli(0.3) ? 0xFF : rng.Below(256));
      }
    }
    std::ofstream(path_, std::ios::binary) << damaged;
    try {
      const GgufFile file(path_);
      for (const auto& [key, value] : file.metadata()) file.ArraySize(key);
      for (const auto& [name, tensor] : file.tensors()) Dequantized(tensor);
    } catch (const Error&) {
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST_F(GgufTest, LeavesNothingBehindWhenWritingFails) {
  const FillTensor short_fill = [](size_t, const WriteBytes& write) { write(BytesOf("1234")); };
  const GgufTensorSpec one = {"a", StorageFormat::kF32, {4}};
  EXPECT_THROW(WriteGguf(path_, {}, {one}, short_fill), Error);
  EXPECT_THROW(WriteGguf(path_, {}, {one, one}, short_fill), Error);
  EXPECT_THROW(WriteGguf(path_, {}, {{"a", StorageFormat::kQ4_K, {64}}}, short_fill), Error);
  EXPECT_THROW(WriteGguf(path_, {}, {{"a", StorageFormat::kF32, {1, 1, 1, 1, 1}}}, short_fill),
               Error);
  EXPECT_THROW(
      WriteGguf(path_, {}, {one},
                [](size_t, const WriteBytes&) { Throw(ErrorKind::kCancelled, "stopped"); }),
      Error);
  GgufMetadata metadata;
  metadata.AddU32("k", 1);
  EXPECT_THROW(metadata.AddU32("k", 2), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

class GgufModelTest : public GgufTest {
 protected:
  std::string PartPath(int part, int parts) {
    char name[64];
    std::snprintf(name, sizeof(name), "/m-%05d-of-%05d.gguf", part, parts);
    return folder_ + name;
  }
  void WritePart(int part, int parts, const std::string& tensor, int no, int tensors) {
    GgufMetadata metadata;
    metadata.AddU32("split.no", static_cast<uint32_t>(no));
    metadata.AddU32("split.count", static_cast<uint32_t>(parts));
    metadata.AddI32("split.tensors.count", tensors);
    WriteGguf(PartPath(part, parts), metadata, {{tensor, StorageFormat::kF32, {1}}},
              [](size_t, const WriteBytes& write) { write(BytesOf("abcd")); });
  }
  std::string Failure(const std::string& path) {
    try {
      GgufModel model(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(GgufModelTest, FindsTensorsInAllFilesOfASet) {
  WritePart(1, 2, "a", 0, 2);
  WritePart(2, 2, "b", 1, 2);
  for (int part : {1, 2}) {
    const GgufModel model(PartPath(part, 2));
    EXPECT_EQ(model.names(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(model.Get("b").shape, Shape{1});
    EXPECT_THROW(model.Get("c"), Error);
    EXPECT_EQ(model.metadata().Int("split.no"), 0);
  }
}

TEST_F(GgufModelTest, NamesWhatIsMissingOrContradictory) {
  WritePart(1, 2, "a", 0, 2);
  EXPECT_THAT(Failure(PartPath(1, 2)), HasSubstr("m-00002-of-00002.gguf: missing"));
  WritePart(2, 2, "a", 1, 2);
  EXPECT_THAT(Failure(PartPath(1, 2)), HasSubstr("tensor \"a\" is also in"));
  WritePart(2, 2, "b", 0, 2);
  EXPECT_THAT(Failure(PartPath(1, 2)), HasSubstr("another set"));
  WritePart(2, 2, "b", 1, 2);
  WritePart(1, 2, "a", 0, 3);
  EXPECT_THAT(Failure(PartPath(1, 2)), HasSubstr("split.tensors.count is 3"));
  std::filesystem::rename(PartPath(1, 2), path_);
  EXPECT_THAT(Failure(path_), HasSubstr("one of 2 files"));
}

TEST(GgufShared, VocabulariesAndModelsAreRead) {
  const char* shared = std::getenv("RECKON_SHARED");
  const std::filesystem::path data =
      std::filesystem::path(shared != nullptr ? shared : RECKON_SOURCE_DIR "/../shared") / "data";
  if (!std::filesystem::is_directory(data)) {
    GTEST_SKIP() << data << " is not there; set RECKON_SHARED to the folder of fixtures";
  }
  const GgufFile words(data / "tokenizers/ggml/ggml-vocab-deepseek-llm.gguf");
  EXPECT_EQ(words.Strings("tokenizer.ggml.tokens").size(), 102400u);
  EXPECT_EQ(words.Ints("tokenizer.ggml.token_type").size(), 102400u);
  EXPECT_EQ(words.Strings("tokenizer.ggml.merges")[0], "\u0120 \u0120");
  const GgufModel stories((data / "weights/stories260k/stories260k.f32.gguf").string());
  EXPECT_EQ(stories.Get("blk.0.ffn_down.weight").shape, (Shape{64, 172}));
  EXPECT_EQ(stories.metadata().Int("llama.embedding_length"), 64);
}

}  // namespace
}  // namespace reckon
