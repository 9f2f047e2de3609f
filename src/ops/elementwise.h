// Embedding, normalisation, gating, rotary positions, residual and row selection.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/parameter.h"
#include "ops/tape.h"

namespace reckon {

// Rows of `table` [vocab_size, hidden_size] for ids [rows]; throws on an id outside the vocabulary.
Variable Embedding(const Runtime& rt, Tape* tape, std::span<const int32_t> ids, Parameter& table);

// y = x / sqrt(mean(x^2) + eps) * weight   (arXiv:1910.07467, eq. 4, plus eps)
Variable RmsNorm(const Runtime& rt, Tape* tape, const Variable& x, Parameter& weight, float eps);
// The same on columns [col_begin, col_begin + weight.size) of x; returns just those columns.
Variable RmsNormColumns(const Runtime& rt, Tape* tape, const Variable& x, int64_t col_begin,
                        Parameter& weight, float eps);

// silu(gate) * up with gate_up = [gate | up], [rows, 2 * intermediate]; returns [rows,
// intermediate].
Variable SwiGlu(const Runtime& rt, Tape* tape, const Variable& gate_up);

Variable Add(const Runtime& rt, Tape* tape, const Variable& x, const Variable& y);

// [x | y] side by side.
Variable ConcatColumns(const Runtime& rt, Tape* tape, const Variable& x, const Variable& y);

// Rows indices[i] of x, in that order (an index may repeat; gradients add in order of i).
Variable GatherRows(const Runtime& rt, Tape* tape, const Variable& x,
                    const std::vector<int64_t>& indices);

// cos and sin of float32(position * inv_freq), scaled: [distinct positions, half], and which of
// these rows a row of the batch takes.
struct RopeTable {
  Tensor cos, sin;
  std::vector<int64_t> index;  // [rows]
  bool interleaved = true;  // pairs (2i, 2i+1) as DeepSeek; else (i, i + half) as Qwen2 and Llama
};
// positions [rows], inv_freq [half]; `scale` multiplies cos and sin (YaRN's mscale ratio).
RopeTable MakeRopeTable(const Runtime& rt, std::span<const int32_t> positions,
                        std::span<const float> inv_freq, float scale, bool interleaved);

// Rotates, in every one of `num_heads` groups of `head_dim` columns starting at col_begin, the last
// 2*half columns; other columns are copied. Returns the columns [col_begin, col_begin +
// num_heads * head_dim). x may be wider.
Variable Rope(const Runtime& rt, Tape* tape, const Variable& x, int64_t col_begin,
              int64_t num_heads, int64_t head_dim, std::shared_ptr<const RopeTable> table);

}  // namespace reckon
