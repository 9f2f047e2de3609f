#include "ops/elementwise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/math.h"
#include "ops/gradient.h"
#include "ops/parallel.h"

namespace reckon {
namespace {

void Copy(const float* from, int64_t n, float* to) {
  std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}

void NormBackward(const Runtime& rt, const Variable& x, int64_t col_begin, const Variable& y,
                  Parameter& weight, const std::vector<float>& inv_rms) {
  const Matrix dy = y.grad(), xv = x.value();
  // A part of the columns: the others must be zero on first use, so the plain gradient is taken.
  const bool whole = y.cols() == x.cols();
  const Variable::GradTarget dx = whole ? x.grad_target() : Variable::GradTarget{x.grad(), true};
  ForRowBlocks(rt, y.rows(), 2 * y.cols(), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      rt.kernels->rms_norm_backward(xv.row(r) + col_begin, weight.value().f32(),
                                    inv_rms[static_cast<size_t>(r)], dy.row(r), y.cols(),
                                    dx.accumulate, dx.matrix.row(r) + col_begin);
    }
  });
  if (!weight.trainable()) return;
  float* dw = weight.grad().f32();
  ForColumnBlocks(rt, y.cols(), y.rows(), [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < y.rows(); ++r) {
      rt.kernels->rms_norm_dweight(xv.row(r) + col_begin + begin, inv_rms[static_cast<size_t>(r)],
                                   dy.row(r) + begin, end - begin, dw + begin);
    }
  });
}

// Rotates the last 2 * half columns of every head, sign 1 forth and -1 back; the others are copied.
void RotateRow(const Runtime& rt, const RopeTable& table, int64_t row, float sign,
               int64_t num_heads, int64_t head_dim, const float* from, float* to) {
  const int64_t half = table.cos.dim(1), keep = head_dim - 2 * half;
  const int64_t at = table.index[static_cast<size_t>(row)] * half;
  const float* cos = table.cos.f32() + at;
  const float* sin = table.sin.f32() + at;
  const auto rotate =
      table.interleaved ? rt.kernels->rope_interleaved : rt.kernels->rope_half_split;
  for (int64_t h = 0; h < num_heads; ++h) {
    const float* in = from + h * head_dim;
    float* out = to + h * head_dim;
    if (keep > 0) Copy(in, keep, out);
    rotate(in + keep, cos, sin, sign, half, out + keep);
  }
}

}  // namespace

Variable Embedding(const Runtime& rt, Tape* tape, std::span<const int32_t> ids, Parameter& table) {
  const int64_t vocab_size = table.shape()[0], hidden = table.shape()[1];
  Check(tape == nullptr || !table.is_stored(), "a stored weight has no backward");
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("token id {} at row {} is outside the vocabulary of {}", ids[i], i,
                        vocab_size));
    }
  }
  const int64_t rows = static_cast<int64_t>(ids.size());
  Variable y(rows, hidden);
  ForRowBlocks(rt, rows, hidden, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t id = ids[static_cast<size_t>(r)];
      if (table.is_stored()) {
        table.stored().Read(id, 0, hidden, y.value().row(r));
      } else {
        Copy(table.value().f32() + id * hidden, hidden, y.value().row(r));
      }
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, y, &table, saved = std::vector<int32_t>(ids.begin(), ids.end())] {
      if (!y.has_grad() || !table.trainable()) return;
      const Matrix dy = y.grad();
      float* grad = table.grad().f32();
      ForColumnBlocks(rt, dy.cols, dy.rows, [&](int64_t begin, int64_t end) {
        for (int64_t r = 0; r < dy.rows; ++r) {
          float* to = grad + saved[static_cast<size_t>(r)] * dy.cols + begin;
          rt.kernels->add(to, dy.row(r) + begin, end - begin, to);
        }
      });
    });
  }
  return y;
}

Variable RmsNormColumns(const Runtime& rt, Tape* tape, const Variable& x, int64_t col_begin,
                        Parameter& weight, float eps) {
  const int64_t cols = weight.value().num_elements();
  Check(col_begin >= 0 && col_begin + cols <= x.cols(), "RmsNorm: columns outside the input");
  Variable y(x.rows(), cols);
  std::vector<float> inv_rms(static_cast<size_t>(x.rows()));
  ForRowBlocks(rt, x.rows(), cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      inv_rms[static_cast<size_t>(r)] = rt.kernels->rms_norm(
          x.value().row(r) + col_begin, weight.value().f32(), eps, cols, y.value().row(r));
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, x, y, col_begin, &weight, saved = std::move(inv_rms)] {
      if (y.has_grad()) NormBackward(rt, x, col_begin, y, weight, saved);
    });
  }
  return y;
}

Variable RmsNorm(const Runtime& rt, Tape* tape, const Variable& x, Parameter& weight, float eps) {
  Check(weight.value().num_elements() == x.cols(), "RmsNorm: one weight a column");
  return RmsNormColumns(rt, tape, x, 0, weight, eps);
}

Variable SwiGlu(const Runtime& rt, Tape* tape, const Variable& gate_up) {
  Check(gate_up.cols() % 2 == 0, "SwiGlu: gate and up need an even number of columns");
  const int64_t n = gate_up.cols() / 2;
  Variable y(gate_up.rows(), n);
  ForRowBlocks(rt, y.rows(), 4 * n, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* gate = gate_up.value().row(r);
      rt.kernels->silu_mul(gate, gate + n, n, y.value().row(r));
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, gate_up, y, n] {
      if (!y.has_grad()) return;
      Check(!gate_up.has_grad(), "SwiGlu: its input may have one reader only");
      const Matrix dx = gate_up.grad_target().matrix, dy = y.grad();
      ForRowBlocks(rt, y.rows(), 6 * n, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const float* gate = gate_up.value().row(r);
          rt.kernels->silu_mul_backward(gate, gate + n, dy.row(r), n, dx.row(r), dx.row(r) + n);
        }
      });
    });
  }
  return y;
}

Variable Add(const Runtime& rt, Tape* tape, const Variable& x, const Variable& y) {
  Check(x.rows() == y.rows() && x.cols() == y.cols(), "Add: shapes differ");
  Variable sum(x.rows(), x.cols());
  ForRowBlocks(rt, x.rows(), x.cols(), [&](int64_t begin, int64_t end) {
    rt.kernels->add(x.value().row(begin), y.value().row(begin), (end - begin) * x.cols(),
                    sum.value().row(begin));
  });
  if (tape != nullptr) {
    tape->Record([rt, x, y, sum] {
      if (!sum.has_grad()) return;
      for (const Variable* input : {&x, &y}) {
        const Variable::GradTarget d = input->grad_target();
        ForRowBlocks(rt, sum.rows(), sum.cols(), [&](int64_t begin, int64_t end) {
          Give(rt, d.accumulate, sum.grad().row(begin), (end - begin) * sum.cols(),
               d.matrix.row(begin));
        });
      }
    });
  }
  return sum;
}

Variable ConcatColumns(const Runtime& rt, Tape* tape, const Variable& x, const Variable& y) {
  Check(x.rows() == y.rows(), "ConcatColumns: numbers of rows differ");
  Variable both(x.rows(), x.cols() + y.cols());
  ForRowBlocks(rt, x.rows(), both.cols(), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      Copy(x.value().row(r), x.cols(), both.value().row(r));
      Copy(y.value().row(r), y.cols(), both.value().row(r) + x.cols());
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, x, y, both] {
      if (!both.has_grad()) return;
      const Matrix d = both.grad();
      const Variable::GradTarget dx = x.grad_target(), dy = y.grad_target();
      ForRowBlocks(rt, x.rows(), both.cols(), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          Give(rt, dx.accumulate, d.row(r), x.cols(), dx.matrix.row(r));
          Give(rt, dy.accumulate, d.row(r) + x.cols(), y.cols(), dy.matrix.row(r));
        }
      });
    });
  }
  return both;
}

Variable GatherRows(const Runtime& rt, Tape* tape, const Variable& x,
                    const std::vector<int64_t>& indices) {
  for (int64_t index : indices) {
    Check(index >= 0 && index < x.rows(), "GatherRows: an index is outside the rows");
  }
  const int64_t rows = static_cast<int64_t>(indices.size());
  Variable y(rows, x.cols());
  ForRowBlocks(rt, rows, x.cols(), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      Copy(x.value().row(indices[static_cast<size_t>(r)]), x.cols(), y.value().row(r));
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, x, y, indices] {
      if (!y.has_grad()) return;
      const Matrix dx = x.grad(), dy = y.grad();
      // An index may repeat, so columns are split, not rows.
      ForColumnBlocks(rt, dy.cols, dy.rows, [&](int64_t begin, int64_t end) {
        for (int64_t r = 0; r < dy.rows; ++r) {
          float* to = dx.row(indices[static_cast<size_t>(r)]) + begin;
          rt.kernels->add(to, dy.row(r) + begin, end - begin, to);
        }
      });
    });
  }
  return y;
}

RopeTable MakeRopeTable(const Runtime& rt, std::span<const int32_t> positions,
                        std::span<const float> inv_freq, float scale, bool interleaved) {
  const int64_t half = static_cast<int64_t>(inv_freq.size());
  // Sequences of a batch share most of their positions.
  std::vector<int32_t> distinct(positions.begin(), positions.end());
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const int64_t count = static_cast<int64_t>(distinct.size());
  RopeTable table;
  table.interleaved = interleaved;
  table.cos = Tensor(DType::kF32, {count, half});
  table.sin = Tensor(DType::kF32, {count, half});
  for (int32_t position : positions) {
    const auto place = std::lower_bound(distinct.begin(), distinct.end(), position);
    table.index.push_back(place - distinct.begin());
  }
  float* cos = table.cos.f32();
  float* sin = table.sin.f32();
  // The sine of a double costs as much as some twenty elementwise operations.
  ForRowBlocks(rt, count, 20 * half, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t i = 0; i < half; ++i) {
        const float angle =
            static_cast<float>(distinct[static_cast<size_t>(r)]) * inv_freq[static_cast<size_t>(i)];
        double s = 0, c = 0;
        SinCos(static_cast<double>(angle), &s, &c);
        cos[r * half + i] = static_cast<float>(c) * scale;
        sin[r * half + i] = static_cast<float>(s) * scale;
      }
    }
  });
  return table;
}

Variable Rope(const Runtime& rt, Tape* tape, const Variable& x, int64_t col_begin,
              int64_t num_heads, int64_t head_dim, std::shared_ptr<const RopeTable> table) {
  const int64_t cols = num_heads * head_dim;
  Check(col_begin + cols <= x.cols() && static_cast<int64_t>(table->index.size()) == x.rows() &&
            2 * table->cos.dim(1) <= head_dim,
        "Rope: columns or positions do not fit the input");
  Variable y(x.rows(), cols);
  ForRowBlocks(rt, x.rows(), 2 * cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      RotateRow(rt, *table, r, 1, num_heads, head_dim, x.value().row(r) + col_begin,
                y.value().row(r));
    }
  });
  if (tape != nullptr) {
    tape->Record([rt, x, y, col_begin, num_heads, head_dim, table] {
      if (!y.has_grad()) return;
      const int64_t n = y.cols();
      const bool whole = n == x.cols() && !x.has_grad();
      const Matrix dx = whole ? x.grad_target().matrix : x.grad();
      ForRowBlocks(rt, x.rows(), 2 * n, [&](int64_t begin, int64_t end) {
        std::vector<float> back(static_cast<size_t>(n));
        for (int64_t r = begin; r < end; ++r) {
          float* to = dx.row(r) + col_begin;
          RotateRow(rt, *table, r, -1, num_heads, head_dim, y.grad().row(r),
                    whole ? to : back.data());
          if (!whole) rt.kernels->add(to, back.data(), n, to);
        }
      });
    });
  }
  return y;
}

}  // namespace reckon
