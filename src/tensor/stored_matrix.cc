#include "tensor/stored_matrix.h"

#include <algorithm>

#include "base/error.h"
#include "tensor/block_quant.h"
#include "tensor/number_formats.h"

namespace reckon {
namespace {

void ReadFp8(const StoredMatrix& m, int64_t row, int64_t begin, int64_t count, float* out) {
  const int64_t blocks = (m.cols + kQuantBlock - 1) / kQuantBlock;
  const float* scales = m.fp8_scales->data() + row / kQuantBlock * blocks;
  const auto* codes = reinterpret_cast<const uint8_t*>(m.data) + row * m.cols;
  const std::array<float, 256>& e4m3 = E4M3Values();
  for (int64_t c = begin; c < begin + count; ++c) {
    out[c - begin] = e4m3[codes[c]] * scales[c / kQuantBlock];
  }
}

}  // namespace

int64_t PairedRow(int64_t row, int64_t rows_of_head) {
  const int64_t i = row % rows_of_head, half = rows_of_head / 2;
  return row - i + (i < half ? 2 * i : 2 * (i - half) + 1);
}

int64_t UnpairedRow(int64_t paired_row, int64_t rows_of_head) {
  const int64_t i = paired_row % rows_of_head, half = rows_of_head / 2;
  return paired_row - i + i % 2 * half + i / 2;
}

void StoredMatrix::Read(int64_t row, int64_t begin, int64_t count, float* out) const {
  if (paired_rows_of_head > 0) row = PairedRow(row, paired_rows_of_head);
  if (fp8_scales) {
    ReadFp8(*this, row, begin, count, out);
    return;
  }
  const FormatInfo& info = InfoOf(format);
  const std::byte* from = data + (row * cols + begin) / info.block_elements * info.block_bytes;
  DequantizeRow(format, from, count, out);
}

void StoredWeight::Append(StoredMatrix part) {
  Check(parts_.empty() || parts_[0].cols == part.cols, "StoredWeight: parts of one width");
  ends_.push_back(rows() + part.rows);
  parts_.push_back(std::move(part));
}

void StoredWeight::Read(int64_t row, int64_t begin, int64_t count, float* out) const {
  const auto end = std::upper_bound(ends_.begin(), ends_.end(), row);
  const auto index = static_cast<size_t>(end - ends_.begin());
  parts_[index].Read(row - (index == 0 ? 0 : ends_[index - 1]), begin, count, out);
}

}  // namespace reckon
