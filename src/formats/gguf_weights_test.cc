#include "formats/gguf_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/gguf_config.h"
#include "formats/safetensors.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

TEST(GgufNames, MapBothWays) {
  struct Case {
    GgufArchitecture architecture;
    const char *hf, *gguf;
  };
  for (const auto& [architecture, hf, gguf] : {
           Case{GgufArchitecture::kLlama, "model.embed_tokens.weight", "token_embd.weight"},
           {GgufArchitecture::kLlama, "lm_head.weight", "output.weight"},
           {GgufArchitecture::kLlama, "model.layers.0.self_attn.q_proj.weight",
            "blk.0.attn_q.weight"},
           {GgufArchitecture::kQwen2, "model.layers.31.self_attn.k_proj.bias",
            "blk.31.attn_k.bias"},
           {GgufArchitecture::kDeepseek2, "model.layers.3.mlp.gate.e_score_correction_bias",
            "blk.3.exp_probs_b.bias"},
           {GgufArchitecture::kDeepseek2, "model.layers.60.self_attn.kv_a_proj_with_mqa.weight",
            "blk.60.attn_kv_a_mqa.weight"},
           {GgufArchitecture::kDeepseek2, "model.layers.61.shared_head.head.weight",
            "blk.61.nextn.shared_head_head.weight"},
       }) {
    EXPECT_EQ(PlaceInGguf(architecture, hf)->name, gguf);
    EXPECT_EQ(HuggingFaceName(architecture, gguf), hf);
  }
  const auto expert =
      PlaceInGguf(GgufArchitecture::kDeepseek2, "model.layers.3.mlp.experts.255.up_proj.weight");
  EXPECT_EQ(expert->name, "blk.3.ffn_up_exps.weight");
  EXPECT_EQ(expert->expert, 255);
  const auto merged = HuggingFaceName(GgufArchitecture::kDeepseek2, "blk.3.ffn_up_exps.weight");
  EXPECT_EQ(WithExpert(*merged, 7), "model.layers.3.mlp.experts.7.up_proj.weight");
}

TEST(GgufNames, KnowWhatAnArchitectureDoesNotHave) {
  for (const char* name :
       {"", "model.layers.", "model.layers.x.input_layernorm.weight",
        "model.layers.01.input_layernorm.weight", "model.layers.99999999999.input_layernorm.weight",
        "model.layers.1", "model.layers.1.mlp.experts.0.up_proj.weight",
        "model.layers.1.self_attn.kv_b_proj.weight"}) {
    EXPECT_FALSE(PlaceInGguf(GgufArchitecture::kLlama, name)) << name;
  }
  EXPECT_FALSE(HuggingFaceName(GgufArchitecture::kLlama, "rope_freqs.weight"));
  EXPECT_FALSE(HuggingFaceName(GgufArchitecture::kLlama, "blk.0.ffn_up_exps.weight"));
  EXPECT_FALSE(HuggingFaceName(GgufArchitecture::kDeepseek2, "blk.0.attn_k_b.weight"));
}

TEST(GgufRowOrder, PairsTheHalvesOfAHead) {
  const std::vector<float> rows = {0, 1, 2, 3, 10, 11, 12, 13};  // 2 heads of 4 rows of 1
  std::vector<float> stored(8), back(8);
  ToGgufRowOrder(std::as_bytes(std::span<const float>(rows)), 8, 2,
                 std::as_writable_bytes(std::span(stored)).data());
  EXPECT_EQ(stored, (std::vector<float>{0, 2, 1, 3, 10, 12, 11, 13}));
  FromGgufRowOrder(std::as_bytes(std::span<const float>(stored)), 8, 2,
                   std::as_writable_bytes(std::span(back)).data());
  EXPECT_EQ(back, rows);
  EXPECT_THROW(ToGgufRowOrder(std::as_bytes(std::span<const float>(rows)), 8, 3,
                              std::as_writable_bytes(std::span(stored)).data()),
               Error);
}

TEST(KvB, SplitsAndJoins) {
  const KvBShape shape = {2, 3, 4, 5};
  std::vector<float> whole(2 * 7 * 5), keys(2 * 5 * 3), values(2 * 4 * 5), back(whole.size());
  std::iota(whole.begin(), whole.end(), 0.f);
  SplitKvB(shape, whole.data(), keys.data(), values.data());
  EXPECT_EQ(keys[1], whole[5]) << "head 0, rank 0, nope 1";
  EXPECT_EQ(values[0], whole[3 * 5]) << "head 0, v 0, rank 0";
  JoinKvB(shape, keys.data(), values.data(), back.data());
  EXPECT_EQ(back, whole);
}

TEST(GgufFormats, AreChosenAsLlamaQuantizeDoes) {
  const auto chosen = [](const char* name, Shape shape, StorageFormat wanted) {
    return GgufFormatFor({name, StorageFormat::kF32, std::move(shape)}, wanted, 24, false);
  };
  EXPECT_EQ(chosen("blk.0.attn_norm.weight", {256}, StorageFormat::kQ8_0), StorageFormat::kF32);
  EXPECT_EQ(chosen("blk.0.ffn_gate_inp.weight", {8, 256}, StorageFormat::kQ8_0),
            StorageFormat::kF32);
  EXPECT_EQ(chosen("blk.0.attn_q.weight", {8, 256}, StorageFormat::kQ4_K), StorageFormat::kQ4_K);
  EXPECT_EQ(chosen("output.weight", {8, 256}, StorageFormat::kQ4_K), StorageFormat::kQ6_K);
  EXPECT_EQ(chosen("output.weight", {8, 64}, StorageFormat::kQ4_0), StorageFormat::kQ8_0);
  EXPECT_EQ(chosen("output.weight", {8, 256}, StorageFormat::kQ8_0), StorageFormat::kQ8_0);
  EXPECT_EQ(chosen("blk.0.attn_v.weight", {8, 256}, StorageFormat::kQ4_K), StorageFormat::kQ6_K);
  EXPECT_EQ(chosen("blk.4.attn_v.weight", {8, 256}, StorageFormat::kQ4_K), StorageFormat::kQ4_K);
  EXPECT_EQ(chosen("blk.5.ffn_down.weight", {8, 128}, StorageFormat::kQ4_K), StorageFormat::kQ8_0);
  EXPECT_EQ(chosen("blk.0.attn_k_b.weight", {2, 8, 128}, StorageFormat::kQ4_K),
            StorageFormat::kQ5_0);
}

class GgufWeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("RECKON_SHARED");
    shared_ = shared != nullptr ? shared : RECKON_SOURCE_DIR "/../shared";
    if (!std::filesystem::is_directory(shared_ / "fixtures")) {
      GTEST_SKIP() << shared_ << " is not there; set RECKON_SHARED to the folder of fixtures";
    }
    folder_ = ::testing::TempDir() + "/reckon_gguf_weights_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::vector<float> Floats(const TensorView& view) {
    std::vector<float> values(static_cast<size_t>(NumElements(view.shape)));
    ConvertToF32(view, values.data());
    return values;
  }
  static std::vector<float> Floats(const StoredTensor& tensor) {
    std::vector<float> values(static_cast<size_t>(NumElements(tensor.shape)));
    for (int64_t r = 0; r < tensor.rows(); ++r) {
      DequantizeRow(tensor.format, tensor.row(r), tensor.columns(),
                    values.data() + r * tensor.columns());
    }
    return values;
  }
  static ReadRow RowsOf(const SafetensorsFolder& source) {
    return [&source](const std::string& name, int64_t row, std::span<float> out) {
      TensorView view = source.Get(name);
      ASSERT_EQ(static_cast<int64_t>(out.size()), view.shape.back()) << name;
      const size_t bytes = out.size() * SizeOf(view.dtype);
      view.bytes = view.bytes.subspan(static_cast<size_t>(row) * bytes, bytes);
      view.shape = {view.shape.back()};
      ConvertToF32(view, out.data());
    };
  }

  // The folder as a GGUF file whose matrices are in `wanted`.
  std::string Write(const SafetensorsFolder& source, const Json& config, StorageFormat wanted,
                    ThreadPool* pool = nullptr) {
    std::map<std::string, Shape> shapes;
    for (const auto& name : source.names()) shapes[name] = source.Get(name).shape;
    std::vector<GgufPlanned> plan = PlanGguf(config, shapes);
    std::vector<GgufTensorSpec> specs;
    for (GgufPlanned& tensor : plan) {
      tensor.spec.format = GgufFormatFor(tensor.spec, wanted, 4, false);
      specs.push_back(tensor.spec);
    }
    std::string path = folder_ + "/model.gguf";
    WriteGguf(path, MetadataFromConfig(config, "test"), specs,
              [&](size_t i, const WriteBytes& write) {
                FillPlanned(plan[i], config, RowsOf(source), {}, write, pool);
              });
    return path;
  }

  std::filesystem::path shared_;
  std::string folder_;
};

TEST_F(GgufWeightsTest, AreThoseOfTheFolderTheyWereWrittenFrom) {
  for (const char* name :
       {"fixtures/v3-tiny", "fixtures/v2-lite-tiny", "fixtures/v2-tiny", "fixtures/qwen2-tiny",
        "fixtures/qwen2-tiny-tied", "fixtures/llama3-tiny", "data/weights/stories260k"}) {
    SCOPED_TRACE(name);
    const std::string folder = (shared_ / name).string();
    const SafetensorsFolder source(folder);
    const Json config = ReadJsonFile(folder + "/config.json");
    const GgufModel model(Write(source, config, StorageFormat::kF32));
    const GgufWeights weights(model);
    std::vector<std::string> names = source.names();
    if (config.value("tie_word_embeddings", false)) std::erase(names, "lm_head.weight");
    EXPECT_EQ(weights.names(), names);
    for (const std::string& tensor : names) {
      const GgufWeights::Loaded loaded = weights.Get(tensor);
      EXPECT_EQ(loaded.tensor.shape, source.Get(tensor).shape) << tensor;
      EXPECT_EQ(Floats(loaded.tensor), Floats(source.Get(tensor))) << tensor;
    }
    // Every key that the file can hold comes back as it was.
    for (auto item = weights.config().begin(); item != weights.config().end(); ++item) {
      if (!config.contains(item.key()) || item.key() == "rope_scaling") continue;
      EXPECT_EQ(item.value(), config[item.key()]) << item.key();
    }
    const Json scaling = config.value("rope_scaling", Json());
    if (!scaling.is_object()) continue;
    for (auto item = scaling.begin(); item != scaling.end(); ++item) {
      EXPECT_EQ(weights.config()["rope_scaling"][item.key()], item.value()) << item.key();
    }
  }
}

TEST_F(GgufWeightsTest, OfALlamaCppFileAreThoseOfTheFolder) {
  for (const std::string name : {"stories260k", "babyllama"}) {
    const std::string folder = (shared_ / "data/weights" / name).string();
    const SafetensorsFolder source(folder);
    const GgufModel model(folder + "/" + name + ".f32.gguf");
    const GgufWeights weights(model);
    for (const std::string& tensor : weights.names()) {
      EXPECT_EQ(Floats(weights.Get(tensor).tensor), Floats(source.Get(tensor))) << tensor;
    }
    EXPECT_EQ(weights.names().size() + (source.Has("lm_head.weight") ? 1 : 0),
              source.names().size());
    const Json config = ReadJsonFile(folder + "/config.json");
    for (const char* key :
         {"hidden_size", "intermediate_size", "num_hidden_layers", "head_dim",
          "num_attention_heads", "num_key_value_heads", "rms_norm_eps", "rope_theta", "vocab_size",
          "tie_word_embeddings", "bos_token_id", "rope_scaling", "attention_bias"}) {
      EXPECT_EQ(weights.config()[key], config[key]) << key;
    }
  }
}

TEST_F(GgufWeightsTest, QuantiseTheSameWithAnyNumberOfThreads) {
  const std::string folder = (shared_ / "data/weights/stories260k").string();
  const SafetensorsFolder source(folder);
  const Json config = ReadJsonFile(folder + "/config.json");
  const std::string alone = ReadFile(Write(source, config, StorageFormat::kQ4_K));
  ThreadPool pool(2);
  EXPECT_EQ(ReadFile(Write(source, config, StorageFormat::kQ4_K, &pool)), alone);
}

TEST_F(GgufWeightsTest, AreRefusedWhereTheFileDoesNotFitItsConfig) {
  const std::string folder = (shared_ / "fixtures/v2-lite-tiny").string();
  const SafetensorsFolder source(folder);
  Json config = ReadJsonFile(folder + "/config.json");
  std::map<std::string, Shape> shapes;
  for (const auto& name : source.names()) shapes[name] = source.Get(name).shape;
  const auto failure = [&](std::map<std::string, Shape> tensors) -> std::string {
    try {
      PlanGguf(config, tensors);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  auto changed = shapes;
  changed.erase("model.layers.1.mlp.experts.3.up_proj.weight");
  EXPECT_THAT(failure(changed), HasSubstr("expert 3 of tensor \"blk.1.ffn_up_exps.weight\""));
  changed = shapes;
  changed["model.layers.1.odd.weight"] = {1};
  EXPECT_THAT(failure(changed), HasSubstr("\"model.layers.1.odd.weight\" has no place"));
  changed = shapes;
  changed["model.layers.1.self_attn.kv_b_proj.weight"] = {1, 32};
  EXPECT_THAT(failure(changed), HasSubstr("kv_b_proj.weight\": shape [1, 32]"));
  config["model_type"] = "gpt2";
  EXPECT_THAT(failure(shapes), HasSubstr("\"gpt2\""));
  EXPECT_THROW(MetadataFromConfig(config, "x"), Error);
}

}  // namespace
}  // namespace reckon
