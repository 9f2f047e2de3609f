#include "ops/linear.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "ops/parallel.h"

namespace reckon {
namespace {

// Rows of a task: a multiple of every kernel's tile height, small enough that two threads balance.
constexpr int64_t kTaskRows = 168;
// Multiply-adds below which a product is not split: a few microseconds.
constexpr int64_t kSmallProduct = 100000;

// One product of a group: rows of A times one packed matrix.
struct Product {
  ConstMatrix a;  // [m, k]
  const std::byte* panels = nullptr;
  Matrix c;  // [m, n]
  bool accumulate = false;
};

struct Tile {
  size_t product;
  int64_t row, rows, panel, panels;
};

// Cuts products into tiles of rows and panels. Which tile an element falls into does not matter.
void CutTiles(const Product& product, size_t index, int64_t k, int threads,
              std::vector<Tile>& tiles) {
  const int64_t m = product.c.rows, panels = (product.c.cols + kPanelCols - 1) / kPanelCols;
  if (m == 0) return;
  int64_t row_tiles = (m + kTaskRows - 1) / kTaskRows, panel_tiles = 1;
  if (row_tiles < 2 * threads && m * k * product.c.cols > kSmallProduct) {
    panel_tiles = std::min(panels, (2 * threads + row_tiles - 1) / row_tiles);
  }
  const int64_t height = (m + row_tiles - 1) / row_tiles;
  const int64_t width = (panels + panel_tiles - 1) / panel_tiles;
  for (int64_t row = 0; row < m; row += height) {
    for (int64_t panel = 0; panel < panels; panel += width) {
      tiles.push_back(
          {index, row, std::min(height, m - row), panel, std::min(width, panels - panel)});
    }
  }
}

void RunTile(const Runtime& rt, const Product& product, const Tile& tile, int64_t k,
             int64_t panel_stride) {
  const bool bf16 = rt.precision == Precision::kBF16;
  const int64_t first = tile.panel * kPanelCols;
  GemmArgs args;
  args.m = tile.rows;
  args.n = std::min(tile.panels * kPanelCols, product.c.cols - first);
  args.k = k;
  args.a = product.a.row(tile.row);
  args.a_row_stride = product.a.row_stride;
  args.b = product.panels + tile.panel * panel_stride * (bf16 ? 2 : 4);
  args.b_panel_stride = panel_stride;
  args.c = product.c.row(tile.row) + first;
  args.c_row_stride = product.c.row_stride;
  args.accumulate = product.accumulate;
  (bf16 ? rt.kernels->gemm_bf16 : rt.kernels->gemm_f32)(args);
}

void RunProducts(const Runtime& rt, const std::vector<Product>& products, int64_t k,
                 int64_t panel_stride) {
  std::vector<Tile> tiles;
  const int threads = products.size() > 4 ? 1 : rt.pool->num_threads();
  for (size_t i = 0; i < products.size(); ++i) CutTiles(products[i], i, k, threads, tiles);
  rt.pool->ParallelFor(static_cast<int64_t>(tiles.size()), [&](int64_t task) {
    const Tile& tile = tiles[static_cast<size_t>(task)];
    RunTile(rt, products[tile.product], tile, k, panel_stride);
  });
}

// dW += dY^T X for rows [begin, begin + count), the chain over rows going on from what dW holds.
struct WeightGradient {
  ConstMatrix dy, x;
  float* dw = nullptr;  // [out, in]
};

void RunWeightGradients(const Runtime& rt, const std::vector<WeightGradient>& gradients) {
  if (gradients.empty()) return;
  const bool bf16 = rt.precision == Precision::kBF16;
  const int64_t in = gradients[0].x.cols, out = gradients[0].dy.cols;
  const int64_t panels = (in + kPanelCols - 1) / kPanelCols;
  std::vector<int64_t> base(gradients.size() + 1, 0), stride(gradients.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    stride[i] = (gradients[i].x.rows + 1) / 2 * 2 * kPanelCols;
    base[i + 1] = base[i] + stride[i] * panels;
  }
  Tensor packed(bf16 ? DType::kBF16 : DType::kF32, {base.back()});
  const int64_t element = bf16 ? 2 : 4;
  const int64_t count = static_cast<int64_t>(gradients.size());
  // A task owns a panel (32 columns of dW) of one matrix: it packs that panel of X and multiplies.
  // Tall dY are cut further by output rows, the panel being packed by a pass of its own.
  rt.pool->ParallelFor(count * panels, [&](int64_t task) {
    const size_t i = static_cast<size_t>(task / panels);
    const int64_t first = task % panels * kPanelCols;
    PackArgs args;
    args.k = gradients[i].x.rows;
    args.n = std::min(kPanelCols, in - first);
    args.b = gradients[i].x.data + first;
    args.row_stride = gradients[i].x.row_stride;
    args.panels = packed.bytes() + (base[i] + task % panels * stride[i]) * element;
    args.panel_stride = stride[i];
    (bf16 ? rt.kernels->pack_bf16 : rt.kernels->pack_f32)(args);
  });
  const int64_t row_tiles = (out + kTaskRows - 1) / kTaskRows;
  const int64_t height = (out + row_tiles - 1) / row_tiles;
  int64_t panel_tiles = 1;
  if (count * row_tiles < 4 * rt.pool->num_threads()) {
    panel_tiles = std::min(panels, (4 * rt.pool->num_threads() + row_tiles - 1) / row_tiles);
  }
  const int64_t width = (panels + panel_tiles - 1) / panel_tiles;
  rt.pool->ParallelFor(count * row_tiles * panel_tiles, [&](int64_t task) {
    const size_t i = static_cast<size_t>(task / (row_tiles * panel_tiles));
    const int64_t row = task / panel_tiles % row_tiles * height;
    const int64_t panel = task % panel_tiles * width;
    if (row >= out || panel >= panels) return;
    const int64_t first = panel * kPanelCols;
    GemmArgs args;
    args.m = std::min(height, out - row);
    args.n = std::min(width * kPanelCols, in - first);
    args.k = gradients[i].x.rows;
    args.a = gradients[i].dy.data + row;
    args.a_row_stride = 1;
    args.a_col_stride = gradients[i].dy.row_stride;
    args.b = packed.bytes() + (base[i] + panel * stride[i]) * element;
    args.b_panel_stride = stride[i];
    args.c = gradients[i].dw + row * in + first;
    args.c_row_stride = in;
    args.accumulate = true;
    (bf16 ? rt.kernels->gemm_bf16 : rt.kernels->gemm_f32)(args);
  });
}

// Columns of a stored weight that a task holds as f32 at a time: panel and rows stay in L2.
constexpr int64_t kStoredDepth = 1024;

// Columns [first, first + 32) of y for the rows of an expert: 32 rows of the stored weight are read
// as f32 and packed, a piece of k after the other. Between pieces the sums rest in y, which keeps
// them exactly, so the bits are those of the same product with the weight held as f32.
void RunStoredPanel(const Runtime& rt, const StoredWeight& weight, int64_t weight_row,
                    const ConstMatrix& a, const Matrix& c) {
  const bool bf16 = rt.precision == Precision::kBF16;
  const int64_t k = a.cols, depth = std::min(k, kStoredDepth);
  std::vector<float> rows(static_cast<size_t>(c.cols * depth));
  std::vector<float> panel(static_cast<size_t>((depth + 1) / 2 * 2 * kPanelCols));
  for (int64_t begin = 0; begin < k; begin += kStoredDepth) {
    const int64_t count = std::min(kStoredDepth, k - begin);
    for (int64_t j = 0; j < c.cols; ++j) {
      weight.Read(weight_row + j, begin, count, rows.data() + j * count);
    }
    const int64_t stride = (count + 1) / 2 * 2 * kPanelCols;
    (bf16 ? rt.kernels->pack_bf16
          : rt.kernels->pack_f32)({count, c.cols, rows.data(), 1, count, panel.data(), stride});
    GemmArgs args;
    args.m = a.rows;
    args.n = c.cols;
    args.k = count;
    args.a = a.data + begin;
    args.a_row_stride = a.row_stride;
    args.b = panel.data();
    args.b_panel_stride = stride;
    args.c = c.data;
    args.c_row_stride = c.row_stride;
    args.accumulate = begin > 0;
    (bf16 ? rt.kernels->gemm_bf16 : rt.kernels->gemm_f32)(args);
  }
}

void RunStored(const Runtime& rt, const StoredWeight& weight, const Matrix& x, const Matrix& y,
               const std::vector<int64_t>& offsets) {
  std::vector<int64_t> experts;  // those with rows
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    if (offsets[e + 1] > offsets[e]) experts.push_back(static_cast<int64_t>(e));
  }
  const int64_t panels = (y.cols + kPanelCols - 1) / kPanelCols;
  rt.pool->ParallelFor(static_cast<int64_t>(experts.size()) * panels, [&](int64_t task) {
    const int64_t expert = experts[static_cast<size_t>(task / panels)];
    const int64_t first = task % panels * kPanelCols;
    const int64_t begin = offsets[static_cast<size_t>(expert)];
    const int64_t count = offsets[static_cast<size_t>(expert) + 1] - begin;
    RunStoredPanel(
        rt, weight, expert * y.cols + first, {x.row(begin), count, x.cols, x.row_stride},
        {y.row(begin) + first, count, std::min(kPanelCols, y.cols - first), y.row_stride});
  });
}

Matrix Rows(const Matrix& m, int64_t begin, int64_t count) {
  return {m.row(begin), count, m.cols, m.row_stride};
}

// Products of row groups with the experts of a packed weight.
std::vector<Product> GroupProducts(const PackedWeight& packed, const Matrix& a, const Matrix& c,
                                   const std::vector<int64_t>& offsets, bool accumulate) {
  std::vector<Product> products;
  const int64_t element = packed.precision == Precision::kBF16 ? 2 : 4;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t begin = offsets[e], count = offsets[e + 1] - begin;
    if (count == 0) continue;
    products.push_back(
        {Rows(a, begin, count),
         packed.panels.bytes() + static_cast<int64_t>(e) * packed.matrix_stride * element,
         Rows(c, begin, count), accumulate});
  }
  return products;
}

void AddBias(const Runtime& rt, const Matrix& y, const Parameter& bias) {
  ForRowBlocks(rt, y.rows, y.cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      rt.kernels->add(y.row(r), bias.value().f32(), y.cols, y.row(r));
  });
}

void BiasBackward(const Runtime& rt, const Matrix& dy, Parameter& bias) {
  float* grad = bias.grad().f32();
  ForColumnBlocks(rt, dy.cols, dy.rows, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < dy.rows; ++r) {
      rt.kernels->add(grad + begin, dy.row(r) + begin, end - begin, grad + begin);
    }
  });
}

void GroupedBackward(const Runtime& rt, const Variable& x, const Variable& y, Parameter& weight,
                     const std::vector<int64_t>& offsets) {
  const Matrix dy = y.grad();
  const int64_t out = dy.cols, in = x.cols();
  const PackedWeight& packed = weight.packed_backward(rt);
  const Variable::GradTarget dx = x.grad_target();
  RunProducts(rt, GroupProducts(packed, dy, dx.matrix, offsets, dx.accumulate), out,
              packed.panel_stride);
  if (!weight.trainable()) return;
  std::vector<WeightGradient> gradients;
  float* dw = weight.grad().f32();
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t begin = offsets[e], count = offsets[e + 1] - begin;
    if (count == 0) continue;
    gradients.push_back({Rows(dy, begin, count), Rows(x.value(), begin, count),
                         dw + static_cast<int64_t>(e) * out * in});
  }
  RunWeightGradients(rt, gradients);
}

Variable GroupedForward(const Runtime& rt, const Variable& x, Parameter& weight, int64_t out,
                        const std::vector<int64_t>& offsets) {
  if (rt.watch_inputs != nullptr) (*rt.watch_inputs)(weight, x.value(), offsets);
  Variable y(x.rows(), out);
  if (weight.is_stored()) {
    RunStored(rt, weight.stored(), x.value(), y.value(), offsets);
    return y;
  }
  const PackedWeight& packed = weight.packed_forward(rt);
  RunProducts(rt, GroupProducts(packed, x.value(), y.value(), offsets, false), x.cols(),
              packed.panel_stride);
  return y;
}

void CheckInputs(const Variable& x, const Parameter& weight, size_t dimensions) {
  const Shape& shape = weight.shape();
  if (shape.size() != dimensions || shape.back() != x.cols()) {
    Throw(ErrorKind::kInternal, fmt::format("{}: weight {} does not fit an input of {} columns",
                                            weight.name(), ToString(shape), x.cols()));
  }
}

}  // namespace

Variable Linear(const Runtime& rt, Tape* tape, const Variable& x, Parameter& weight,
                Parameter* bias) {
  CheckInputs(x, weight, 2);
  Check(bias == nullptr || bias->value().num_elements() == weight.shape()[0],
        "Linear: one bias an output");
  const std::vector<int64_t> offsets = {0, x.rows()};
  Check(tape == nullptr || !weight.is_stored(), "a stored weight has no backward");
  Variable y = GroupedForward(rt, x, weight, weight.shape()[0], offsets);
  if (bias != nullptr) AddBias(rt, y.value(), *bias);
  if (tape != nullptr) {
    tape->Record([rt, x, y, offsets, &weight, bias] {
      if (!y.has_grad()) return;
      GroupedBackward(rt, x, y, weight, offsets);
      if (bias != nullptr && bias->trainable()) BiasBackward(rt, y.grad(), *bias);
    });
  }
  return y;
}

Variable LinearF32(const Runtime& rt, Tape* tape, const Variable& x, Parameter& weight) {
  Runtime f32 = rt;
  f32.precision = Precision::kF32;
  return Linear(f32, tape, x, weight);
}

Variable GroupedLinear(const Runtime& rt, Tape* tape, const Variable& x, Parameter& weight,
                       const std::vector<int64_t>& offsets) {
  CheckInputs(x, weight, 3);
  Check(tape == nullptr || !weight.is_stored(), "a stored weight has no backward");
  Check(static_cast<int64_t>(offsets.size()) == weight.shape()[0] + 1 && offsets.front() == 0 &&
            offsets.back() == x.rows() && std::is_sorted(offsets.begin(), offsets.end()),
        "GroupedLinear: offsets must ascend from 0 to the number of rows, one more than experts");
  Variable y = GroupedForward(rt, x, weight, weight.shape()[1], offsets);
  if (tape != nullptr) {
    tape->Record([rt, x, y, offsets, &weight] {
      if (y.has_grad()) GroupedBackward(rt, x, y, weight, offsets);
    });
  }
  return y;
}

}  // namespace reckon
