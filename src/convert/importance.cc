#include "convert/importance.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "formats/gguf.h"
#include "formats/gguf_names.h"

namespace reckon {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";

// Adds up the squares of the columns of x for each matrix of a weight.
class Collector {
 public:
  explicit Collector(ThreadPool* pool) : pool_(pool) {}

  void Add(const Parameter& weight, const ConstMatrix& x, std::span<const int64_t> offsets) {
    ImportanceSums& sums = sums_[&weight];
    const size_t matrices = offsets.size() - 1;
    if (sums.rows.empty()) {
      sums.columns = x.cols;
      sums.rows.resize(matrices);
      sums.sum_of_squares.resize(matrices * static_cast<size_t>(x.cols));
    }
    for (size_t e = 0; e < matrices; ++e) sums.rows[e] += offsets[e + 1] - offsets[e];
    // A task owns columns, so each sum goes through the rows in their order.
    constexpr int64_t kColumns = 256;
    pool_->ParallelFor((x.cols + kColumns - 1) / kColumns, [&](int64_t task) {
      const int64_t end = std::min(x.cols, (task + 1) * kColumns);
      for (size_t e = 0; e < matrices; ++e) {
        double* out = sums.sum_of_squares.data() + static_cast<int64_t>(e) * x.cols;
        for (int64_t r = offsets[e]; r < offsets[e + 1]; ++r) {
          const float* row = x.row(r);
          for (int64_t c = task * kColumns; c < end; ++c) {
            out[c] += static_cast<double>(row[c]) * static_cast<double>(row[c]);
          }
        }
      }
    });
  }

  const ImportanceSums* Find(const Parameter* weight) const {
    const auto found = sums_.find(weight);
    return found == sums_.end() ? nullptr : &found->second;
  }

 private:
  ThreadPool* pool_;
  std::map<const Parameter*, ImportanceSums> sums_;
};

// Gate and up share a parameter and so what they are given; experts are matrices of one tensor.
std::map<std::string, ImportanceSums> ByGgufName(Model& model, const Collector& collector) {
  const auto architecture = ArchitectureOfModelType(model.config().model_type);
  Check(architecture.has_value(), "ByGgufName: every family has a GGUF architecture");
  std::map<std::string, ImportanceSums> sums;
  for (const Model::NamedTensor& tensor : model.named_tensors()) {
    const ImportanceSums* found = collector.Find(tensor.parameter);
    const auto place = PlaceInGguf(*architecture, tensor.name);
    if (found == nullptr || !place || sums.count(place->name) > 0) continue;
    sums[place->name] = *found;
    constexpr std::string_view kKvB = "attn_kv_b.weight";
    if (!place->name.ends_with(kKvB)) continue;
    // The keys' half is stored transposed: its columns are no inputs.
    const std::string prefix = place->name.substr(0, place->name.size() - kKvB.size());
    sums[KvBPartsOf(prefix).v_b] = *found;
  }
  return sums;
}

std::vector<float> MeansOf(const StoredTensor& sums, const StoredTensor& counts) {
  std::vector<float> means(static_cast<size_t>(NumElements(sums.shape)));
  const int64_t columns = sums.columns();
  std::vector<float> rows(static_cast<size_t>(NumElements(counts.shape)));
  DequantizeRow(counts.format, counts.bytes.data(), NumElements(counts.shape), rows.data());
  DequantizeRow(sums.format, sums.bytes.data(), NumElements(sums.shape), means.data());
  for (size_t m = 0; m < rows.size(); ++m) {
    for (int64_t c = 0; c < columns; ++c) {
      float& mean = means[m * static_cast<size_t>(columns) + static_cast<size_t>(c)];
      mean = rows[m] > 0 ? mean / rows[m] : 1;
    }
  }
  return means;
}

}  // namespace

std::span<const float> Importance::Of(const std::string& gguf_name) const {
  const auto found = means_.find(gguf_name);
  return found == means_.end() ? std::span<const float>() : std::span<const float>(found->second);
}

Importance Importance::FromFile(const std::string& path) {
  const GgufFile file(path);
  if (file.String("general.type", "") != "imatrix") {
    Throw(ErrorKind::kCorrupt,
          path +
              ": is no importance matrix (general.type is not \"imatrix\"); make one with "
              "\"reckon imatrix\"");
  }
  Importance importance;
  for (const auto& [name, sums] : file.tensors()) {
    if (!name.ends_with(kSums)) continue;
    const std::string weight = name.substr(0, name.size() - kSums.size());
    const StoredTensor& counts = file.Get(weight + std::string(kCounts));
    const bool fits = sums.format == StorageFormat::kF32 && counts.format == StorageFormat::kF32 &&
                      sums.columns() > 0 && NumElements(counts.shape) == sums.rows();
    if (!fits) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: tensor \"{}\" {} and its counts {} do not fit", path, name,
                        ToString(sums.shape), ToString(counts.shape)));
    }
    std::vector<float> means = MeansOf(sums, counts);
    const auto valid = [](float mean) { return mean >= 0 && mean <= 3e38f; };
    if (!std::all_of(means.begin(), means.end(), valid)) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: tensor \"{}\" has a sum of squares that is none", path, name));
    }
    importance.means_[weight] = std::move(means);
  }
  return importance;
}

ImportanceRun CollectImportance(
    const Runtime& rt, Model& model, const std::vector<std::vector<int32_t>>& windows,
    const std::function<void(int64_t done, int64_t total)>& on_progress) {
  Collector collector(rt.pool);
  const WatchInputs watch = [&](const Parameter& weight, const ConstMatrix& x,
                                std::span<const int64_t> offsets) {
    collector.Add(weight, x, offsets);
  };
  Runtime watched = rt;
  watched.watch_inputs = &watch;
  ImportanceRun run;
  for (const std::vector<int32_t>& ids : windows) {
    Batch batch;
    batch.Append(ids);
    model.Logits(watched, nullptr, model.Forward(watched, nullptr, batch));
    run.context = std::max(run.context, static_cast<int64_t>(ids.size()));
    ++run.windows;
    if (on_progress) on_progress(run.windows, static_cast<int64_t>(windows.size()));
  }
  run.sums = ByGgufName(model, collector);
  return run;
}

void WriteImportance(const std::string& path, const ImportanceRun& run,
                     const std::string& dataset) {
  GgufMetadata metadata;
  metadata.AddString("general.type", "imatrix");
  const std::string_view datasets[] = {dataset};
  metadata.AddStrings("imatrix.datasets", datasets);
  metadata.AddU32("imatrix.chunk_count", static_cast<uint32_t>(run.windows));
  metadata.AddU32("imatrix.chunk_size", static_cast<uint32_t>(run.context));
  std::vector<GgufTensorSpec> specs;
  std::vector<std::vector<float>> values;
  for (const auto& [name, sums] : run.sums) {
    const auto matrices = static_cast<int64_t>(sums.rows.size());
    specs.push_back({name + std::string(kCounts), StorageFormat::kF32, {matrices, 1}});
    values.emplace_back(sums.rows.begin(), sums.rows.end());
    specs.push_back({name + std::string(kSums), StorageFormat::kF32, {matrices, sums.columns}});
    values.emplace_back(sums.sum_of_squares.begin(), sums.sum_of_squares.end());
  }
  WriteGguf(path, metadata, specs, [&](size_t i, const WriteBytes& write) {
    write(std::as_bytes(std::span<const float>(values[i])));
  });
}

}  // namespace reckon
