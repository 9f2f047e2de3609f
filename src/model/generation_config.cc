#include "model/generation_config.h"

#include <fmt/format.h>

#include <limits>

namespace reckon {
namespace {

constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max();

std::optional<double> NumberOf(ObjectReader& reader, const std::string& key) {
  const Json* value = reader.Find(key);
  if (value == nullptr || value->is_null()) return {};
  return reader.Number(key, -std::numeric_limits<double>::max(),
                       std::numeric_limits<double>::max());
}

std::optional<int64_t> IntOf(ObjectReader& reader, const std::string& key) {
  const Json* value = reader.Find(key);
  if (value == nullptr || value->is_null()) return {};
  return reader.Int(key, 0, kMaxId);
}

int32_t IdOf(const Json& value, const std::string& path) {
  const bool fits = value.is_number_integer() && value >= 0 && value <= kMaxId;
  if (!fits) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: expected a token id or a list of them, got {}", path, value.dump()));
  }
  return value.get<int32_t>();
}

}  // namespace

std::vector<int32_t> EosTokenIds(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  const Json* value = reader.Find("eos_token_id");
  // -1 is how some configs say that there is none.
  if (value == nullptr || value->is_null() || *value == -1) return {};
  const std::string path = reader.PathOf("eos_token_id");
  std::vector<int32_t> ids;
  if (!value->is_array()) return {IdOf(*value, path)};
  for (const Json& id : *value) ids.push_back(IdOf(id, path));
  return ids;
}

GenerationConfig ParseGenerationConfig(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  GenerationConfig config;
  config.temperature = NumberOf(reader, "temperature");
  if (!reader.Bool("do_sample", true)) config.temperature = 0;
  config.top_p = NumberOf(reader, "top_p");
  config.min_p = NumberOf(reader, "min_p");
  config.repetition_penalty = NumberOf(reader, "repetition_penalty");
  config.top_k = IntOf(reader, "top_k");
  config.max_new_tokens = IntOf(reader, "max_new_tokens");
  config.eos_token_ids = EosTokenIds(json, where);
  return config;
}

}  // namespace reckon
