// Models split over several GGUF files, as llama-gguf-split names and numbers them.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "formats/gguf.h"

namespace reckon {
namespace {

// "model-00002-of-00003.gguf" is part 2 of 3 of "model".
struct SplitName {
  std::string prefix;
  int64_t part = 0, parts = 0;
};

std::optional<SplitName> ParseSplitName(const std::string& path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (path.size() < kPattern.size()) return {};
  const std::string_view tail = std::string_view(path).substr(path.size() - kPattern.size());
  for (size_t i = 0; i < tail.size(); ++i) {
    const bool digit = tail[i] >= '0' && tail[i] <= '9';
    if (kPattern[i] == '0' ? !digit : tail[i] != kPattern[i]) return {};
  }
  SplitName name;
  name.prefix = path.substr(0, path.size() - kPattern.size());
  name.part = std::stoll(std::string(tail.substr(1, 5)));
  name.parts = std::stoll(std::string(tail.substr(10, 5)));
  return name;
}

std::string PathOfPart(const SplitName& name, int64_t part) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", name.prefix, part, name.parts);
}

// split.no counts from 0, file names from 1.
void CheckPart(const GgufFile& file, int64_t part, int64_t parts) {
  const int64_t number = file.Int("split.no", -1), count = file.Int("split.count", -1);
  if (number != part || count != parts) {
    Throw(
        ErrorKind::kCorrupt,
        fmt::format("{}: split.no {} of split.count {}, where part {} of {} is wanted; is it from "
                    "another set?",
                    file.path(), number, count, part, parts));
  }
}

}  // namespace

GgufModel::GgufModel(const std::string& path) {
  const std::optional<SplitName> name = ParseSplitName(path);
  if (!name) {
    files_.emplace_back(path);
    if (files_[0].Int("split.count", 1) > 1) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: one of {} files of a set; name it \"...-00001-of-{:05}.gguf\" again, "
                        "so that the others can be found",
                        path, files_[0].Int("split.count"), files_[0].Int("split.count")));
    }
  } else {
    for (int64_t part = 0; part < std::max<int64_t>(name->parts, 1); ++part) {
      const std::string part_path = PathOfPart(*name, part + 1);
      if (!FileExists(part_path)) {
        Throw(ErrorKind::kNotFound, fmt::format("{}: missing; {} is one of {} files of a set",
                                                part_path, path, name->parts));
      }
      files_.emplace_back(part_path);
      if (name->parts > 1) CheckPart(files_.back(), part, name->parts);
    }
  }
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const auto& [tensor, view] : files_[i].tensors()) {
      const auto [at, is_new] = file_of_.emplace(tensor, i);
      if (!is_new) {
        Throw(ErrorKind::kCorrupt, fmt::format("{}: tensor \"{}\" is also in {}", files_[i].path(),
                                               tensor, files_[at->second].path()));
      }
    }
  }
  const int64_t wanted =
      files_[0].Int("split.tensors.count", static_cast<int64_t>(file_of_.size()));
  if (wanted != static_cast<int64_t>(file_of_.size())) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: split.tensors.count is {}, the {} files have {}",
                                           path, wanted, files_.size(), file_of_.size()));
  }
}

bool GgufModel::Has(std::string_view name) const { return file_of_.find(name) != file_of_.end(); }

const StoredTensor& GgufModel::Get(std::string_view name) const {
  const auto found = file_of_.find(name);
  return files_[found == file_of_.end() ? 0 : found->second].Get(name);
}

std::vector<std::string> GgufModel::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : file_of_) names.push_back(name);
  return names;
}

}  // namespace reckon
