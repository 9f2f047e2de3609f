// Causal attention over packed sequences, with or without a key/value cache: DeepSeek's MLA, and
// grouped queries as Qwen2 and Llama have them.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/runtime.h"
#include "ops/tape.h"

namespace reckon {

// Keys and values of one sequence in one layer, expanded per head, in the panel layout that the
// matrix kernels read; f32. Grows by appending; Truncate forgets the tail.
class LayerKvCache {
 public:
  LayerKvCache() = default;
  // num_heads counts heads of keys and values.
  LayerKvCache(int64_t num_heads, int64_t qk_head_dim, int64_t v_head_dim, int64_t capacity);

  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  int64_t bytes() const { return static_cast<int64_t>(keys_.num_bytes() + values_.num_bytes()); }
  void Truncate(int64_t length) { length_ = length; }
  // Copies the first `length` positions of another cache of the same shape (a shared prompt).
  void CopyPrefix(const LayerKvCache& other, int64_t length);

  // Keys of a head: panels of 32 positions, each [qk_head_dim][32].
  float* keys(int64_t head);
  // Values of a head: panels of 32 columns, each [capacity][32].
  float* values(int64_t head);
  int64_t key_panel_stride() const;
  int64_t value_panel_stride() const;
  void set_length(int64_t length) { length_ = length; }

 private:
  int64_t num_heads_ = 0, qk_head_dim_ = 0, v_head_dim_ = 0, capacity_ = 0, length_ = 0;
  Tensor keys_, values_;
};

// A run of rows that belong to one sequence. With a cache the rows follow cache->length() earlier
// positions and are appended to it; without, they are the whole sequence.
struct SequenceRows {
  int64_t row_begin = 0, row_count = 0;
  LayerKvCache* cache = nullptr;
};

struct MlaShape {
  int64_t num_heads = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;
  float softmax_scale = 1;
};

// MLA with expanded keys and values (DeepSeek-V2, arXiv:2405.04434, eq. 9 to 19):
//   s = softmax_scale * (q_nope . k_nope + q_rope . k_rope), p = softmax(s), o = p v
// q       [rows, num_heads * (qk_nope_head_dim + qk_rope_head_dim)], rope part already rotated
// k_rope  [rows, qk_rope_head_dim], shared by the heads, already rotated
// kv      [rows, num_heads * (qk_nope_head_dim + v_head_dim)], per head [k_nope | v]
// returns [rows, num_heads * v_head_dim]
// A row sees the rows of its own sequence at or before it, and the cache. Tape and cache exclude
// each other.
Variable MlaAttention(const Runtime& rt, Tape* tape, const MlaShape& shape, const Variable& q,
                      const Variable& k_rope, const Variable& kv,
                      const std::vector<SequenceRows>& sequences);

struct GqaShape {
  int64_t num_heads = 0, num_key_value_heads = 0, head_dim = 0;
  float softmax_scale = 1;
};

// Grouped-query attention (arXiv:2305.13245): query head h reads key and value head
// h / (num_heads / num_key_value_heads).
// q       [rows, num_heads * head_dim], k and v [rows, num_key_value_heads * head_dim]; q and k
//         already rotated
// returns [rows, num_heads * head_dim]
Variable GroupedQueryAttention(const Runtime& rt, Tape* tape, const GqaShape& shape,
                               const Variable& q, const Variable& k, const Variable& v,
                               const std::vector<SequenceRows>& sequences);

}  // namespace reckon
