// The bytes of a planned GGUF tensor, from rows of its sources.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/gguf_config.h"
#include "formats/gguf_weights.h"
#include "tensor/stored_matrix.h"

namespace reckon {
namespace {

constexpr int64_t kChunkElements = 1 << 20;  // f32 values in memory at a time

// Which row of a source is row `row` of its part of the file.
class RowMap {
 public:
  RowMap(const GgufPlanned& tensor, const Json& config, int64_t rows) : part_(tensor.part) {
    if (part_ != GgufPlanned::Part::kWhole) kv_b_ = KvBShapeOf(config);
    if (tensor.order != RowOrder::kAsIs)
      head_rows_ = RowsOfHead(rows, HeadsOf(tensor.order, config));
  }

  int64_t operator()(int64_t row) const {
    if (part_ == GgufPlanned::Part::kValuesOfKvB) {
      const int64_t head = row / kv_b_.v_head_dim;
      return head * (kv_b_.qk_nope_head_dim + kv_b_.v_head_dim) + kv_b_.qk_nope_head_dim +
             row % kv_b_.v_head_dim;
    }
    return head_rows_ == 0 ? row : UnpairedRow(row, head_rows_);
  }

 private:
  GgufPlanned::Part part_;
  KvBShape kv_b_;
  int64_t head_rows_ = 0;  // 0: rows stay in order
};

class Filler {
 public:
  Filler(const GgufPlanned& tensor, const Json& config, const ReadRow& read,
         std::span<const float> importance, const WriteBytes& write, ThreadPool* pool)
      : tensor_(tensor), read_(read), importance_(importance), write_(write), pool_(pool) {
    columns_ = tensor.spec.shape.empty() ? 1 : tensor.spec.shape.back();
    rows_ = columns_ == 0 ? 0 : NumElements(tensor.spec.shape) / columns_;
    source_rows_ = rows_ / static_cast<int64_t>(tensor.sources.size());
    row_bytes_ = RowBytes(tensor.spec.format, columns_);
    const auto width = static_cast<size_t>(columns_);
    matrices_ = importance.size() / std::max<size_t>(width, 1);
    if (matrices_ * width != importance.size() ||
        (matrices_ > 1 && static_cast<size_t>(rows_) % matrices_ != 0)) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("tensor \"{}\": an importance matrix of {} values for {} columns",
                        tensor.spec.name, importance.size(), columns_));
    }
    if (tensor.part == GgufPlanned::Part::kKeysOfKvB) kv_b_ = KvBShapeOf(config);
  }

  int64_t source_rows() const { return source_rows_; }

  // Source `s` is rows [s * source_rows, (s + 1) * source_rows) of the file's tensor.
  void Source(size_t s, const RowMap& map) {
    if (columns_ == 0) return;
    const bool keys = tensor_.part == GgufPlanned::Part::kKeysOfKvB;
    const int64_t chunk =
        keys ? kv_b_.kv_lora_rank : std::max<int64_t>(1, kChunkElements / columns_);
    const int64_t first = static_cast<int64_t>(s) * source_rows_;
    for (int64_t begin = 0; begin < source_rows_; begin += chunk) {
      const int64_t count = std::min(chunk, source_rows_ - begin);
      values_.resize(static_cast<size_t>(count * columns_));
      bytes_.resize(static_cast<size_t>(count * row_bytes_));
      if (keys) ReadKeys(tensor_.sources[s], begin / chunk);
      ParallelFor(pool_, count, [&](int64_t i) {
        const std::span<float> row = Row(i);
        if (!keys) read_(tensor_.sources[s], map(begin + i), row);
        QuantizeRow(tensor_.spec.format, row, ImportanceOf(first + begin + i),
                    bytes_.data() + i * row_bytes_);
      });
      write_(bytes_);
    }
  }

 private:
  std::span<float> Row(int64_t i) {
    const auto width = static_cast<size_t>(columns_);
    return std::span(values_).subspan(static_cast<size_t>(i) * width, width);
  }
  std::span<const float> ImportanceOf(int64_t row) const {
    if (matrices_ == 0) return {};
    const auto width = static_cast<size_t>(columns_);
    const int64_t matrix = row / (rows_ / static_cast<int64_t>(matrices_));
    return importance_.subspan(static_cast<size_t>(matrix) * width, width);
  }
  // The keys of a head are stored as [rank, nope], the transpose of kv_b's rows.
  void ReadKeys(const std::string& source, int64_t head) {
    const int64_t nope = kv_b_.qk_nope_head_dim, rank = kv_b_.kv_lora_rank;
    std::vector<float> rows(static_cast<size_t>(nope * rank));
    ParallelFor(pool_, nope, [&](int64_t j) {
      read_(source, head * (nope + kv_b_.v_head_dim) + j,
            std::span(rows).subspan(static_cast<size_t>(j * rank), static_cast<size_t>(rank)));
    });
    SplitKvB({1, nope, 0, rank}, rows.data(), values_.data(), values_.data());  // no values
  }

  const GgufPlanned& tensor_;
  const ReadRow& read_;
  std::span<const float> importance_;
  const WriteBytes& write_;
  ThreadPool* pool_;
  KvBShape kv_b_;
  int64_t columns_ = 0, rows_ = 0, source_rows_ = 0, row_bytes_ = 0;
  size_t matrices_ = 0;
  std::vector<float> values_;
  std::vector<std::byte> bytes_;
};

// The elements of a bias of q or k lie as the rows of its matrix.
void FillRotaryBias(const GgufPlanned& tensor, const Json& config, const ReadRow& read,
                    const WriteBytes& write) {
  const int64_t size = NumElements(tensor.spec.shape);
  std::vector<float> bias(static_cast<size_t>(size)), turned(bias.size());
  read(tensor.sources[0], 0, bias);
  ToGgufRowOrder(std::as_bytes(std::span<const float>(bias)), size, HeadsOf(tensor.order, config),
                 std::as_writable_bytes(std::span(turned)).data());
  std::vector<std::byte> bytes(static_cast<size_t>(RowBytes(tensor.spec.format, size)));
  QuantizeRow(tensor.spec.format, turned, {}, bytes.data());
  write(bytes);
}

}  // namespace

void FillPlanned(const GgufPlanned& tensor, const Json& config, const ReadRow& read,
                 std::span<const float> importance, const WriteBytes& write, ThreadPool* pool) {
  if (tensor.sources.empty()) {
    write(std::as_bytes(std::span<const float>(Llama3RopeFactors(config))));
    return;
  }
  const bool vector = tensor.spec.shape.size() < 2;
  if (vector && tensor.order != RowOrder::kAsIs) {
    FillRotaryBias(tensor, config, read, write);
    return;
  }
  Filler filler(tensor, config, read, importance, write, pool);
  for (size_t s = 0; s < tensor.sources.size(); ++s) {
    try {
      filler.Source(s, RowMap(tensor, config, filler.source_rows()));
    } catch (const Error& error) {
      Throw(error.kind(), fmt::format("tensor \"{}\": {}", tensor.sources[s], error.what()));
    }
  }
}

}  // namespace reckon
