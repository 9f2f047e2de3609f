#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "formats/json.h"
#include "formats/safetensors.h"

namespace reckon {
namespace {

constexpr const char* kMetadataKey = "__metadata__";

using Fill = std::function<void(size_t index, const WriteBytes& write)>;

int64_t BytesOf(const SafetensorsSpec& tensor) {
  int64_t bytes = 0;
  if (__builtin_mul_overflow(NumElements(tensor.shape), static_cast<int64_t>(SizeOf(tensor.dtype)),
                             &bytes)) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("tensor \"{}\": shape {} is too large", tensor.name, ToString(tensor.shape)));
  }
  return bytes;
}

void CheckNames(const std::string& where, const std::vector<SafetensorsSpec>& tensors) {
  std::set<std::string_view> seen = {kMetadataKey};
  for (const SafetensorsSpec& tensor : tensors) {
    if (!seen.insert(tensor.name).second) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: tensor \"{}\": the name is taken", where, tensor.name));
    }
  }
}

std::string HeaderText(const std::string& path, const std::vector<SafetensorsSpec>& tensors,
                       const std::vector<size_t>& ordered,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  Json::object_t& entries = header.get_ref<Json::object_t&>();
  int64_t offset = 0;
  for (const size_t i : ordered) {
    const int64_t end = offset + BytesOf(tensors[i]);
    entries.emplace_back(tensors[i].name, Json{{"dtype", Name(tensors[i].dtype)},
                                               {"shape", tensors[i].shape},
                                               {"data_offsets", {offset, end}}});
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception& error) {
    Throw(ErrorKind::kInvalidArgument, fmt::format("{}: header: {}", path, error.what()));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

// The tensors with these indices. Widest elements first, then by name: each tensor is aligned to
// its element, and the file does not depend on the caller's order.
void WriteFileOf(const std::string& path, const std::vector<SafetensorsSpec>& tensors,
                 std::vector<size_t> ordered, const Fill& fill,
                 const std::map<std::string, std::string>& metadata) {
  std::sort(ordered.begin(), ordered.end(), [&](size_t a, size_t b) {
    const size_t size_a = SizeOf(tensors[a].dtype), size_b = SizeOf(tensors[b].dtype);
    return size_a != size_b ? size_a > size_b : tensors[a].name < tensors[b].name;
  });
  const std::string text = HeaderText(path, tensors, ordered, metadata);
  const uint64_t length = text.size();
  WriteFileAtomically(path, [&](const WriteBytes& write) {
    write(std::as_bytes(std::span<const uint64_t>(&length, 1)));
    write(std::as_bytes(std::span<const char>(text.data(), text.size())));
    for (const size_t i : ordered) {
      const auto wanted = static_cast<uint64_t>(BytesOf(tensors[i]));
      WriteExactly(write, wanted, fmt::format("{}: tensor \"{}\"", path, tensors[i].name),
                   [&](const WriteBytes& counted) { fill(i, counted); });
    }
  });
}

std::vector<std::vector<size_t>> PlanShards(const std::vector<SafetensorsSpec>& tensors,
                                            int64_t max_shard_bytes) {
  std::vector<std::vector<size_t>> shards(1);
  int64_t used = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t bytes = BytesOf(tensors[i]);
    if (!shards.back().empty() && bytes > max_shard_bytes - used) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().push_back(i);
    used += bytes;
  }
  return shards;
}

// Removes the files of a set unless all were written.
class Unfinished {
 public:
  ~Unfinished() {
    std::error_code ignored;
    for (const std::string& path : paths_) std::filesystem::remove(path, ignored);
  }
  void Add(const std::string& path) { paths_.push_back(path); }
  void Keep() { paths_.clear(); }

 private:
  std::vector<std::string> paths_;
};

}  // namespace

void WriteSafetensors(const std::string& path, const std::vector<NamedBytes>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsSpec> specs;
  std::vector<size_t> all;
  for (const NamedBytes& tensor : tensors) {
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
    all.push_back(all.size());
    if (static_cast<int64_t>(tensor.bytes.size()) != BytesOf(specs.back())) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: tensor \"{}\": {} bytes for shape {} of {}", path, tensor.name,
                        tensor.bytes.size(), ToString(tensor.shape), Name(tensor.dtype)));
    }
  }
  CheckNames(path, specs);
  WriteFileOf(
      path, specs, all, [&](size_t i, const WriteBytes& write) { write(tensors[i].bytes); },
      metadata);
}

void WriteSafetensorsFolder(const std::string& folder, const std::vector<SafetensorsSpec>& tensors,
                            int64_t max_shard_bytes, const Fill& fill,
                            const std::map<std::string, std::string>& metadata) {
  CheckNames(folder, tensors);
  const auto shards = PlanShards(tensors, max_shard_bytes);
  if (shards.size() == 1) {
    WriteFileOf(folder + "/model.safetensors", tensors, shards[0], fill, metadata);
    return;
  }
  int64_t total_size = 0;
  std::map<std::string, std::string> weight_map;  // ascending by name, as transformers writes it
  Unfinished unfinished;
  for (size_t s = 0; s < shards.size(); ++s) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards.size());
    WriteFileOf(folder + "/" + name, tensors, shards[s], fill, metadata);
    unfinished.Add(folder + "/" + name);
    for (const size_t i : shards[s]) {
      total_size += BytesOf(tensors[i]);
      weight_map[tensors[i].name] = name;
    }
  }
  WriteJsonFile(folder + "/model.safetensors.index.json",
                Json{{"metadata", {{"total_size", total_size}}}, {"weight_map", weight_map}});
  unfinished.Keep();
}

}  // namespace reckon
