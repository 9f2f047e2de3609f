#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "model/gguf_case.h"
#include "model/tiny_model.h"
#include "model/weights.h"

namespace reckon {
namespace {

ModelConfig Grouped(const char* model_type, bool bias) {
  ModelConfig c;
  c.model_type = model_type;
  c.vocab_size = 29;
  c.hidden_size = 24;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 6;
  c.intermediate_size = 40;
  c.attention_bias = bias;
  c.attention_o_bias = bias && c.model_type == "llama";
  c.initializer_range = 0.3;
  c.max_position_embeddings = 128;
  return c;
}

ModelConfig Latent() {
  ModelConfig c = TinyConfig();
  c.num_nextn_predict_layers = 1;
  return c;
}

struct Case {
  const char* name;
  ModelConfig config;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class GgufSource : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "/reckon_gguf_source_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The model's weights, vectors included, differ everywhere.
  static void Randomise(Model& model) {
    model.Initialize(5);
    float value = 0.5f;
    for (const Model::NamedTensor& tensor : model.named_tensors()) {
      if (tensor.shape.size() > 1) continue;
      for (int64_t i = 0; i < tensor.shape[0]; ++i) {
        tensor.data[i] = value = value < 1.4f ? value + 0.07f : 0.5f;
      }
    }
    model.Changed();
  }

  std::vector<float> Logits(Model& model) {
    const std::vector<int32_t> ids = {3, 14, 15, 9, 2, 6};
    Batch batch;
    batch.Append(ids);
    const Variable logits = model.Logits(rt_, nullptr, model.Forward(rt_, nullptr, batch));
    return {logits.value().data, logits.value().data + logits.rows() * logits.cols()};
  }

  std::string folder_;
  ThreadPool pool_{1};
  Runtime rt_{&pool_, FindKernelTable(Isa::kScalar), Precision::kF32};
};

TEST_P(GgufSource, GivesTheBitsOfTheModelThatWasWritten) {
  Model model(GetParam().config);
  Randomise(model);
  const std::string path = folder_ + "/model.gguf";
  WriteGgufOf(model, path);
  const std::vector<float> want = Logits(model);
  EXPECT_EQ(Logits(*OpenModel(path)), want) << "as stored";
  EXPECT_EQ(Logits(*LoadModel(path)), want) << "as f32";
}

INSTANTIATE_TEST_SUITE_P(Families, GgufSource,
                         testing::Values(Case{"Llama", Grouped("llama", false)},
                                         Case{"LlamaWithBiases", Grouped("llama", true)},
                                         Case{"Qwen2", Grouped("qwen2", true)},
                                         Case{"DeepSeekV3", Latent()}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace reckon
