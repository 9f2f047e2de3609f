// The one door to JSON: nlohmann-json behind depth and size limits, and a reader that knows where
// it is in the document, so that a wrong key or type is reported by its path.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace reckon {

using Json = nlohmann::ordered_json;

// `where` (a file name) begins every message. Throws Error{kCorrupt} with line and column.
Json ParseJson(std::string_view text, const std::string& where, int max_depth = 100);
Json ReadJsonFile(const std::string& path);
// Writes aside, fsyncs, renames.
void WriteJsonFile(const std::string& path, const Json& json);

// "r.json: seed", "r.json: stages[1].seed": a key of the object at `path`, which is a file or a
// place in one.
std::string KeyPath(const std::string& path, const std::string& key);

// Reads an object key by key. A key that is absent or null takes the fallback, and is an error
// where there is none (Find, Get and Has tell null from absent). Errors are kInvalidArgument.
// Finish() refuses keys that nobody asked for, naming the nearest known.
class ObjectReader {
 public:
  ObjectReader(const Json& json, std::string path);  // throws unless an object
  const std::string& path() const { return path_; }
  bool Has(const std::string& key);

  std::string String(const std::string& key, std::optional<std::string> fallback = {});
  int64_t Int(const std::string& key, int64_t min, int64_t max,
              std::optional<int64_t> fallback = {});
  double Number(const std::string& key, double min, double max,
                std::optional<double> fallback = {});
  bool Bool(const std::string& key, std::optional<bool> fallback = {});
  // One of `choices`; the message lists them.
  std::string Choice(const std::string& key, const std::vector<std::string>& choices,
                     std::optional<std::string> fallback = {});
  std::vector<std::string> Strings(const std::string& key,
                                   std::optional<std::vector<std::string>> fallback = {});
  const Json* Find(const std::string& key);          // null if absent; counts as known
  const Json& Get(const std::string& key);           // throws if absent
  std::string PathOf(const std::string& key) const;  // "recipe.json: stages[1].lr"
  void Finish();

 private:
  const Json& json_;
  std::string path_;
  std::set<std::string> known_;
};

}  // namespace reckon
