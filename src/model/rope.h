// Rotary frequencies and scales as the config says (RoPE, arXiv:2104.09864; YaRN, arXiv:2309.00071,
// with the mscale factors of DeepSeek's released code).
#pragma once

#include <vector>

#include "model/config.h"

namespace reckon {

// [qk_rope_head_dim / 2], rad per position, with the f32 operations of the released code.
std::vector<float> InverseFrequencies(const ModelConfig& config);
// Factor on q.k before the softmax: qk_head_dim^-0.5, times mscale_all_dim's factor squared.
float SoftmaxScale(const ModelConfig& config);
// Factor on cos and sin: the ratio of mscale's and mscale_all_dim's factors.
float RopeScale(const ModelConfig& config);

}  // namespace reckon
