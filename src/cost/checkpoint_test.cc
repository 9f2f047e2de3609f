#include "cost/checkpoint.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "formats/file_case.h"

namespace reckon {
namespace {

class Checkpoint : public FileCase<GgufFile> {
 protected:
  Checkpoint() : FileCase("model.gguf") {}
};

TEST_F(Checkpoint, OfAFolderCountsParametersOnceAndScalesNever) {
  const std::vector<float> zeros(64);
  const auto bytes = [&](size_t n) { return std::as_bytes(std::span(zeros)).first(n); };
  WriteSafetensors(
      folder_ + "/model.safetensors",
      {{"lm_head.weight", DType::kBF16, {4, 2}, bytes(16)},
       {"model.embed_tokens.weight", DType::kBF16, {4, 2}, bytes(16)},
       {"model.layers.0.mlp.down_proj.weight", DType::kF8E4M3, {8, 4}, bytes(32)},
       {"model.layers.0.mlp.down_proj.weight_scale_inv", DType::kF32, {1, 1}, bytes(4)},
       {"model.layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, {2}, bytes(8)},
       {"model.layers.1.embed_tokens.weight", DType::kBF16, {4, 2}, bytes(16)},
       {"model.layers.1.shared_head.head.weight", DType::kBF16, {4, 2}, bytes(16)},
       {"model.layers.1.shared_head.norm.weight", DType::kBF16, {2}, bytes(4)}});
  const SafetensorsFolder folder(folder_);
  const CheckpointSummary summary = Summarize(folder, false);
  EXPECT_EQ(summary.tensors, 8);
  EXPECT_EQ(summary.bytes, 112);
  EXPECT_EQ(summary.parameters, 8 + 8 + 32 + 2);
  ASSERT_EQ(summary.kinds.size(), 3u);
  EXPECT_EQ(summary.kinds[0].dtype, "BF16");
  EXPECT_EQ(summary.kinds[0].tensors, 5);
  EXPECT_EQ(summary.kinds[0].bytes, 68);
  EXPECT_EQ(summary.kinds[1].dtype, "F8_E4M3");
  EXPECT_EQ(summary.kinds[2].bytes, 12);
  EXPECT_EQ(Summarize(folder, true).parameters, 8 + 32 + 2) << "the tied head is the embedding";
}

TEST_F(Checkpoint, OfAGgufFileCountsByFormat) {
  const std::vector<GgufTensorSpec> tensors = {
      {"token_embd.weight", StorageFormat::kQ8_0, {3, 32}},
      {"blk.0.attn_norm.weight", StorageFormat::kF32, {32}},
      {"rope_freqs.weight", StorageFormat::kF32, {4}}};
  GgufMetadata metadata;
  WriteGguf(path_, metadata, tensors, [&](size_t i, const WriteBytes& write) {
    write(std::vector<std::byte>(static_cast<size_t>(StoredBytes(tensors[i]))));
  });
  const CheckpointSummary summary = Summarize(GgufModel(path_), true);
  EXPECT_EQ(summary.tensors, 3);
  EXPECT_EQ(summary.parameters, 96 + 32);
  ASSERT_EQ(summary.kinds.size(), 2u);
  EXPECT_EQ(summary.kinds[0].dtype, "F32");
  EXPECT_EQ(summary.kinds[0].bytes, 144);
  EXPECT_EQ(summary.kinds[1].dtype, "Q8_0");
  EXPECT_EQ(summary.kinds[1].bytes, 102);
}

}  // namespace
}  // namespace reckon
