#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "base/error.h"
#include "convert/write_checkpoint.h"
#include "formats/gguf_config.h"

namespace reckon {
namespace {

// llama_ftype in llama.h of https://github.com/ggml-org/llama.cpp: what most tensors are.
uint32_t FileTypeOf(StorageFormat format) {
  switch (format) {
    case StorageFormat::kF32:
      return 0;
    case StorageFormat::kF16:
      return 1;
    case StorageFormat::kQ4_0:
      return 2;
    case StorageFormat::kQ8_0:
      return 7;
    case StorageFormat::kQ5_0:
      return 8;
    case StorageFormat::kQ4_K:
      return 15;  // Q4_K_M
    case StorageFormat::kQ6_K:
      return 18;
    case StorageFormat::kBF16:
      return 32;
    default:
      return 1024;  // LLAMA_FTYPE_GUESSED
  }
}

void AddFileType(StorageFormat format, GgufMetadata* metadata) {
  constexpr uint32_t kQuantizationVersion = 2;  // GGML_QNT_VERSION
  metadata->AddU32("general.file_type", FileTypeOf(format));
  metadata->AddU32("general.quantization_version", kQuantizationVersion);
}

int64_t ElementsOf(const std::vector<GgufPlanned>& plan) {
  return std::accumulate(plan.begin(), plan.end(), int64_t{0}, [](int64_t sum, const auto& tensor) {
    return sum + NumElements(tensor.spec.shape);
  });
}

bool IsBlockFormat(StorageFormat format) { return InfoOf(format).block_elements > 1; }

// Vectors, norms and routers stay F32; matrices keep what they have where reckon can write it.
StorageFormat FormatOf(const GgufPlanned& tensor, const RowSource& source,
                       const WriteOptions& options, int64_t num_layers, bool tied) {
  const StorageFormat wanted = options.format.value_or(
      tensor.sources.empty() ? StorageFormat::kF32 : source.stored_as(tensor.sources[0]));
  const StorageFormat format = GgufFormatFor(tensor.spec, wanted, num_layers, tied);
  if (InfoOf(format).can_quantize) return format;
  Throw(ErrorKind::kUnsupported, fmt::format("{}: {} is read but not written; choose another type",
                                             source.where, Name(format)));
}

// The format that holds the most elements.
StorageFormat MainFormat(const std::vector<GgufPlanned>& plan) {
  std::map<StorageFormat, int64_t> elements;
  for (const GgufPlanned& tensor : plan) {
    elements[tensor.spec.format] += NumElements(tensor.spec.shape);
  }
  StorageFormat main = StorageFormat::kF32;
  for (const auto& [format, count] : elements) {
    if (count > elements[main]) main = format;
  }
  return main;
}

void WritePlan(const std::string& path, const GgufMetadata& metadata,
               const std::vector<GgufPlanned>& plan, const Json& config, const ReadRow& read,
               const WriteOptions& options,
               const std::function<bool(const GgufPlanned&, const WriteBytes&)>& copy = {}) {
  std::vector<GgufTensorSpec> specs;
  for (const GgufPlanned& tensor : plan) specs.push_back(tensor.spec);
  const int64_t total = ElementsOf(plan);
  int64_t before = 0;
  WriteGguf(path, metadata, specs, [&](size_t i, const WriteBytes& write) {
    const GgufPlanned& tensor = plan[i];
    const int64_t row_bytes =
        RowBytes(tensor.spec.format, tensor.spec.shape.empty() ? 1 : tensor.spec.shape.back());
    int64_t written = 0;
    const WriteBytes report = [&](std::span<const std::byte> bytes) {
      write(bytes);
      written += static_cast<int64_t>(bytes.size());
      if (!options.on_progress) return;
      const int64_t columns = tensor.spec.shape.empty() ? 1 : tensor.spec.shape.back();
      options.on_progress(before + written / row_bytes * columns, total);
    };
    if (!copy || !copy(tensor, report)) {
      const bool weighted = options.importance != nullptr && IsBlockFormat(tensor.spec.format);
      FillPlanned(tensor, config, read,
                  weighted ? options.importance->Of(tensor.spec.name) : std::span<const float>(),
                  report, options.pool);
    }
    before += NumElements(tensor.spec.shape);
  });
}

// Rows of a GGUF file's own tensors.
ReadRow RowsOfGguf(const GgufModel& model) {
  return [&model](const std::string& name, int64_t row, std::span<float> out) {
    const StoredTensor& tensor = model.Get(name);
    DequantizeRow(tensor.format, tensor.row(row), tensor.columns(), out.data());
  };
}

GgufMetadata CopyMetadata(const GgufFile& file) {
  GgufMetadata metadata;
  for (const auto& [key, value] : file.metadata()) {
    const bool ours = key == "general.file_type" || key == "general.quantization_version" ||
                      key.starts_with("split.");
    if (!ours) metadata.Add(key, value);
  }
  return metadata;
}

}  // namespace

void WriteCheckpointAsGguf(const RowSource& source, const std::string& path,
                           const GgufMetadata& metadata, const WriteOptions& options) {
  ObjectReader reader(source.config, source.where);
  const bool tied = reader.Bool("tie_word_embeddings", false);
  const int64_t num_layers = reader.Int("num_hidden_layers", 1, 1 << 30);
  std::vector<GgufPlanned> plan = PlanGguf(source.config, source.shapes);
  for (GgufPlanned& tensor : plan) {
    tensor.spec.format = FormatOf(tensor, source, options, num_layers, tied);
  }
  GgufMetadata all = metadata;
  AddFileType(options.format.value_or(MainFormat(plan)), &all);
  WritePlan(path, all, plan, source.config, source.read, options);
}

void RequantizeGguf(const GgufModel& source, const std::string& path, const WriteOptions& options) {
  const std::string architecture(source.metadata().String("general.architecture"));
  const int64_t num_layers = source.metadata().Int(architecture + ".block_count", 0);
  const bool tied = !source.Has("output.weight");
  std::vector<GgufPlanned> plan;
  for (const std::string& name : source.names()) {
    const StoredTensor& tensor = source.Get(name);
    GgufTensorSpec spec{name, tensor.format, tensor.shape};
    if (options.format) spec.format = GgufFormatFor(spec, *options.format, num_layers, tied);
    plan.push_back({spec, {name}});
  }
  GgufMetadata metadata = CopyMetadata(source.metadata());
  AddFileType(options.format.value_or(MainFormat(plan)), &metadata);
  const auto copy = [&](const GgufPlanned& tensor, const WriteBytes& write) {
    const StoredTensor& stored = source.Get(tensor.spec.name);
    if (stored.format != tensor.spec.format) return false;
    write(stored.bytes);
    return true;
  };
  WritePlan(path, metadata, plan, {}, RowsOfGguf(source), options, copy);
}

}  // namespace reckon
