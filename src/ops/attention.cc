#include "ops/attention.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "ops/parallel.h"

namespace reckon {
namespace {

int64_t RoundUp32(int64_t n) { return (n + 31) / 32 * 32; }

// Scratch of one task, uninitialised.
using Floats = std::unique_ptr<float[]>;
Floats Scratch(int64_t n) { return Floats(new float[static_cast<size_t>(n)]); }
void Zero(float* p, int64_t n) { std::memset(p, 0, static_cast<size_t>(n) * sizeof(float)); }

// Everything about a call that its tasks share.
struct Call {
  Runtime rt;
  MlaShape shape;
  Matrix q, k_rope, kv;
  int64_t qk_head_dim() const { return shape.qk_nope_head_dim + shape.qk_rope_head_dim; }
  int64_t kv_head_dim() const { return shape.qk_nope_head_dim + shape.v_head_dim; }
  const float* query(int64_t row, int64_t head) const { return q.row(row) + head * qk_head_dim(); }
  const float* key_value(int64_t row, int64_t head) const {
    return kv.row(row) + head * kv_head_dim();
  }
};

// Keys and values of one head in panels.
struct HeadPanels {
  const float* keys;
  const float* values;
  int64_t key_stride, value_stride;
};

// Panels of a whole sequence, for calls without a cache. Values are zero up to the 32-aligned end.
struct SequencePanels {
  Floats keys, values;
  HeadPanels panels{};

  SequencePanels(const Call& call, const SequenceRows& rows, int64_t head) {
    const int64_t count = rows.row_count, aligned = RoundUp32(count), dim = call.qk_head_dim();
    const int64_t nope = call.shape.qk_nope_head_dim, v_dim = call.shape.v_head_dim;
    panels.key_stride = dim * kPanelCols;
    panels.value_stride = aligned * kPanelCols;
    const int64_t value_panels = (v_dim + kPanelCols - 1) / kPanelCols;
    keys = Scratch(aligned / 32 * panels.key_stride);
    values = Scratch(value_panels * panels.value_stride);
    PackKeys(call, count, nope, 0, call.key_value(rows.row_begin, head), call.kv.row_stride);
    PackKeys(call, count, dim - nope, nope, call.k_rope.row(rows.row_begin),
             call.k_rope.row_stride);
    for (int64_t p = 0; p < value_panels; ++p) {
      Zero(values.get() + p * panels.value_stride + count * kPanelCols,
           (aligned - count) * kPanelCols);
    }
    PackArgs pack;
    pack.k = count;
    pack.n = v_dim;
    pack.b = call.key_value(rows.row_begin, head) + nope;
    pack.row_stride = call.kv.row_stride;
    pack.panels = values.get();
    pack.panel_stride = panels.value_stride;
    call.rt.kernels->pack_f32(pack);
    panels.keys = keys.get();
    panels.values = values.get();
  }

 private:
  void PackKeys(const Call& call, int64_t count, int64_t dims, int64_t first, const float* source,
                int64_t stride) {
    PackArgs pack;
    pack.k = dims;
    pack.n = count;
    pack.b = source;
    pack.row_stride = 1;
    pack.col_stride = stride;
    pack.panels = keys.get() + first * kPanelCols;
    pack.panel_stride = panels.key_stride;
    call.rt.kernels->pack_f32(pack);
  }
};

// Writes the keys and values of the new rows behind what a cache holds of a head.
void AppendToCache(const Call& call, const SequenceRows& rows, int64_t past, int64_t head) {
  const int64_t nope = call.shape.qk_nope_head_dim, rope = call.shape.qk_rope_head_dim;
  float* keys = rows.cache->keys(head);
  float* values = rows.cache->values(head);
  for (int64_t i = 0; i < rows.row_count; ++i) {
    const int64_t position = past + i;
    const float* from = call.key_value(rows.row_begin + i, head);
    float* key = keys + position / 32 * rows.cache->key_panel_stride() + position % 32;
    for (int64_t d = 0; d < nope; ++d) key[d * kPanelCols] = from[d];
    const float* k_rope = call.k_rope.row(rows.row_begin + i);
    for (int64_t d = 0; d < rope; ++d) key[(nope + d) * kPanelCols] = k_rope[d];
    for (int64_t d = 0; d < call.shape.v_head_dim; d += kPanelCols) {
      const int64_t cols = std::min(kPanelCols, call.shape.v_head_dim - d);
      std::memcpy(
          values + d / kPanelCols * rows.cache->value_panel_stride() + position * kPanelCols,
          from + nope + d, static_cast<size_t>(cols) * sizeof(float));
    }
  }
}

// A run of query rows within one block of 32 positions of their sequence.
struct QueryBlock {
  int64_t row;         // first row in the batch
  int64_t begin, end;  // positions
  int64_t count() const { return end - begin; }
  int64_t aligned() const { return RoundUp32(end); }
};

// probabilities [count, aligned] of a query block; zero beyond each row's own position.
void Probabilities(const Call& call, const HeadPanels& head_panels, int64_t head,
                   const QueryBlock& block, float* probabilities) {
  const int64_t stride = block.aligned();
  GemmArgs scores;
  scores.m = block.count();
  scores.n = block.end;
  scores.k = call.qk_head_dim();
  scores.a = call.query(block.row, head);
  scores.a_row_stride = call.q.row_stride;
  scores.b = head_panels.keys;
  scores.b_panel_stride = head_panels.key_stride;
  scores.c = probabilities;
  scores.c_row_stride = stride;
  call.rt.kernels->gemm_f32(scores);
  for (int64_t i = 0; i < block.count(); ++i) {
    float* row = probabilities + i * stride;
    const int64_t visible = block.begin + i + 1;
    call.rt.kernels->softmax(row, call.shape.softmax_scale, visible, row);
    Zero(row + visible, stride - visible);
  }
}

void AttendBlock(const Call& call, const HeadPanels& head_panels, int64_t head,
                 const QueryBlock& block, float* probabilities, const Matrix& out) {
  Probabilities(call, head_panels, head, block, probabilities);
  const int64_t v_dim = call.shape.v_head_dim;
  GemmArgs weighted;
  weighted.m = block.count();
  weighted.n = v_dim;
  weighted.k = block.aligned();
  weighted.a = probabilities;
  weighted.a_row_stride = block.aligned();
  weighted.b = head_panels.values;
  weighted.b_panel_stride = head_panels.value_stride;
  weighted.c = out.row(block.row) + head * v_dim;
  weighted.c_row_stride = out.row_stride;
  call.rt.kernels->gemm_f32(weighted);
  // Values beyond the position differ between a cache and a whole sequence; their weight is zero,
  // so all they can move is the sign of a zero. Adding +0 fixes it.
  for (int64_t i = 0; i < block.count(); ++i) {
    float* row = out.row(block.row + i) + head * v_dim;
    for (int64_t d = 0; d < v_dim; ++d) row[d] = row[d] + 0.0f;
  }
}

template <typename Body>
void ForQueryBlocks(const SequenceRows& rows, int64_t past, const Body& body) {
  const int64_t total = past + rows.row_count;
  for (int64_t begin = past; begin < total;) {
    const int64_t end = std::min(total, begin / 32 * 32 + 32);
    body(QueryBlock{rows.row_begin + begin - past, begin, end});
    begin = end;
  }
}

void AttendHead(const Call& call, const SequenceRows& rows, int64_t past, int64_t head,
                const Matrix& out) {
  constexpr int64_t kSmall = 2048;  // a decode step's scores fit on the stack
  const int64_t total = past + rows.row_count;
  const int64_t size = std::min<int64_t>(32, rows.row_count) * RoundUp32(total);
  float small[kSmall];
  const Floats large = size > kSmall ? Scratch(size) : Floats();
  float* probabilities = large ? large.get() : small;
  if (rows.cache != nullptr) {
    AppendToCache(call, rows, past, head);
    const HeadPanels panels{rows.cache->keys(head), rows.cache->values(head),
                            rows.cache->key_panel_stride(), rows.cache->value_panel_stride()};
    ForQueryBlocks(rows, past, [&](const QueryBlock& block) {
      AttendBlock(call, panels, head, block, probabilities, out);
    });
  } else {
    const SequencePanels panels(call, rows, head);
    ForQueryBlocks(rows, 0, [&](const QueryBlock& block) {
      AttendBlock(call, panels.panels, head, block, probabilities, out);
    });
  }
}

// Packs [k, n] with n contiguous.
Floats PackPlain(const Call& call, const float* b, int64_t k, int64_t n, int64_t row_stride) {
  Floats panels = Scratch((n + 31) / 32 * k * kPanelCols);
  PackArgs pack;
  pack.k = k;
  pack.n = n;
  pack.b = b;
  pack.row_stride = row_stride;
  pack.panels = panels.get();
  pack.panel_stride = k * kPanelCols;
  call.rt.kernels->pack_f32(pack);
  return panels;
}

// Gradients of one head of one sequence.
class HeadBackward {
 public:
  HeadBackward(const Call& call, const SequenceRows& rows, int64_t head, const Matrix& dout)
      : call_(call),
        rows_(rows),
        head_(head),
        dout_(dout),
        forward_(call, rows, head),
        count_(rows.row_count),
        dim_(call.qk_head_dim()),
        v_dim_(call.shape.v_head_dim),
        dk_(Scratch(count_ * dim_)),
        dv_(Scratch(count_ * v_dim_)) {
    Zero(dk_.get(), count_ * dim_);
    Zero(dv_.get(), count_ * v_dim_);
    PackOperands();
  }

  // dq's columns of this head are written or added to; dk and dv stay here.
  void Run(const Variable::GradTarget& dq) {
    const int64_t size = 32 * RoundUp32(count_);
    const Floats p = Scratch(size), ds = Scratch(size);
    ForQueryBlocks(rows_, 0, [&](const QueryBlock& block) {
      Probabilities(call_, forward_.panels, head_, block, p.get());
      ScoreGradient(block, p.get(), ds.get());
      QueryGradient(block, ds.get(), dq);
      KeyValueGradient(block, p.get(), ds.get());
    });
  }

  const float* dk(int64_t i) const { return dk_.get() + i * dim_; }
  const float* dv(int64_t i) const { return dv_.get() + i * v_dim_; }

 private:
  void PackOperands() {
    const int64_t nope = call_.shape.qk_nope_head_dim;
    const Floats keys = Scratch(count_ * dim_);
    for (int64_t i = 0; i < count_; ++i) {
      const int64_t row = rows_.row_begin + i;
      std::memcpy(keys.get() + i * dim_, call_.key_value(row, head_),
                  static_cast<size_t>(nope) * sizeof(float));
      std::memcpy(keys.get() + i * dim_ + nope, call_.k_rope.row(row),
                  static_cast<size_t>(dim_ - nope) * sizeof(float));
    }
    key_rows_ = PackPlain(call_, keys.get(), count_, dim_, dim_);
    // V^T: [v_head_dim, positions].
    value_columns_ = Scratch((count_ + 31) / 32 * v_dim_ * kPanelCols);
    PackArgs pack;
    pack.k = v_dim_;
    pack.n = count_;
    pack.b = call_.key_value(rows_.row_begin, head_) + nope;
    pack.row_stride = 1;
    pack.col_stride = call_.kv.row_stride;
    pack.panels = value_columns_.get();
    pack.panel_stride = v_dim_ * kPanelCols;
    call_.rt.kernels->pack_f32(pack);
  }

  // dS = scale * P * (dP - rowsum(P dP)), dP = dO V^T; zero beyond each row's position.
  void ScoreGradient(const QueryBlock& block, const float* p, float* ds) {
    const int64_t stride = block.aligned();
    GemmArgs gemm;
    gemm.m = block.count();
    gemm.n = block.end;
    gemm.k = v_dim_;
    gemm.a = dout_.row(block.row) + head_ * v_dim_;
    gemm.a_row_stride = dout_.row_stride;
    gemm.b = value_columns_.get();
    gemm.b_panel_stride = v_dim_ * kPanelCols;
    gemm.c = ds;
    gemm.c_row_stride = stride;
    call_.rt.kernels->gemm_f32(gemm);
    for (int64_t i = 0; i < block.count(); ++i) {
      const int64_t visible = block.begin + i + 1;
      float* row = ds + i * stride;
      call_.rt.kernels->softmax_backward(p + i * stride, row, call_.shape.softmax_scale, visible,
                                         row);
      Zero(row + visible, stride - visible);
    }
  }

  void QueryGradient(const QueryBlock& block, const float* ds, const Variable::GradTarget& dq) {
    GemmArgs gemm;
    gemm.m = block.count();
    gemm.n = dim_;
    gemm.k = block.end;
    gemm.a = ds;
    gemm.a_row_stride = block.aligned();
    gemm.b = key_rows_.get();
    gemm.b_panel_stride = count_ * kPanelCols;
    gemm.c = dq.matrix.row(block.row) + head_ * dim_;
    gemm.c_row_stride = dq.matrix.row_stride;
    gemm.accumulate = dq.accumulate;
    call_.rt.kernels->gemm_f32(gemm);
  }

  // dK += dS^T Q, dV += P^T dO, chains over queries in order.
  void KeyValueGradient(const QueryBlock& block, const float* p, const float* ds) {
    const Floats q =
        PackPlain(call_, call_.query(block.row, head_), block.count(), dim_, call_.q.row_stride);
    Accumulate(block, ds, q.get(), dim_, dk_.get());
    const Floats d = PackPlain(call_, dout_.row(block.row) + head_ * v_dim_, block.count(), v_dim_,
                               dout_.row_stride);
    Accumulate(block, p, d.get(), v_dim_, dv_.get());
  }

  void Accumulate(const QueryBlock& block, const float* a, const float* panels, int64_t n,
                  float* c) {
    GemmArgs gemm;
    gemm.m = block.end;
    gemm.n = n;
    gemm.k = block.count();
    gemm.a = a;
    gemm.a_row_stride = 1;
    gemm.a_col_stride = block.aligned();
    gemm.b = panels;
    gemm.b_panel_stride = block.count() * kPanelCols;
    gemm.c = c;
    gemm.c_row_stride = n;
    gemm.accumulate = true;
    call_.rt.kernels->gemm_f32(gemm);
  }

  const Call& call_;
  const SequenceRows& rows_;
  const int64_t head_;
  const Matrix dout_;
  const SequencePanels forward_;
  const int64_t count_, dim_, v_dim_;
  Floats dk_, dv_, key_rows_, value_columns_;
};

void Backward(const Call& call, const std::vector<SequenceRows>& sequences, const Variable& q,
              const Variable& k_rope, const Variable& kv, const Variable& out) {
  const int64_t heads = call.shape.num_heads, nope = call.shape.qk_nope_head_dim;
  const int64_t rope = call.shape.qk_rope_head_dim, v_dim = call.shape.v_head_dim;
  const Variable::GradTarget dq = q.grad_target(), dkv = kv.grad_target();
  Tensor rope_by_head(DType::kF32, {q.rows(), heads * rope});
  const Matrix dk_rope_heads = rope_by_head.matrix();
  const Matrix dout = out.grad();
  const auto give = [&](const float* from, int64_t n, float* to) {
    if (dkv.accumulate) {
      call.rt.kernels->add(to, from, n, to);
    } else {
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
    }
  };
  call.rt.pool->ParallelFor(static_cast<int64_t>(sequences.size()) * heads, [&](int64_t task) {
    const SequenceRows& rows = sequences[static_cast<size_t>(task / heads)];
    const int64_t head = task % heads;
    HeadBackward backward(call, rows, head, dout);
    backward.Run(dq);
    for (int64_t i = 0; i < rows.row_count; ++i) {
      float* to = dkv.matrix.row(rows.row_begin + i) + head * call.kv_head_dim();
      give(backward.dk(i), nope, to);
      give(backward.dv(i), v_dim, to + nope);
      std::memcpy(dk_rope_heads.row(rows.row_begin + i) + head * rope, backward.dk(i) + nope,
                  static_cast<size_t>(rope) * sizeof(float));
    }
  });
  const Matrix dk_rope = k_rope.grad();
  ForRowBlocks(call.rt, q.rows(), heads * rope, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t h = 0; h < heads; ++h) {
        call.rt.kernels->add(dk_rope.row(r), dk_rope_heads.row(r) + h * rope, rope, dk_rope.row(r));
      }
    }
  });
}

void CheckShapes(const MlaShape& shape, const Variable& q, const Variable& k_rope,
                 const Variable& kv, const std::vector<SequenceRows>& sequences, bool tape) {
  Check(q.cols() == shape.num_heads * (shape.qk_nope_head_dim + shape.qk_rope_head_dim) &&
            k_rope.cols() == shape.qk_rope_head_dim &&
            kv.cols() == shape.num_heads * (shape.qk_nope_head_dim + shape.v_head_dim),
        "MlaAttention: columns do not fit the shape");
  int64_t next = 0;
  for (const SequenceRows& rows : sequences) {
    Check(rows.row_begin == next && rows.row_count >= 0,
          "MlaAttention: sequences must cover the rows");
    Check(!tape || rows.cache == nullptr, "MlaAttention: a tape and a cache exclude each other");
    Check(rows.cache == nullptr || rows.cache->length() + rows.row_count <= rows.cache->capacity(),
          "MlaAttention: the cache is full");
    next += rows.row_count;
  }
  Check(next == q.rows() && k_rope.rows() == next && kv.rows() == next,
        "MlaAttention: sequences must cover the rows");
}

}  // namespace

LayerKvCache::LayerKvCache(int64_t num_heads, int64_t qk_head_dim, int64_t v_head_dim,
                           int64_t capacity)
    : num_heads_(num_heads),
      qk_head_dim_(qk_head_dim),
      v_head_dim_(v_head_dim),
      capacity_(RoundUp32(capacity)),
      keys_(Tensor::Zeros(DType::kF32, {num_heads, capacity_ / 32, qk_head_dim, kPanelCols})),
      values_(
          Tensor::Zeros(DType::kF32, {num_heads, (v_head_dim + 31) / 32, capacity_, kPanelCols})) {}

float* LayerKvCache::keys(int64_t head) { return keys_.f32() + head * capacity_ * qk_head_dim_; }
float* LayerKvCache::values(int64_t head) {
  return values_.f32() + head * ((v_head_dim_ + 31) / 32) * capacity_ * kPanelCols;
}
int64_t LayerKvCache::key_panel_stride() const { return qk_head_dim_ * kPanelCols; }
int64_t LayerKvCache::value_panel_stride() const { return capacity_ * kPanelCols; }

void LayerKvCache::CopyPrefix(const LayerKvCache& other, int64_t length) {
  Check(num_heads_ == other.num_heads_ && qk_head_dim_ == other.qk_head_dim_ &&
            v_head_dim_ == other.v_head_dim_ && length <= other.length_ && length <= capacity_,
        "CopyPrefix: the caches do not fit");
  LayerKvCache& from =
      const_cast<LayerKvCache&>(other);  // keys() and values() only compute addresses
  const int64_t aligned = RoundUp32(length);
  for (int64_t h = 0; h < num_heads_; ++h) {
    std::memcpy(keys(h), from.keys(h), static_cast<size_t>(aligned * qk_head_dim_) * sizeof(float));
    for (int64_t p = 0; p < (v_head_dim_ + 31) / 32; ++p) {
      std::memcpy(values(h) + p * value_panel_stride(),
                  from.values(h) + p * from.value_panel_stride(),
                  static_cast<size_t>(length * kPanelCols) * sizeof(float));
    }
  }
  length_ = length;
}

Variable MlaAttention(const Runtime& rt, Tape* tape, const MlaShape& shape, const Variable& q,
                      const Variable& k_rope, const Variable& kv,
                      const std::vector<SequenceRows>& sequences) {
  CheckShapes(shape, q, k_rope, kv, sequences, tape != nullptr);
  Variable out(q.rows(), shape.num_heads * shape.v_head_dim);
  const Call call{rt, shape, q.value(), k_rope.value(), kv.value()};
  // A decode step has many short tasks: then a task takes all heads of a sequence.
  const bool short_tasks = q.rows() <= 2 * static_cast<int64_t>(sequences.size());
  const int64_t split = short_tasks ? 1 : shape.num_heads, heads = shape.num_heads / split;
  rt.pool->ParallelFor(static_cast<int64_t>(sequences.size()) * split, [&](int64_t task) {
    const SequenceRows& rows = sequences[static_cast<size_t>(task / split)];
    const int64_t past = rows.cache == nullptr ? 0 : rows.cache->length();
    for (int64_t h = task % split * heads; h < (task % split + 1) * heads; ++h) {
      AttendHead(call, rows, past, h, out.value());
    }
  });
  for (const SequenceRows& rows : sequences) {
    if (rows.cache != nullptr) rows.cache->set_length(rows.cache->length() + rows.row_count);
  }
  if (tape != nullptr) {
    tape->Record([call, sequences, q, k_rope, kv, out] {
      if (out.has_grad()) Backward(call, sequences, q, k_rope, kv, out);
    });
  }
  return out;
}

}  // namespace reckon
