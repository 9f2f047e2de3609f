#include "model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "formats/safetensors.h"
#include "model/tiny_model.h"

namespace reckon {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Weights : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = testing::TempDir() + "weights_test_" + info->name();
    std::filesystem::remove_all(folder_);
    MakeFolders(folder_);
    model_.Initialize(5);
    Rng rng(3, {StreamName("bias")});
    for (std::span<float> bias : model_.correction_biases()) {
      for (float& b : bias) b = static_cast<float>(rng.Normal());
    }
    SaveModel(model_, folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string File() const { return folder_ + "/model.safetensors"; }

  struct Stored {
    std::string name;
    DType dtype;
    Shape shape;
    std::vector<std::byte> bytes;
  };
  // Writes the file again after a change.
  void Rewrite(const std::function<void(std::vector<Stored>&)>& change) const {
    std::vector<Stored> stored;
    {
      const SafetensorsFile file(File());
      for (const auto& [name, view] : file.tensors()) {
        stored.push_back({name, view.dtype, view.shape, {view.bytes.begin(), view.bytes.end()}});
      }
    }
    change(stored);
    std::vector<NamedBytes> named;
    for (const Stored& s : stored) named.push_back({s.name, s.dtype, s.shape, s.bytes});
    WriteSafetensors(File(), named);
  }
  static Stored& Find(std::vector<Stored>& stored, const std::string& name) {
    for (Stored& s : stored) {
      if (s.name == name) return s;
    }
    throw Error(ErrorKind::kNotFound, name);
  }

  std::string LoadError() const {
    try {
      LoadModel(folder_);
    } catch (const Error& error) {
      EXPECT_NE(error.kind(), ErrorKind::kInternal);
      return error.what();
    }
    return "loaded";
  }

  std::string folder_;
  Model model_{TinyConfigWithYarnAndMtp()};
};

TEST_F(Weights, AreLoadedWithTheBitsThatWereSaved) {
  const std::unique_ptr<Model> back = LoadModel(folder_);
  const std::vector<Model::NamedTensor> a = model_.named_tensors(), b = back->named_tensors();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    ASSERT_EQ(a[i].shape, b[i].shape);
    const size_t bytes = static_cast<size_t>(NumElements(a[i].shape)) * sizeof(float);
    EXPECT_EQ(std::memcmp(a[i].data, b[i].data, bytes), 0) << a[i].name;
  }
  EXPECT_EQ(WeightHash(*back), WeightHash(model_));
}

TEST_F(Weights, HashChangesWithASingleBit) {
  const std::string before = WeightHash(model_);
  EXPECT_EQ(before.size(), 64u);
  float& weight = model_.named_tensors().back().data[0];
  const float saved = weight;
  weight = std::nextafter(weight, 10.0f);
  EXPECT_NE(WeightHash(model_), before);
  weight = saved;
  EXPECT_EQ(WeightHash(model_), before);
}

TEST_F(Weights, HaveTheReleasedNames) {
  const SafetensorsFile file(File());
  for (const char* name :
       {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
        "model.layers.0.mlp.gate_proj.weight", "model.layers.0.self_attn.q_a_proj.weight",
        "model.layers.0.self_attn.kv_a_proj_with_mqa.weight", "model.layers.1.mlp.gate.weight",
        "model.layers.1.mlp.gate.e_score_correction_bias",
        "model.layers.1.mlp.experts.7.down_proj.weight",
        "model.layers.1.mlp.shared_experts.up_proj.weight", "model.layers.3.eh_proj.weight",
        "model.layers.2.shared_head.norm.weight", "model.layers.2.embed_tokens.weight",
        "model.layers.3.shared_head.head.weight"}) {
    EXPECT_TRUE(file.Has(name)) << name;
  }
}

TEST_F(Weights, NameAMissingTensor) {
  const std::string name = "model.layers.1.mlp.experts.3.up_proj.weight";
  Rewrite([&](auto& stored) {
    std::erase_if(stored, [&](const Stored& s) { return s.name == name; });
  });
  EXPECT_THAT(LoadError(), AllOf(HasSubstr(folder_), HasSubstr(name), HasSubstr("missing")));
}

TEST_F(Weights, SayHowToRunWithoutAMissingMtpModule) {
  Rewrite([](auto& stored) {
    std::erase_if(stored, [](const Stored& s) { return s.name.rfind("model.layers.3.", 0) == 0; });
  });
  EXPECT_THAT(LoadError(),
              AllOf(HasSubstr("model.layers.3."), HasSubstr("set num_nextn_predict_layers to 1")));
  Json config = ReadJsonFile(folder_ + "/config.json");
  config["num_nextn_predict_layers"] = 1;
  WriteJsonFile(folder_ + "/config.json", config);
  EXPECT_EQ(LoadError(), "loaded");
}

TEST_F(Weights, NameATensorOfAnotherShape) {
  const std::string name = "model.layers.0.self_attn.o_proj.weight";
  Rewrite(
      [&](auto& stored) { std::swap(Find(stored, name).shape[0], Find(stored, name).shape[1]); });
  EXPECT_THAT(LoadError(), AllOf(HasSubstr(folder_), HasSubstr(name), HasSubstr("[14, 24]"),
                                 HasSubstr("[24, 14]")));
}

TEST_F(Weights, NameATensorOfAnotherType) {
  Rewrite([&](auto& stored) { Find(stored, "model.norm.weight").dtype = DType::kI32; });
  EXPECT_THAT(LoadError(),
              AllOf(HasSubstr(folder_), HasSubstr("model.norm.weight"), HasSubstr("I32")));
}

TEST_F(Weights, NameATensorThatHasNoPlace) {
  Rewrite([](auto& stored) { stored.push_back({"model.surplus", DType::kF32, {0}, {}}); });
  EXPECT_THAT(LoadError(), AllOf(HasSubstr(folder_), HasSubstr("model.surplus")));
  Rewrite([](auto& stored) { Find(stored, "model.surplus").name = "a.rotary_emb.inv_freq"; });
  EXPECT_EQ(LoadError(), "loaded");
}

TEST_F(Weights, NameACopyThatDiffersFromItsOriginal) {
  const std::string name = "model.layers.2.shared_head.head.weight";
  Rewrite([&](auto& stored) { Find(stored, name).bytes[5] ^= std::byte{1}; });
  EXPECT_THAT(LoadError(), AllOf(HasSubstr(name), HasSubstr("lm_head.weight")));
  Rewrite([&](auto& stored) {  // copies may be left out
    std::erase_if(stored, [&](const Stored& s) { return s.name == name; });
  });
  EXPECT_EQ(LoadError(), "loaded");
}

TEST_F(Weights, NameTheFileThatWasCutShort) {
  for (const uintmax_t cut : {uintmax_t{1}, uintmax_t{4000}}) {
    SaveModel(model_, folder_);
    std::filesystem::resize_file(File(), std::filesystem::file_size(File()) - cut);
    EXPECT_THAT(LoadError(), AllOf(HasSubstr(File()), HasSubstr("tensor")));
  }
  for (const uintmax_t size : {0, 7, 100}) {
    std::filesystem::resize_file(File(), size);
    EXPECT_THAT(LoadError(), HasSubstr(File()));
  }
  std::filesystem::remove(File());
  EXPECT_THAT(LoadError(), HasSubstr("model.safetensors"));
}

}  // namespace
}  // namespace reckon
