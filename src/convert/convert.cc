#include "convert/convert.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "formats/gguf_config.h"
#include "formats/safetensors.h"
#include "text/chat_template.h"
#include "text/tokenizer_export.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void RefuseType(const std::string& type, const std::string& to,
                             const std::string& choices) {
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("type \"{}\" cannot be written to {}; choose {}", type, to, choices));
}

std::optional<StorageFormat> FormatInGguf(const std::string& type, const std::string& to) {
  if (type.empty()) return {};
  const std::optional<StorageFormat> format = FormatNamed(type);
  if (!format || !InfoOf(*format).can_quantize) {
    RefuseType(type, to, "f32, f16, bf16, q8_0, q6_k, q5_0, q4_k or q4_0");
  }
  return format;
}

FolderType TypeOfFolder(const std::string& type, const std::string& to) {
  if (type.empty()) return FolderType::kAsStored;
  if (type == "fp8") return FolderType::kFp8;
  const std::optional<StorageFormat> format = FormatNamed(type);
  if (format == StorageFormat::kF32) return FolderType::kF32;
  if (format == StorageFormat::kF16) return FolderType::kF16;
  if (format == StorageFormat::kBF16) return FolderType::kBF16;
  RefuseType(type, to, "f32, f16, bf16 or fp8 (block formats need a path that ends in .gguf)");
}

WriteOptions WriteOptionsOf(const ConvertOptions& options) {
  WriteOptions write;
  write.importance = options.importance;
  write.pool = options.pool;
  write.on_progress = options.on_progress;
  return write;
}

void RefuseExisting(const std::string& to) {
  if (!fs::exists(to)) return;
  Throw(ErrorKind::kInvalidArgument, to + ": exists already; remove it or name another");
}

void RequireFolder(const std::string& from) {
  if (fs::is_directory(from)) return;
  Throw(ErrorKind::kNotFound, from + ": is neither a folder nor a file that ends in .gguf");
}

std::string NameOf(const std::string& path) {
  const fs::path plain = fs::path(path).lexically_normal();
  return (plain.has_filename() ? plain : plain.parent_path()).stem().string();
}

// Files of a folder that hold no weights and are not written anew.
bool GoesAlong(const fs::path& file) {
  const std::string name = file.filename().string(), extension = file.extension().string();
  if (name == "config.json" || name.ends_with(".safetensors.index.json")) return false;
  return extension == ".json" || extension == ".jinja" || extension == ".model" ||
         extension == ".txt" || extension == ".md" || name == "LICENSE";
}

void CopyOtherFiles(const std::string& from, const std::string& to) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (!entry.is_regular_file() || !GoesAlong(entry.path())) continue;
    WriteFileAtomically((fs::path(to) / entry.path().filename()).string(),
                        ReadFile(entry.path().string()));
  }
}

// Every tensor byte for byte: what "as stored" means between folders, FP8 and integers included.
void CopyTensors(const std::string& from, const std::string& to, int64_t max_shard_bytes) {
  const SafetensorsFolder source(from);
  std::vector<SafetensorsSpec> specs;
  for (const std::string& name : source.names()) {
    specs.push_back({name, source.Get(name).dtype, source.Get(name).shape});
  }
  WriteSafetensorsFolder(to, specs, max_shard_bytes, [&](size_t i, const WriteBytes& write) {
    write(source.Get(specs[i].name).bytes);
  });
  WriteFileAtomically(to + "/config.json", ReadFile(from + "/config.json"));
}

bool FolderToGguf(const std::string& from, const std::string& to, const ConvertOptions& options) {
  const OpenedWeights opened = OpenWeights(from);
  WriteOptions write = WriteOptionsOf(options);
  write.format = FormatInGguf(options.type, to);
  GgufMetadata metadata = MetadataFromConfig(opened.config_json, NameOf(from));
  const auto vocabulary = VocabularyOfFolder(from, opened.config.vocab_size);
  if (vocabulary) AddVocabulary(*vocabulary, FindTemplateOfFolder(from).text(), &metadata);
  WriteCheckpointAsGguf(RowsOf(opened), to, metadata, write);
  return vocabulary.has_value();
}

bool WriteTokenizer(const GgufFile& file, const std::string& folder) {
  if (!file.HasKey("tokenizer.ggml.tokens")) return false;
  const GgufVocabulary vocabulary = VocabularyOf(file);
  const std::string_view text = file.String("tokenizer.chat_template", "");
  WriteJsonFile(folder + "/tokenizer.json", TokenizerJsonOf(vocabulary, file.path()));
  WriteJsonFile(folder + "/tokenizer_config.json", TokenizerConfigOf(vocabulary, text));
  return true;
}

bool ToFolder(const std::string& from, const std::string& to, const ConvertOptions& options) {
  const FolderType type = TypeOfFolder(options.type, to);
  bool tokenizer = true;
  WriteFolderAtomically(to, [&](const std::string& temporary) {
    if (IsGgufPath(from)) {
      tokenizer = WriteTokenizer(GgufModel(from).metadata(), temporary);
    } else {
      CopyOtherFiles(from, temporary);
      if (type == FolderType::kAsStored) {
        CopyTensors(from, temporary, options.max_shard_bytes);
        return;
      }
    }
    const OpenedWeights opened = OpenWeights(from);
    WriteCheckpointAsFolder(RowsOf(opened), temporary, type, options.max_shard_bytes,
                            WriteOptionsOf(options));
  });
  return tokenizer;
}

}  // namespace

bool IsGgufPath(const std::string& path) { return path.ends_with(".gguf"); }

bool Convert(const std::string& from, const std::string& to, const ConvertOptions& options) {
  RefuseExisting(to);
  if (!IsGgufPath(from)) RequireFolder(from);
  if (!IsGgufPath(to)) return ToFolder(from, to, options);
  if (!IsGgufPath(from)) return FolderToGguf(from, to, options);
  const GgufModel source(from);
  WriteOptions write = WriteOptionsOf(options);
  write.format = FormatInGguf(options.type, to);
  RequantizeGguf(source, to, write);
  return source.metadata().HasKey("tokenizer.ggml.tokens");
}

void Synthesize(const std::string& config_path, const std::string& to, uint64_t seed,
                const ConvertOptions& options) {
  RefuseExisting(to);
  const Json config = ReadJsonFile(config_path);
  const RowSource rows = RandomRows(config, config_path, seed);
  WriteOptions write = WriteOptionsOf(options);
  if (IsGgufPath(to)) {
    write.format = FormatInGguf(options.type, to);
    WriteCheckpointAsGguf(rows, to, MetadataFromConfig(config, NameOf(to)), write);
    return;
  }
  const FolderType type = TypeOfFolder(options.type, to);
  WriteFolderAtomically(to, [&](const std::string& temporary) {
    WriteCheckpointAsFolder(rows, temporary, type, options.max_shard_bytes, write);
  });
}

}  // namespace reckon
