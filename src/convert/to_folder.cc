#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "convert/write_checkpoint.h"
#include "formats/fp8_checkpoint.h"
#include "formats/safetensors.h"
#include "tensor/block_quant.h"

namespace reckon {
namespace {

constexpr int64_t kChunkElements = 1 << 20;

// One tensor of the folder: the values of `source`, or the scales of its FP8 blocks.
struct Planned {
  SafetensorsSpec spec;
  std::string source;
  bool scales = false;
};

DType PlainType(StorageFormat format) {
  switch (format) {
    case StorageFormat::kF16:
      return DType::kF16;
    case StorageFormat::kBF16:
      return DType::kBF16;
    default:
      return DType::kF32;
  }
}

DType TypeOf(const RowSource& source, const std::string& name, FolderType type) {
  if (name.ends_with("e_score_correction_bias")) return DType::kF32;
  switch (type) {
    case FolderType::kF32:
      return DType::kF32;
    case FolderType::kF16:
      return DType::kF16;
    case FolderType::kBF16:
      return DType::kBF16;
    case FolderType::kFp8:
      return IsFp8Matrix(name) ? DType::kF8E4M3 : DType::kBF16;
    case FolderType::kAsStored:
      break;
  }
  return PlainType(source.stored_as(name));
}

std::vector<Planned> Plan(const RowSource& source, FolderType type) {
  std::vector<Planned> plan;
  for (const auto& [name, shape] : source.shapes) {
    const DType dtype = TypeOf(source, name, type);
    plan.push_back({{name, dtype, shape}, name});
    if (dtype != DType::kF8E4M3) continue;
    plan.push_back({{name + kFp8ScaleSuffix, DType::kF32, Fp8ScaleShape(shape)}, name, true});
  }
  return plan;
}

StorageFormat FormatOf(DType dtype) {
  return dtype == DType::kF16    ? StorageFormat::kF16
         : dtype == DType::kBF16 ? StorageFormat::kBF16
                                 : StorageFormat::kF32;
}

class FolderFiller {
 public:
  FolderFiller(const RowSource& source, const WriteOptions& options)
      : source_(source), options_(options) {}

  void Fill(const Planned& tensor, const WriteBytes& write) const {
    const Shape& shape = source_.shapes.at(tensor.source);
    const int64_t columns = shape.empty() ? 1 : shape.back();
    if (columns == 0) return;
    const int64_t rows = NumElements(shape) / columns;
    const bool fp8 = tensor.scales || tensor.spec.dtype == DType::kF8E4M3;
    const int64_t chunk = fp8 ? kQuantBlock : std::max<int64_t>(1, kChunkElements / columns);
    for (int64_t begin = 0; begin < rows; begin += chunk) {
      const int64_t count = std::min(chunk, rows - begin);
      const Tensor values = ReadRows(tensor.source, begin, count, columns);
      if (!fp8) {
        WritePlain(values, FormatOf(tensor.spec.dtype), write);
        continue;
      }
      const QuantizedMatrix blocks = Quantize(tensor.source, values);
      const Tensor& part = tensor.scales ? blocks.scales : blocks.codes;
      write({part.bytes(), part.num_bytes()});
    }
  }

 private:
  Tensor ReadRows(const std::string& name, int64_t begin, int64_t count, int64_t columns) const {
    Tensor values(DType::kF32, {count, columns});
    ParallelFor(options_.pool, count, [&](int64_t i) {
      source_.read(
          name, begin + i,
          values.floats().subspan(static_cast<size_t>(i * columns), static_cast<size_t>(columns)));
    });
    return values;
  }

  QuantizedMatrix Quantize(const std::string& name, const Tensor& values) const {
    try {
      return QuantizeWeights(values.matrix());
    } catch (const Error& error) {
      Throw(error.kind(), fmt::format("{}: tensor {}: {}", source_.where, name, error.what()));
    }
  }

  void WritePlain(const Tensor& values, StorageFormat format, const WriteBytes& write) const {
    const int64_t columns = values.dim(1), row_bytes = RowBytes(format, columns);
    std::vector<std::byte> bytes(static_cast<size_t>(values.dim(0) * row_bytes));
    ParallelFor(options_.pool, values.dim(0), [&](int64_t i) {
      QuantizeRow(
          format,
          values.floats().subspan(static_cast<size_t>(i * columns), static_cast<size_t>(columns)),
          {}, bytes.data() + i * row_bytes);
    });
    write(bytes);
  }

  const RowSource& source_;
  const WriteOptions& options_;
};

const char* TorchType(DType dtype) {
  return dtype == DType::kF16 ? "float16" : dtype == DType::kBF16 ? "bfloat16" : "float32";
}

Json ConfigFor(const RowSource& source, FolderType type, const std::vector<Planned>& plan) {
  Json config = source.config;
  config.erase("quantization_config");
  if (type == FolderType::kFp8) {
    config["quantization_config"] = {{"activation_scheme", "dynamic"},
                                     {"fmt", "e4m3"},
                                     {"quant_method", "fp8"},
                                     {"weight_block_size", {kQuantBlock, kQuantBlock}}};
  }
  std::map<DType, int64_t> elements;
  for (const Planned& tensor : plan) elements[tensor.spec.dtype] += NumElements(tensor.spec.shape);
  DType main = DType::kF32;
  for (const auto& [dtype, count] : elements) {
    if (count > elements[main]) main = dtype;
  }
  config["torch_dtype"] = TorchType(type == FolderType::kFp8 ? DType::kBF16 : main);
  return config;
}

}  // namespace

void WriteCheckpointAsFolder(const RowSource& source, const std::string& folder, FolderType type,
                             int64_t max_shard_bytes, const WriteOptions& options) {
  const std::vector<Planned> plan = Plan(source, type);
  std::vector<SafetensorsSpec> specs;
  int64_t total = 0, done = 0;
  for (const Planned& tensor : plan) {
    specs.push_back(tensor.spec);
    total += NumElements(tensor.spec.shape);
  }
  const FolderFiller filler(source, options);
  WriteSafetensorsFolder(folder, specs, max_shard_bytes, [&](size_t i, const WriteBytes& write) {
    filler.Fill(plan[i], write);
    done += NumElements(plan[i].spec.shape);
    if (options.on_progress) options.on_progress(done, total);
  });
  WriteJsonFile(folder + "/config.json", ConfigFor(source, type, plan));
}

}  // namespace reckon
