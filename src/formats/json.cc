#include "formats/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/files.h"
#include "base/nearest.h"

namespace reckon {
namespace {

// Far above the largest real document (tokenizer.json files reach 40 MB), far below what would make
// a parse a denial of service.
constexpr size_t kMaxJsonBytes = size_t{256} << 20;

// "line 3, column 7" of a byte offset; both count from 1, columns in bytes.
std::string LineAndColumn(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n');
  const size_t column = before.size() - (line_start == before.npos ? 0 : line_start + 1);
  return fmt::format("line {}, column {}", line, std::max<size_t>(column, 1));
}

// Walks over the text and leaves the address of the next unread byte where the handler sees it.
class TracingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TracingIterator(const char* at, const char** trace) : at_(at), trace_(trace) {}
  reference operator*() const { return *at_; }
  TracingIterator& operator++() {
    *trace_ = ++at_;
    return *this;
  }
  TracingIterator operator++(int) {
    TracingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const TracingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const TracingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** trace_;
};

// Builds the document from parse events. Each open container gathers its children beside the
// document and moves them in when it closes: appending to ordered_json itself would search all keys
// on every insertion, which is quadratic in a vocabulary of 128,000 entries.
class Builder {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  Builder(std::string_view text, const char* const* next, const std::string& where, int max_depth)
      : text_(text), next_(next), where_(where), max_depth_(max_depth) {}

  // The names and signatures from here on are nlohmann's SAX interface.
  bool null() { return Add(Json()); }
  bool boolean(bool value) { return Add(Json(value)); }
  bool number_integer(number_integer_t value) { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) { return Add(Json(value)); }
  bool string(string_t& value) { return Add(Json(std::move(value))); }
  bool binary(binary_t&) { return false; }
  bool start_object(size_t) { return Open(); }
  bool start_array(size_t) { return Open(); }
  bool key(string_t& name) {
    Container& top = open_.back();
    if (!top.seen.insert(name).second) Fail(fmt::format("duplicate key \"{}\"", name));
    top.keys.push_back(std::move(name));
    return true;
  }
  bool end_object() {
    Container closed = Close();
    Json::object_t object;
    object.reserve(closed.values.size());
    for (size_t i = 0; i < closed.values.size(); ++i) {
      object.emplace_back(std::move(closed.keys[i]), std::move(closed.values[i]));
    }
    return Add(Json(std::move(object)));
  }
  bool end_array() {
    Container closed = Close();
    return Add(Json(std::move(closed.values)));
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    // nlohmann's message begins with a code in brackets and its own words for the place.
    std::string_view cause = error.what();
    const size_t bracket = cause.find("] "), syntax = cause.find("syntax error ");
    cause = cause.substr(syntax != cause.npos ? syntax : bracket != cause.npos ? bracket + 2 : 0);
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}: {}: {}", where_, LineAndColumn(text_, position), cause));
  }

  Json Take() { return std::move(root_); }

 private:
  struct Container {
    std::vector<std::string> keys;
    Json::array_t values;
    std::unordered_set<std::string> seen;
  };

  [[noreturn]] void Fail(const std::string& cause) const {
    const auto offset = static_cast<size_t>(*next_ - text_.data());
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}: {}: {}", where_, LineAndColumn(text_, offset), cause));
  }
  bool Open() {
    if (open_.size() >= static_cast<size_t>(max_depth_)) {
      Fail(fmt::format("nested deeper than {} levels", max_depth_));
    }
    open_.emplace_back();
    return true;
  }
  Container Close() {
    Container closed = std::move(open_.back());
    open_.pop_back();
    return closed;
  }
  bool Add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else {
      open_.back().values.push_back(std::move(value));
    }
    return true;
  }

  std::string_view text_;
  const char* const* next_;
  const std::string& where_;
  int max_depth_;
  std::vector<Container> open_;
  Json root_;
};

// A value as it stands in the file, short enough for a message.
std::string Shown(const Json& json) {
  constexpr size_t kLongest = 60;
  if (json.is_object()) return fmt::format("an object with {} keys", json.size());
  if (json.is_array() && json.size() > 8) {
    return fmt::format("an array of {} elements", json.size());
  }
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kLongest) {
    size_t cut = kLongest;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
    text = text.substr(0, cut) + "...";
  }
  return text;
}

[[noreturn]] void WrongValue(const std::string& path, const std::string& expected,
                             const Json& got) {
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("{}: expected {}, got {}", path, expected, Shown(got)));
}

std::string Quoted(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", word);
  }
  return text;
}

}  // namespace

Json ParseJson(std::string_view text, const std::string& where, int max_depth) {
  if (text.size() > kMaxJsonBytes) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: {} bytes of JSON; at most {} are read", where,
                                           text.size(), kMaxJsonBytes));
  }
  const char* next = text.data();
  Builder builder(text, &next, where, max_depth);
  const char* end = text.data() + text.size();
  if (text.empty()) {
    Throw(ErrorKind::kCorrupt, where + ": line 1, column 1: empty, expected JSON");
  }
  Json::sax_parse(TracingIterator(text.data(), &next), TracingIterator(end, &next), &builder);
  return builder.Take();
}

Json ReadJsonFile(const std::string& path) {
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(path, ignored);
  if (!ignored && bytes > kMaxJsonBytes) {
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}: {} bytes of JSON; at most {} are read", path, bytes, kMaxJsonBytes));
  }
  return ParseJson(ReadFile(path), path);
}

void WriteJsonFile(const std::string& path, const Json& json) {
  std::string text;
  try {
    text = json.dump(2) + "\n";
  } catch (const Json::exception& error) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: cannot be written as JSON: {}", path, error.what()));
  }
  WriteFileAtomically(path, text);
}

ObjectReader::ObjectReader(const Json& json, std::string path)
    : json_(json), path_(std::move(path)) {
  if (!json_.is_object()) WrongValue(path_, "an object", json_);
}

bool ObjectReader::Has(const std::string& key) { return Find(key) != nullptr; }

const Json* ObjectReader::Find(const std::string& key) {
  known_.insert(key);
  const auto found = json_.find(key);
  return found == json_.end() ? nullptr : &*found;
}

const Json& ObjectReader::Get(const std::string& key) {
  const Json* value = Find(key);
  if (value == nullptr) Throw(ErrorKind::kInvalidArgument, PathOf(key) + ": missing");
  return *value;
}

std::string KeyPath(const std::string& path, const std::string& key) {
  if (path.empty()) return key;
  return path + (path.find(": ") == std::string::npos ? ": " : ".") + key;
}

std::string ObjectReader::PathOf(const std::string& key) const { return KeyPath(path_, key); }

std::string ObjectReader::String(const std::string& key, std::optional<std::string> fallback) {
  const Json* value = Find(key);
  if (fallback && (value == nullptr || value->is_null())) return *fallback;
  const Json& got = Get(key);
  if (!got.is_string()) WrongValue(PathOf(key), "a string", got);
  return got.get<std::string>();
}

int64_t ObjectReader::Int(const std::string& key, int64_t min, int64_t max,
                          std::optional<int64_t> fallback) {
  const Json* value = Find(key);
  if (fallback && (value == nullptr || value->is_null())) return *fallback;
  const Json& got = Get(key);
  const std::string expected =
      min == std::numeric_limits<int64_t>::min() && max == std::numeric_limits<int64_t>::max()
          ? std::string("an integer of 64 bits")
      : max == std::numeric_limits<int64_t>::max()
          ? fmt::format("an integer of at least {}", min)
          : fmt::format("an integer from {} to {}", min, max);
  if (!got.is_number_integer()) WrongValue(PathOf(key), expected, got);
  if (got.is_number_unsigned() &&
      got.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    WrongValue(PathOf(key), expected, got);
  }
  const auto number = got.get<int64_t>();
  if (number < min || number > max) WrongValue(PathOf(key), expected, got);
  return number;
}

double ObjectReader::Number(const std::string& key, double min, double max,
                            std::optional<double> fallback) {
  const Json* value = Find(key);
  if (fallback && (value == nullptr || value->is_null())) return *fallback;
  const Json& got = Get(key);
  if (!got.is_number()) WrongValue(PathOf(key), "a number", got);
  const auto number = got.get<double>();
  const bool finite = number >= std::numeric_limits<double>::lowest() &&
                      number <= std::numeric_limits<double>::max();
  if (!finite) WrongValue(PathOf(key), "a finite number", got);
  if (!(number >= min && number <= max)) {
    WrongValue(PathOf(key),
               max >= std::numeric_limits<double>::max()
                   ? fmt::format("a number of at least {}", min)
                   : fmt::format("a number from {} to {}", min, max),
               got);
  }
  return number;
}

bool ObjectReader::Bool(const std::string& key, std::optional<bool> fallback) {
  const Json* value = Find(key);
  if (fallback && (value == nullptr || value->is_null())) return *fallback;
  const Json& got = Get(key);
  if (!got.is_boolean()) WrongValue(PathOf(key), "true or false", got);
  return got.get<bool>();
}

std::string ObjectReader::Choice(const std::string& key, const std::vector<std::string>& choices,
                                 std::optional<std::string> fallback) {
  const Json* value = Find(key);
  if (fallback && (value == nullptr || value->is_null())) return *fallback;
  const Json& got = Get(key);
  if (!got.is_string() ||
      std::find(choices.begin(), choices.end(), got.get<std::string>()) == choices.end()) {
    WrongValue(PathOf(key), "one of " + Quoted(choices), got);
  }
  return got.get<std::string>();
}

std::vector<std::string> ObjectReader::Strings(const std::string& key,
                                               std::optional<std::vector<std::string>> fallback) {
  const Json* value = Find(key);
  if (fallback && (value == nullptr || value->is_null())) return *fallback;
  const Json& got = Get(key);
  if (!got.is_array()) WrongValue(PathOf(key), "an array of strings", got);
  std::vector<std::string> strings;
  for (size_t i = 0; i < got.size(); ++i) {
    if (!got[i].is_string()) {
      WrongValue(fmt::format("{}[{}]", PathOf(key), i), "a string", got[i]);
    }
    strings.push_back(got[i].get<std::string>());
  }
  return strings;
}

void ObjectReader::Finish() {
  for (auto item = json_.begin(); item != json_.end(); ++item) {
    const std::string& key = item.key();
    if (known_.count(key) > 0) continue;
    const std::vector<std::string> known(known_.begin(), known_.end());
    const std::string nearest = NearestName(key, known);
    const std::string hint = nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
    Throw(ErrorKind::kInvalidArgument, fmt::format("{}: unknown key{} Known keys: {}", PathOf(key),
                                                   hint.empty() ? "." : hint, Quoted(known)));
  }
}

}  // namespace reckon
