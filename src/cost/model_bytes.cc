#include "cost/model_bytes.h"

#include <algorithm>
#include <map>
#include <string>

#include "formats/fp8_checkpoint.h"
#include "formats/gguf_weights.h"
#include "model/model.h"
#include "model/weights.h"

namespace reckon {
namespace {

int64_t Fp8Bytes(const std::map<std::string, Shape>& shapes) {
  int64_t bytes = 0;
  for (const auto& [name, shape] : shapes) {
    const int64_t elements = NumElements(shape);
    if (!IsFp8Matrix(name)) {
      bytes += 2 * elements;
      continue;
    }
    bytes += elements + 4 * NumElements(Fp8ScaleShape(shape));
  }
  return bytes;
}

int64_t GgufBytes(const std::vector<GgufPlanned>& plan, StorageFormat format,
                  const ModelConfig& config) {
  int64_t bytes = 0;
  for (const GgufPlanned& tensor : plan) {
    GgufTensorSpec spec = tensor.spec;
    spec.format = GgufFormatFor(spec, format, config.num_hidden_layers, config.tie_word_embeddings);
    bytes += StoredBytes(spec);
  }
  return bytes;
}

}  // namespace

KvBytes CountKvBytes(const ModelConfig& config) {
  const int64_t per_layer = config.uses_mla() ? config.kv_lora_rank + config.qk_rope_head_dim
                                              : 2 * config.num_key_value_heads * config.head_dim;
  KvBytes bytes;
  bytes.bf16 = 2 * per_layer * config.num_hidden_layers;
  // All layers are alike, and one that has room for some positions is soon made.
  ModelConfig one_layer = config;
  one_layer.num_hidden_layers = 1;
  const KvCache cache(one_layer, 32);
  bytes.in_cache =
      cache.bytes() / std::max<int64_t>(cache.capacity(), 1) * config.num_hidden_layers;
  return bytes;
}

std::vector<FormatBytes> CountWeightBytes(const ModelConfig& config) {
  ModelConfig main = config;
  main.num_nextn_predict_layers = 0;
  const std::map<std::string, Shape> shapes = TensorShapes(main);
  int64_t elements = 0;
  for (const auto& [name, shape] : shapes) elements += NumElements(shape);
  const std::vector<GgufPlanned> plan = PlanGguf(ToJson(main), shapes);
  std::vector<FormatBytes> formats = {{"BF16", 2 * elements}, {"FP8", Fp8Bytes(shapes)}};
  for (const StorageFormat format :
       {StorageFormat::kQ8_0, StorageFormat::kQ6_K, StorageFormat::kQ4_K}) {
    formats.push_back({Name(format), GgufBytes(plan, format, main)});
  }
  return formats;
}

}  // namespace reckon
