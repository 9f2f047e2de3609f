// A matrix as it lies in a checkpoint, read row by row as f32: plain floats, GGUF's block formats,
// DeepSeek's FP8. Borrowed bytes, most often of a mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/block_formats.h"

namespace reckon {

// Hugging Face's Llama rotates elements (i, i + half) of a head, llama.cpp (2i, 2i + 1). Where row
// `row`, in Hugging Face's order, lies among pairs; and back. An even number of rows a head.
int64_t PairedRow(int64_t row, int64_t rows_of_head);
int64_t UnpairedRow(int64_t paired_row, int64_t rows_of_head);

struct StoredMatrix {
  int64_t rows = 0, cols = 0;
  const std::byte* data = nullptr;
  StorageFormat format = StorageFormat::kF32;
  // DeepSeek's FP8 (arXiv:2412.19437, section 3.3.2): e4m3 codes, and the scale of each block of
  // 128 x 128 [ceil(rows / 128), ceil(cols / 128)]; blocks at the edges may be partial. `format` is
  // then of no account.
  std::shared_ptr<const std::vector<float>> fp8_scales;
  std::shared_ptr<const void> owner;  // of the bytes, where they are not a file's
  // Above 0: the rows of every head of so many lie as llama.cpp writes q and k of a llama, pairs
  // (i, i + half) side by side; they are read in Hugging Face's order.
  int64_t paired_rows_of_head = 0;

  // Elements [begin, begin + count) of a row. `begin` must be a multiple of 256, and the count one
  // too unless it reaches the end of the row.
  void Read(int64_t row, int64_t begin, int64_t count, float* out) const;
};

// Matrices of the same width under one another: a parameter that a checkpoint keeps in parts, such
// as gate and up, or an expert each.
class StoredWeight {
 public:
  void Append(StoredMatrix part);
  int64_t rows() const { return ends_.empty() ? 0 : ends_.back(); }
  void Read(int64_t row, int64_t begin, int64_t count, float* out) const;
  const std::vector<StoredMatrix>& parts() const { return parts_; }

 private:
  std::vector<StoredMatrix> parts_;
  std::vector<int64_t> ends_;  // rows up to and with a part
};

}  // namespace reckon
