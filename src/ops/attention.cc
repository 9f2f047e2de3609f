#include "ops/attention.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "ops/gradient.h"
#include "ops/parallel.h"

namespace reckon {
namespace {

int64_t RoundUp32(int64_t n) { return (n + 31) / 32 * 32; }

// Scratch of one task, uninitialised.
using Floats = std::unique_ptr<float[]>;
Floats Scratch(int64_t n) { return Floats(new float[static_cast<size_t>(n)]); }
void Zero(float* p, int64_t n) { std::memset(p, 0, static_cast<size_t>(n) * sizeof(float)); }

// Both kinds of attention: a key is a part of its own head and, in MLA, a part that all heads
// share.
struct Geometry {
  int64_t num_heads, num_key_value_heads, own_key_dim, shared_key_dim, v_head_dim;
  float softmax_scale;
  int64_t qk_head_dim() const { return own_key_dim + shared_key_dim; }
  int64_t group() const { return num_heads / num_key_value_heads; }
};

// Where the columns of a key/value head lie: head h begins at begin + h * stride.
struct Heads {
  Matrix x;
  int64_t begin = 0, stride = 0;
  float* at(int64_t row, int64_t head) const { return x.row(row) + begin + head * stride; }
};

// Everything about a call that its tasks share. "head" is one of the queries, "kv" one of the keys
// and values.
struct Call {
  Runtime rt;
  Geometry shape;
  Matrix q, k_shared;
  Heads k, v;
  const float* query(int64_t row, int64_t head) const {
    return q.row(row) + head * shape.qk_head_dim();
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

  SequencePanels(const Call& call, const SequenceRows& rows, int64_t kv) {
    const int64_t count = rows.row_count, aligned = RoundUp32(count), v_dim = call.shape.v_head_dim;
    const int64_t own = call.shape.own_key_dim, dim = call.shape.qk_head_dim();
    panels.key_stride = dim * kPanelCols;
    panels.value_stride = aligned * kPanelCols;
    const int64_t value_panels = (v_dim + kPanelCols - 1) / kPanelCols;
    keys = Scratch(aligned / 32 * panels.key_stride);
    values = Scratch(value_panels * panels.value_stride);
    PackKeys(call, count, own, 0, call.k.at(rows.row_begin, kv), call.k.x.row_stride);
    if (dim > own) {
      PackKeys(call, count, dim - own, own, call.k_shared.row(rows.row_begin),
               call.k_shared.row_stride);
    }
    for (int64_t p = 0; p < value_panels; ++p) {
      Zero(values.get() + p * panels.value_stride + count * kPanelCols,
           (aligned - count) * kPanelCols);
    }
    PackArgs pack;
    pack.k = count;
    pack.n = v_dim;
    pack.b = call.v.at(rows.row_begin, kv);
    pack.row_stride = call.v.x.row_stride;
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
void AppendToCache(const Call& call, const SequenceRows& rows, int64_t past, int64_t kv) {
  const int64_t own = call.shape.own_key_dim;
  float* keys = rows.cache->keys(kv);
  float* values = rows.cache->values(kv);
  for (int64_t i = 0; i < rows.row_count; ++i) {
    const int64_t position = past + i, row = rows.row_begin + i;
    float* key = keys + position / 32 * rows.cache->key_panel_stride() + position % 32;
    const float* from = call.k.at(row, kv);
    for (int64_t d = 0; d < own; ++d) key[d * kPanelCols] = from[d];
    for (int64_t d = 0; d < call.shape.shared_key_dim; ++d) {
      key[(own + d) * kPanelCols] = call.k_shared.row(row)[d];
    }
    for (int64_t d = 0; d < call.shape.v_head_dim; d += kPanelCols) {
      const int64_t cols = std::min(kPanelCols, call.shape.v_head_dim - d);
      std::memcpy(
          values + d / kPanelCols * rows.cache->value_panel_stride() + position * kPanelCols,
          call.v.at(row, kv) + d, static_cast<size_t>(cols) * sizeof(float));
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
  scores.k = call.shape.qk_head_dim();
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

// The query heads that share one head of keys and values.
void AttendGroup(const Call& call, const SequenceRows& rows, int64_t past, int64_t kv,
                 const Matrix& out) {
  constexpr int64_t kSmall = 2048;  // a decode step's scores fit on the stack
  const int64_t total = past + rows.row_count, group = call.shape.group();
  const int64_t size = std::min<int64_t>(32, rows.row_count) * RoundUp32(total);
  float small[kSmall];
  const Floats large = size > kSmall ? Scratch(size) : Floats();
  float* probabilities = large ? large.get() : small;
  const auto attend = [&](const HeadPanels& panels) {
    ForQueryBlocks(rows, past, [&](const QueryBlock& block) {
      for (int64_t head = kv * group; head < (kv + 1) * group; ++head) {
        AttendBlock(call, panels, head, block, probabilities, out);
      }
    });
  };
  if (rows.cache != nullptr) {
    AppendToCache(call, rows, past, kv);
    attend({rows.cache->keys(kv), rows.cache->values(kv), rows.cache->key_panel_stride(),
            rows.cache->value_panel_stride()});
  } else {
    const SequencePanels panels(call, rows, kv);
    attend(panels.panels);
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

// Gradients of one head of keys and values of one sequence, over the query heads that share it.
class GroupBackward {
 public:
  GroupBackward(const Call& call, const SequenceRows& rows, int64_t kv, const Matrix& dout)
      : call_(call),
        rows_(rows),
        kv_(kv),
        dout_(dout),
        forward_(call, rows, kv),
        count_(rows.row_count),
        dim_(call.shape.qk_head_dim()),
        v_dim_(call.shape.v_head_dim),
        dk_(Scratch(count_ * dim_)),
        dv_(Scratch(count_ * v_dim_)) {
    Zero(dk_.get(), count_ * dim_);
    Zero(dv_.get(), count_ * v_dim_);
    PackOperands();
  }

  // dq's columns of these heads are written or added to; dk and dv stay here. Their chains run
  // over the heads in order, and over the queries of each.
  void Run(const Variable::GradTarget& dq) {
    const int64_t size = 32 * RoundUp32(count_), group = call_.shape.group();
    const Floats p = Scratch(size), ds = Scratch(size);
    for (int64_t head = kv_ * group; head < (kv_ + 1) * group; ++head) {
      head_ = head;
      ForQueryBlocks(rows_, 0, [&](const QueryBlock& block) {
        Probabilities(call_, forward_.panels, head_, block, p.get());
        ScoreGradient(block, p.get(), ds.get());
        QueryGradient(block, ds.get(), dq);
        KeyValueGradient(block, p.get(), ds.get());
      });
    }
  }

  const float* dk(int64_t i) const { return dk_.get() + i * dim_; }
  const float* dv(int64_t i) const { return dv_.get() + i * v_dim_; }

 private:
  void PackOperands() {
    const int64_t own = call_.shape.own_key_dim;
    const Floats keys = Scratch(count_ * dim_);
    for (int64_t i = 0; i < count_; ++i) {
      const int64_t row = rows_.row_begin + i;
      std::memcpy(keys.get() + i * dim_, call_.k.at(row, kv_),
                  static_cast<size_t>(own) * sizeof(float));
      if (dim_ > own) {
        std::memcpy(keys.get() + i * dim_ + own, call_.k_shared.row(row),
                    static_cast<size_t>(dim_ - own) * sizeof(float));
      }
    }
    key_rows_ = PackPlain(call_, keys.get(), count_, dim_, dim_);
    // V^T: [v_head_dim, positions].
    value_columns_ = Scratch((count_ + 31) / 32 * v_dim_ * kPanelCols);
    PackArgs pack;
    pack.k = v_dim_;
    pack.n = count_;
    pack.b = call_.v.at(rows_.row_begin, kv_);
    pack.row_stride = 1;
    pack.col_stride = call_.v.x.row_stride;
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
  const int64_t kv_;
  const Matrix dout_;
  const SequencePanels forward_;
  const int64_t count_, dim_, v_dim_;
  Floats dk_, dv_, key_rows_, value_columns_;
  int64_t head_ = 0;  // the query head at work
};

// The variables of a call, for its gradients. In MLA keys and values are columns of one.
struct Inputs {
  Variable q, k_shared, k, v;
  bool one_kv;
};

void Backward(const Call& call, const std::vector<SequenceRows>& sequences, const Inputs& in,
              const Matrix& dout) {
  const Geometry& shape = call.shape;
  const int64_t kvs = shape.num_key_value_heads, own = shape.own_key_dim;
  const int64_t shared = shape.shared_key_dim;
  const Variable::GradTarget dq = in.q.grad_target(), dk = in.k.grad_target();
  const Variable::GradTarget dv = in.one_kv ? dk : in.v.grad_target();
  const Heads dk_heads{dk.matrix, call.k.begin, call.k.stride};
  const Heads dv_heads{dv.matrix, call.v.begin, call.v.stride};
  Tensor shared_by_head(DType::kF32, {in.q.rows(), kvs * shared});
  const Matrix dk_shared_heads = shared_by_head.matrix();
  call.rt.pool->ParallelFor(static_cast<int64_t>(sequences.size()) * kvs, [&](int64_t task) {
    const SequenceRows& rows = sequences[static_cast<size_t>(task / kvs)];
    const int64_t kv = task % kvs;
    GroupBackward backward(call, rows, kv, dout);
    backward.Run(dq);
    for (int64_t i = 0; i < rows.row_count; ++i) {
      const int64_t row = rows.row_begin + i;
      Give(call.rt, dk.accumulate, backward.dk(i), own, dk_heads.at(row, kv));
      Give(call.rt, dv.accumulate, backward.dv(i), shape.v_head_dim, dv_heads.at(row, kv));
      if (shared > 0) {
        std::memcpy(dk_shared_heads.row(row) + kv * shared, backward.dk(i) + own,
                    static_cast<size_t>(shared) * sizeof(float));
      }
    }
  });
  if (shared == 0) return;
  const Matrix dk_shared = in.k_shared.grad();
  ForRowBlocks(call.rt, in.q.rows(), kvs * shared, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t h = 0; h < kvs; ++h) {
        call.rt.kernels->add(dk_shared.row(r), dk_shared_heads.row(r) + h * shared, shared,
                             dk_shared.row(r));
      }
    }
  });
}

void CheckSequences(const std::vector<SequenceRows>& sequences, int64_t total, bool tape) {
  int64_t next = 0;
  for (const SequenceRows& rows : sequences) {
    Check(rows.row_begin == next && rows.row_count >= 0,
          "attention: sequences must cover the rows");
    Check(!tape || rows.cache == nullptr, "attention: a tape and a cache exclude each other");
    Check(rows.cache == nullptr || rows.cache->length() + rows.row_count <= rows.cache->capacity(),
          "attention: the cache is full");
    next += rows.row_count;
  }
  Check(next == total, "attention: sequences must cover the rows");
}

Variable Attend(const Call& call, Tape* tape, const Inputs& in,
                const std::vector<SequenceRows>& sequences) {
  CheckSequences(sequences, in.q.rows(), tape != nullptr);
  Variable out(in.q.rows(), call.shape.num_heads * call.shape.v_head_dim);
  // A decode step has many short tasks: then a task takes all heads of a sequence.
  const bool short_tasks = in.q.rows() <= 2 * static_cast<int64_t>(sequences.size());
  const int64_t split = short_tasks ? 1 : call.shape.num_key_value_heads;
  const int64_t kvs = call.shape.num_key_value_heads / split;
  call.rt.pool->ParallelFor(static_cast<int64_t>(sequences.size()) * split, [&](int64_t task) {
    const SequenceRows& rows = sequences[static_cast<size_t>(task / split)];
    const int64_t past = rows.cache == nullptr ? 0 : rows.cache->length();
    for (int64_t kv = task % split * kvs; kv < (task % split + 1) * kvs; ++kv) {
      AttendGroup(call, rows, past, kv, out.value());
    }
  });
  for (const SequenceRows& rows : sequences) {
    if (rows.cache != nullptr) rows.cache->set_length(rows.cache->length() + rows.row_count);
  }
  if (tape != nullptr) {
    tape->Record([call, sequences, in, out] {
      if (out.has_grad()) Backward(call, sequences, in, out.grad());
    });
  }
  return out;
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
  const int64_t nope = shape.qk_nope_head_dim, rope = shape.qk_rope_head_dim;
  const int64_t stride = nope + shape.v_head_dim;
  Check(q.cols() == shape.num_heads * (nope + rope) && k_rope.cols() == rope &&
            kv.cols() == shape.num_heads * stride && k_rope.rows() == q.rows() &&
            kv.rows() == q.rows(),
        "MlaAttention: rows or columns do not fit the shape");
  const Call call{
      rt,
      {shape.num_heads, shape.num_heads, nope, rope, shape.v_head_dim, shape.softmax_scale},
      q.value(),
      k_rope.value(),
      {kv.value(), 0, stride},
      {kv.value(), nope, stride}};
  return Attend(call, tape, {q, k_rope, kv, kv, true}, sequences);
}

Variable GroupedQueryAttention(const Runtime& rt, Tape* tape, const GqaShape& shape,
                               const Variable& q, const Variable& k, const Variable& v,
                               const std::vector<SequenceRows>& sequences) {
  const int64_t dim = shape.head_dim, kvs = shape.num_key_value_heads;
  Check(kvs > 0 && shape.num_heads % kvs == 0, "GroupedQueryAttention: heads do not form groups");
  Check(q.cols() == shape.num_heads * dim && k.cols() == kvs * dim && v.cols() == kvs * dim &&
            k.rows() == q.rows() && v.rows() == q.rows(),
        "GroupedQueryAttention: rows or columns do not fit the shape");
  const Call call{rt,
                  {shape.num_heads, kvs, dim, 0, dim, shape.softmax_scale},
                  q.value(),
                  {},
                  {k.value(), 0, dim},
                  {v.value(), 0, dim}};
  return Attend(call, tape, {q, {}, k, v, false}, sequences);
}

}  // namespace reckon
