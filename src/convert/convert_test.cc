#include "convert/convert.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "formats/safetensors.h"
#include "model/tiny_model.h"
#include "model/weights.h"
#include "tensor/block_quant.h"

namespace reckon {
namespace {

class ConvertTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "/reckon_convert_" + std::to_string(::getpid());
    std::filesystem::create_directories(root_ + "/model");
    ModelConfig config = TinyConfigWithYarnAndMtp();
    config.num_nextn_predict_layers = 1;
    Model model(config);
    model.Initialize(3);
    SaveModel(model, root_ + "/model");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::string Path(const std::string& name) const { return root_ + "/" + name; }
  static std::string HashOf(const std::string& path) { return WeightHash(*LoadModel(path)); }
  static ConvertOptions OfType(const std::string& type) {
    ConvertOptions options;
    options.type = type;
    return options;
  }

  std::string root_;
};

TEST_F(ConvertTest, KeepsEveryWeightFromFolderToGgufAndBack) {
  Convert(Path("model"), Path("a.gguf"), {});
  Convert(Path("a.gguf"), Path("b"), {});
  Convert(Path("a.gguf"), Path("c.gguf"), {});
  const std::string hash = HashOf(Path("model"));
  EXPECT_EQ(HashOf(Path("a.gguf")), hash);
  EXPECT_EQ(HashOf(Path("b")), hash);
  EXPECT_EQ(HashOf(Path("c.gguf")), hash);
}

TEST_F(ConvertTest, TakesTheOtherFilesAlongBetweenFolders) {
  WriteFileAtomically(Path("model/tokenizer.json"), "{}");
  ConvertOptions options;
  options.max_shard_bytes = 20000;
  Convert(Path("model"), Path("shards"), options);
  EXPECT_EQ(ReadFile(Path("shards/tokenizer.json")), "{}");
  EXPECT_TRUE(FileExists(Path("shards/model.safetensors.index.json")));
  EXPECT_EQ(HashOf(Path("shards")), HashOf(Path("model")));
}

TEST_F(ConvertTest, RoundsToTheTypeThatIsAskedFor) {
  Convert(Path("model"), Path("bf16"), OfType("bf16"));
  const SafetensorsFolder before(Path("model")), after(Path("bf16"));
  for (const std::string& name : before.names()) {
    const bool bias = name.ends_with("e_score_correction_bias");
    EXPECT_EQ(after.Get(name).dtype, bias ? DType::kF32 : DType::kBF16) << name;
    std::vector<float> x(static_cast<size_t>(NumElements(before.Get(name).shape))), y(x.size());
    ConvertToF32(before.Get(name), x.data());
    ConvertToF32(after.Get(name), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_LE(std::fabs(x[i] - y[i]), std::fabs(x[i]) / 256) << name;  // half a unit of 8 bits
    }
  }
}

TEST_F(ConvertTest, WritesFp8BlocksThatOpenWithTheValuesOfQuantizeWeights) {
  Convert(Path("model"), Path("fp8"), OfType("fp8"));
  const std::string name = "model.layers.0.self_attn.o_proj.weight";
  const Tensor w = SafetensorsFile(Path("model/model.safetensors")).LoadF32(name);
  const Tensor expected = Dequantize(QuantizeWeights(w.matrix()));
  const auto model = LoadModel(Path("fp8"));
  for (const Model::NamedTensor& tensor : model->named_tensors()) {
    if (tensor.name != name) continue;
    EXPECT_EQ(std::vector<float>(tensor.data, tensor.data + expected.num_elements()),
              std::vector<float>(expected.floats().begin(), expected.floats().end()));
  }
  EXPECT_EQ(ReadJsonFile(Path("fp8/config.json"))["quantization_config"]["quant_method"], "fp8");
}

TEST_F(ConvertTest, WritesTheSameBytesOnAnyNumberOfThreads) {
  ThreadPool pool(3);
  ConvertOptions options = OfType("q8_0");
  Convert(Path("model"), Path("one.gguf"), options);
  options.pool = &pool;
  Convert(Path("model"), Path("three.gguf"), options);
  std::filesystem::rename(Path("one.gguf"), Path("one"));
  EXPECT_EQ(ReadFile(Path("three.gguf")), ReadFile(Path("one")));
}

TEST_F(ConvertTest, LeavesNothingBehindWhenItFails) {
  EXPECT_THROW(Convert(Path("model"), Path("x.gguf"), OfType("q2_k")), Error);
  EXPECT_THROW(Convert(Path("model"), Path("x"), OfType("q8_0")), Error);
  EXPECT_THROW(Convert(Path("model"), Path("model"), {}), Error);
  EXPECT_THROW(Convert(Path("none"), Path("x"), {}), Error);
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(root_)) ++entries;
  EXPECT_EQ(entries, 1u);
}

TEST_F(ConvertTest, SynthesisesTheSameModelFromTheSameSeed) {
  const std::string config = Path("model/config.json");
  Synthesize(config, Path("a"), 1, OfType("f32"));
  Synthesize(config, Path("b.gguf"), 1, OfType("f32"));
  Synthesize(config, Path("c"), 2, OfType("f32"));
  EXPECT_EQ(HashOf(Path("a")), HashOf(Path("b.gguf")));
  EXPECT_NE(HashOf(Path("a")), HashOf(Path("c")));
}

// The query projection of the first layer is given the normed embedding of each token.
TEST_F(ConvertTest, ImportanceIsTheMeanSquareOfWhatAMatrixIsGiven) {
  const RuntimeOwner runtime(2);
  const auto model = LoadModel(Path("model"));
  const std::vector<std::vector<int32_t>> windows = {{1, 5, 9}, {2, 5}};
  const ImportanceRun run = CollectImportance(runtime.get(), *model, windows);
  WriteImportance(Path("imatrix.gguf"), run, "test");
  const Importance importance = Importance::FromFile(Path("imatrix.gguf"));
  const Tensor embedding =
      SafetensorsFile(Path("model/model.safetensors")).LoadF32("model.embed_tokens.weight");
  const int64_t hidden = model->config().hidden_size;
  std::vector<double> sums(static_cast<size_t>(hidden));
  for (const auto& window : windows) {
    for (const int32_t id : window) {
      const float* row = embedding.f32() + id * hidden;
      double square = 0;
      for (int64_t c = 0; c < hidden; ++c) square += double{row[c]} * row[c];
      const double mean = square / static_cast<double>(hidden) + model->config().rms_norm_eps;
      for (int64_t c = 0; c < hidden; ++c) {
        sums[static_cast<size_t>(c)] += double{row[c]} * row[c] / mean;
      }
    }
  }
  const std::span<const float> found = importance.Of("blk.0.attn_q_a.weight");
  ASSERT_EQ(found.size(), sums.size());
  for (size_t c = 0; c < sums.size(); ++c) {
    EXPECT_NEAR(found[c], sums[c] / 5, 1e-5 * (1 + sums[c]));  // f32 norms
  }
  const ImportanceSums& experts = run.sums.at("blk.1.ffn_down_exps.weight");
  int64_t rows = 0;
  for (const int64_t count : experts.rows) rows += count;
  EXPECT_EQ(rows, 5 * model->config().num_experts_per_tok);
  EXPECT_THROW(Importance::FromFile(Path("model/config.json")), Error);
}

}  // namespace
}  // namespace reckon
