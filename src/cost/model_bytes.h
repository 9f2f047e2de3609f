// Bytes that a model takes when it runs: its weights in a format, the keys and values of a token.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace reckon {

struct KvBytes {
  // What the architecture needs in BF16: of latent attention the latent and the rotary key of each
  // layer, of grouped queries the keys and values of the kv heads.
  int64_t bf16 = 0;
  // What KvCache takes today: the keys and values of every head, F32, padded to its panels.
  int64_t in_cache = 0;
};
// Of one token in all layers, without MTP modules.
KvBytes CountKvBytes(const ModelConfig& config);

struct FormatBytes {
  const char* name;
  int64_t bytes;
};
// Of all weights but the MTP modules': in BF16; in FP8 as DeepSeek stores it (matrices of layers as
// FP8 with an F32 scale for 128 x 128 of them, the router, norms, embedding and head in BF16); in
// Q8_0, Q6_K and Q4_K as a GGUF file made for that format has them.
std::vector<FormatBytes> CountWeightBytes(const ModelConfig& config);

}  // namespace reckon
