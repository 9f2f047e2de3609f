// Model folders that are not what they say. LoadModel and OpenModel name the file and the tensor,
// and allocate no more than the files are worth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "formats/safetensors.h"
#include "model/gguf_case.h"
#include "model/tiny_model.h"
#include "model/weights.h"
#include "tests/support/allocation_meter.h"

namespace reckon {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A model in two shards: what of its names comes before "model.layers.1", and the rest.
class BrokenFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    Model model(TinyConfig());
    model.Initialize(3);
    SaveModel(model, folder_);
    std::filesystem::rename(folder_ + "/model.safetensors", folder_ + "/whole");
    const SafetensorsFile whole(folder_ + "/whole");
    for (const auto& [name, view] : whole.tensors()) {
      (name < "model.layers.1" ? first_ : second_)
          .push_back({name, view.dtype, view.shape, {view.bytes.begin(), view.bytes.end()}});
    }
    WriteAll();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  struct Stored {
    std::string name;
    DType dtype;
    Shape shape;
    std::vector<std::byte> bytes;
  };
  using Shard = std::vector<Stored>;

  void WriteShard(const std::string& path, const Shard& shard) const {
    std::vector<NamedBytes> named;
    for (const Stored& s : shard) named.push_back({s.name, s.dtype, s.shape, s.bytes});
    WriteSafetensors(path, named);
  }
  // The shards, and an index of what they hold and `more`.
  void WriteAll(const Json& more = Json::object()) const {
    WriteShard(one_, first_);
    WriteShard(two_, second_);
    Json map = Json::object();
    for (const Stored& s : first_) map[s.name] = "one.safetensors";
    for (const Stored& s : second_) map[s.name] = "two.safetensors";
    map.update(more);
    WriteJsonFile(index_, {{"weight_map", map}});
  }
  void ChangeConfig(const std::function<void(Json&)>& change) const {
    Json config = ReadJsonFile(folder_ + "/config.json");
    change(config);
    WriteJsonFile(folder_ + "/config.json", config);
  }
  static Stored& Find(Shard& shard, const std::string& name) {
    for (Stored& s : shard) {
      if (s.name == name) return s;
    }
    throw Error(ErrorKind::kNotFound, name);
  }

  // What both say; empty if they open the folder.
  static std::string FailureOfOpening(const std::string& path, size_t file_bytes) {
    std::string failure;
    for (auto* open : {LoadModel, OpenModel}) {
      const AllocationMeter meter;
      std::string message;
      try {
        open(path);
      } catch (const Error& error) {
        EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
        message = error.what();
      }
      EXPECT_LE(meter.peak(), AllowedAllocation(file_bytes));
      if (open != LoadModel) {
        EXPECT_EQ(message, failure) << "both say the same";
      }
      failure = message;
    }
    return failure;
  }
  std::string Failure() const {
    return FailureOfOpening(folder_, 2 * std::filesystem::file_size(folder_ + "/whole"));
  }

  const std::string folder_ =
      testing::TempDir() + "/reckon_broken_folder_" + std::to_string(::getpid());
  const std::string one_ = folder_ + "/one.safetensors", two_ = folder_ + "/two.safetensors",
                    index_ = folder_ + "/model.safetensors.index.json";
  Shard first_, second_;
};

TEST_F(BrokenFolder, IsOpenedWhereItIsWhole) { EXPECT_EQ(Failure(), ""); }

TEST_F(BrokenFolder, NamesAMissingShardAndATensorOfIt) {
  std::filesystem::remove(two_);
  EXPECT_THAT(Failure(), AllOf(HasSubstr(two_ + ": missing"), HasSubstr(index_),
                               HasSubstr("\"" + second_[0].name + "\"")));
}

TEST_F(BrokenFolder, NamesTheTensorWhereAShardIsCut) {
  const uintmax_t size = std::filesystem::file_size(one_);
  for (const uintmax_t cut : {uintmax_t{1}, uintmax_t{2000}}) {
    std::filesystem::resize_file(one_, size - cut);
    EXPECT_THAT(Failure(), AllOf(HasSubstr(one_ + ": tensor \""), HasSubstr("cut short")));
  }
  for (const uintmax_t left : {0, 7, 8, 200}) {
    std::filesystem::resize_file(one_, left);
    EXPECT_THAT(Failure(), HasSubstr(one_ + ": "));
  }
}

TEST_F(BrokenFolder, NamesATensorThatIsInTwoShards) {
  second_.push_back(first_[1]);
  WriteAll();
  EXPECT_THAT(Failure(), AllOf(HasSubstr(two_ + ": tensor \"" + first_[1].name + "\""),
                               HasSubstr("also in " + one_)));
}

TEST_F(BrokenFolder, NamesATensorThatIsTwiceInAShard) {
  // The name of one becomes another's of the same length.
  const std::string old_name = "model.layers.0.mlp.gate_proj.weight",
                    new_name = "model.layers.0.mlp.down_proj.weight";
  std::string bytes = ReadFile(one_);
  bytes.replace(bytes.find(old_name), old_name.size(), new_name);
  WriteFileAtomically(one_, bytes);
  EXPECT_THAT(Failure(),
              AllOf(HasSubstr(one_ + ": "), HasSubstr("duplicate key \"" + new_name + "\"")));
}

TEST_F(BrokenFolder, NamesATensorThatOnlyTheIndexHas) {
  WriteAll({{"model.layers.7.x.weight", "one.safetensors"}});
  EXPECT_THAT(Failure(), AllOf(HasSubstr(one_ + ": has no tensor \"model.layers.7.x.weight\""),
                               HasSubstr(index_)));
}

TEST_F(BrokenFolder, NamesWhatIsWrongWithAnIndex) {
  WriteFileAtomically(index_, R"({"weight_map": {"a": "../one.safetensors"}})");
  EXPECT_THAT(Failure(), AllOf(HasSubstr(index_), HasSubstr("\"a\"")));
  WriteFileAtomically(index_, R"({"weight_map": {"a": 7}})");
  EXPECT_THAT(Failure(), AllOf(HasSubstr(index_), HasSubstr("\"a\"")));
  WriteFileAtomically(index_, R"({"weight_map": {"a")");
  EXPECT_THAT(Failure(), AllOf(HasSubstr(index_), HasSubstr("line 1")));
}

TEST_F(BrokenFolder, NamesATensorOfAnotherShapeAndItsFile) {
  const std::string name = "model.layers.1.mlp.experts.3.up_proj.weight";
  std::swap(Find(second_, name).shape[0], Find(second_, name).shape[1]);
  WriteAll();
  EXPECT_THAT(Failure(), AllOf(HasSubstr(two_ + ": tensor " + name), HasSubstr("[24, 12]"),
                               HasSubstr("[12, 24]")));
}

TEST_F(BrokenFolder, NamesATensorOfATypeThatIsNoWeights) {
  const std::string name = "model.layers.0.self_attn.o_proj.weight";
  Find(first_, name).dtype = DType::kI32;
  WriteAll();
  EXPECT_THAT(Failure(), AllOf(HasSubstr(one_ + ": tensor " + name), HasSubstr("I32")));
}

TEST_F(BrokenFolder, NamesTheScalesThatAnFp8WeightLacks) {
  const std::string name = "model.layers.0.self_attn.o_proj.weight";
  Stored& weight = Find(first_, name);
  weight.dtype = DType::kF8E4M3;
  weight.bytes.resize(weight.bytes.size() / 4);
  WriteAll();
  EXPECT_THAT(Failure(), HasSubstr("tensor " + name + "_scale_inv is missing"));
}

TEST_F(BrokenFolder, NamesATensorWithoutAPlaceAndItsFile) {
  second_.push_back({"model.layers.1.surplus", DType::kF32, {0}, {}});
  WriteAll();
  EXPECT_THAT(Failure(), HasSubstr(two_ + ": tensor model.layers.1.surplus has no place"));
}

TEST_F(BrokenFolder, NamesAnArchitectureThatIsNotKnown) {
  ChangeConfig([](Json& config) { config["model_type"] = "mamba"; });
  EXPECT_THAT(Failure(), AllOf(HasSubstr(folder_ + "/config.json"), HasSubstr("\"mamba\""),
                               HasSubstr("deepseek_v3")));
}

// Each of these asked for gigabytes to terabytes if the config were believed.
TEST_F(BrokenFolder, IsNotBelievedAboutItsSize) {
  const auto with = [&](const char* key, int64_t value) {
    const std::string path = folder_ + "/config.json";
    const std::string saved = ReadFile(path);
    ChangeConfig([&](Json& config) { config[key] = value; });
    std::string failure = Failure();
    WriteFileAtomically(path, saved);
    return failure;
  };
  EXPECT_THAT(with("num_hidden_layers", 10'000),
              HasSubstr("model.layers.2.input_layernorm.weight is missing"));
  EXPECT_THAT(with("n_routed_experts", 1 << 24),
              HasSubstr("model.layers.1.mlp.experts.8.down_proj.weight is missing"));
  EXPECT_THAT(with("vocab_size", 1 << 24),
              AllOf(HasSubstr("model.embed_tokens.weight"), HasSubstr("[16777216, 24]")));
  EXPECT_THAT(with("hidden_size", 1 << 20), HasSubstr("[29, 1048576]"));
  EXPECT_THAT(with("intermediate_size", 1 << 24),
              AllOf(HasSubstr("gate_proj"), HasSubstr("[16777216, 24]")));
  EXPECT_THAT(with("kv_lora_rank", 1 << 24), HasSubstr("kv_a_proj_with_mqa"));
}

class BrokenGguf : public BrokenFolder {
 protected:
  void SetUp() override {
    BrokenFolder::SetUp();
    WriteGgufOf(*LoadModel(folder_), path_);
  }
  std::string GgufFailure() const { return FailureOfOpening(path_, 200'000); }
  // Writes the file again with a key of another value, or `tensor` of another shape.
  void Rewrite(const std::string& key, uint32_t value, const std::string& tensor = "",
               const Shape& shape = {}) const {
    const GgufFile file(path_);
    GgufMetadata metadata;
    for (const auto& [name, old] : file.metadata()) {
      name == key ? metadata.AddU32(name, value) : metadata.Add(name, old);
    }
    std::vector<GgufTensorSpec> specs;
    std::vector<std::span<const std::byte>> bytes;
    for (const auto& [name, stored] : file.tensors()) {
      specs.push_back({name, stored.format, name == tensor ? shape : stored.shape});
      bytes.push_back(stored.bytes);
    }
    WriteGguf(path_ + ".new", metadata, specs, [&](size_t i, const WriteBytes& write) {
      write(bytes[i].first(static_cast<size_t>(StoredBytes(specs[i]))));
    });
    std::filesystem::rename(path_ + ".new", path_);
  }

  const std::string path_ = folder_ + "/model.gguf";
};

TEST_F(BrokenGguf, IsOpenedWhereItIsWhole) { EXPECT_EQ(GgufFailure(), ""); }

TEST_F(BrokenGguf, IsNotBelievedAboutItsSize) {
  Rewrite("deepseek2.block_count", 9'999);
  EXPECT_THAT(GgufFailure(), HasSubstr("model.layers.2.input_layernorm.weight is missing"));
  Rewrite("deepseek2.block_count", 2);
  Rewrite("deepseek2.feed_forward_length", 1 << 24);
  EXPECT_THAT(GgufFailure(), AllOf(HasSubstr(path_), HasSubstr("gate_proj")));
  Rewrite("deepseek2.feed_forward_length", 40);
  Rewrite("deepseek2.expert_count", 1 << 24);
  EXPECT_THAT(GgufFailure(),
              AllOf(HasSubstr(path_), HasSubstr("_exps.weight"), HasSubstr("16777216 experts")));
  Rewrite("deepseek2.expert_count", 2'000'000'000);
  EXPECT_THAT(GgufFailure(), HasSubstr("2000000000 experts"));
}

TEST_F(BrokenGguf, NamesATensorOfAnotherShape) {
  Rewrite("", 0, "blk.0.ffn_gate.weight", {20, 24});
  EXPECT_THAT(GgufFailure(), AllOf(HasSubstr(path_), HasSubstr("layers.0.mlp.gate_proj"),
                                   HasSubstr("[20, 24]"), HasSubstr("[40, 24]")));
}

TEST_F(BrokenGguf, NamesExpertsOfAFewBytes) {
  Rewrite("", 0, "blk.1.ffn_gate_exps.weight", {8, 1, 3});
  EXPECT_THAT(GgufFailure(), AllOf(HasSubstr("blk.1.ffn_gate_exps.weight"), HasSubstr("16 bytes")));
}

TEST_F(BrokenGguf, NamesTheTensorWhereItIsCut) {
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1000);
  EXPECT_THAT(GgufFailure(), AllOf(HasSubstr(path_ + ": tensor \""), HasSubstr("cut short")));
}

}  // namespace
}  // namespace reckon
