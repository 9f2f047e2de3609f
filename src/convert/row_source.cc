#include "convert/row_source.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "base/rng.h"
#include "model/weights.h"

namespace reckon {
namespace {

// The tensor that rows are read from now: rows are asked for tensor after tensor.
class CurrentTensor {
 public:
  explicit CurrentTensor(const WeightSource& source) : source_(source) {}
  std::shared_ptr<const StoredMatrix> Open(const std::string& name) {
    const std::lock_guard lock(mutex_);
    if (name != name_ || !matrix_) {
      matrix_ = std::make_shared<StoredMatrix>(source_.Get(name, source_.ShapeOf(name)));
      name_ = name;
    }
    return matrix_;
  }

 private:
  const WeightSource& source_;
  std::mutex mutex_;
  std::string name_;
  std::shared_ptr<const StoredMatrix> matrix_;
};

bool IsNorm(const std::string& name) { return name.ends_with("norm.weight"); }

// Mean 0, standard deviation 1: the sum of four uniforms of 16 bits, from one draw.
float NearlyNormal(Rng& rng) {
  constexpr double kMean = 2 * 65535.0, kDeviation = 37837.22;  // sqrt(4 * (2^32 - 1) / 12)
  const uint64_t bits = rng.Next();
  const uint64_t sum =
      (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
  return static_cast<float>((static_cast<double>(sum) - kMean) / kDeviation);
}

}  // namespace

RowSource RowsOf(const OpenedWeights& opened) {
  RowSource rows;
  const WeightSource& source = *opened.weights;
  rows.where = source.where();
  rows.config = opened.config_json;
  for (const std::string& name : source.names()) rows.shapes[name] = source.ShapeOf(name);
  const auto current = std::make_shared<CurrentTensor>(source);
  rows.read = [current](const std::string& name, int64_t row, std::span<float> out) {
    current->Open(name)->Read(row, 0, static_cast<int64_t>(out.size()), out.data());
  };
  rows.stored_as = [current](const std::string& name) {
    const auto matrix = current->Open(name);
    return matrix->fp8_scales ? StorageFormat::kBF16 : matrix->format;
  };
  return rows;
}

RowSource RandomRows(const Json& config, const std::string& where, uint64_t seed) {
  RowSource rows;
  rows.where = where;
  rows.config = config;
  const ModelConfig parsed = ParseModelConfig(config, where);
  rows.shapes = TensorShapes(parsed);
  const auto deviation = static_cast<float>(parsed.initializer_range);
  rows.read = [seed, deviation](const std::string& name, int64_t row, std::span<float> out) {
    if (IsNorm(name) || name.ends_with("bias")) {
      std::fill(out.begin(), out.end(), IsNorm(name) ? 1.0f : 0.0f);
      return;
    }
    Rng rng(seed, {StreamName("weights"), StreamName(name), static_cast<uint64_t>(row)});
    for (float& value : out) value = NearlyNormal(rng) * deviation;
  };
  rows.stored_as = [](const std::string&) { return StorageFormat::kBF16; };
  return rows;
}

}  // namespace reckon
