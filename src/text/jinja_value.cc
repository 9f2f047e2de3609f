#include "text/jinja_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja_text.h"
#include "text/utf8.h"

namespace reckon::jinja {
namespace {

constexpr size_t kIndexedFrom = 9;  // a dictionary of fewer keys is searched through

std::shared_ptr<StringObject> MakeStringObject(std::string text) {
  auto object = std::make_shared<StringObject>();
  object->text = std::move(text);
  return object;
}

int DepthOf(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth;
}

int NestedDepth(int inner) {
  if (inner >= kMaxValueDepth) {
    Fail(fmt::format("values are nested deeper than {} levels", kMaxValueDepth));
  }
  return inner + 1;
}

size_t Mixed(size_t seed, size_t hash) { return seed * 1'000'003 ^ hash; }

bool EqualSequences(const std::vector<Value>& a, const std::vector<Value>& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!Equal(a[i], b[i], budget)) return false;
  }
  return true;
}

bool EqualDicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.items()) {
    const Value* other = b.Find(key, budget);
    if (other == nullptr || !Equal(value, *other, budget)) return false;
  }
  return true;
}

// Both integers: exactly; else as doubles.
bool EqualNumbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
  return a.number() == b.number();
}

Value FromJson(const Json& json, Budget& budget, int depth) {
  if (depth > kMaxValueDepth) Fail("the data are nested too deep");
  budget.Bytes(sizeof(Value));
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::Bool(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::Int(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      const bool fits = number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
      return fits ? Value::Int(static_cast<int64_t>(number))
                  : Value::Float(static_cast<double>(number));
    }
    case Json::value_t::number_float:
      return Value::Float(json.get<double>());
    case Json::value_t::string:
      budget.Bytes(json.get_ref<const std::string&>().size());
      return Value::String(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(FromJson(item, budget, depth + 1));
      return Value::List(std::move(items));
    }
    case Json::value_t::object: {
      Dict dict;
      for (auto item = json.begin(); item != json.end(); ++item) {
        budget.Bytes(item.key().size() + sizeof(Value));
        dict.Set(Value::String(item.key()), FromJson(item.value(), budget, depth + 1), budget);
      }
      return MakeDict(std::move(dict));
    }
    default:
      return Value();
  }
}

}  // namespace

void Fail(const std::string& message) { throw Fault(message); }

void Budget::FailSteps() const {
  Fail(fmt::format("more than {} steps; a loop or a recursion does not end", limits_.max_steps));
}

void Budget::FailBytes() const {
  Fail(fmt::format("more than {} bytes of text and values are made", limits_.max_bytes));
}

Value Value::Of(Kind kind, std::shared_ptr<const Object> object) {
  Value value;
  value.kind_ = kind;
  value.object_ = std::move(object);
  return value;
}

Value Value::Undefined(std::string message) {
  auto object = std::make_shared<UndefinedObject>();
  object->message = std::move(message);
  return Of(Kind::kUndefined, std::move(object));
}

Value Value::Bool(bool value) {
  Value result;
  result.kind_ = Kind::kBool;
  result.boolean_ = value;
  return result;
}

Value Value::Int(int64_t value) {
  Value result;
  result.kind_ = Kind::kInt;
  result.integer_ = value;
  return result;
}

Value Value::Float(double value) {
  Value result;
  result.kind_ = Kind::kFloat;
  result.float_ = value;
  return result;
}

Value Value::String(std::string text) {
  return Of(Kind::kString, MakeStringObject(std::move(text)));
}

Value Value::Sequence(Kind kind, std::vector<Value> items) {
  auto object = std::make_shared<SequenceObject>();
  object->depth = NestedDepth(DepthOf(items));
  object->items = std::move(items);
  return Of(kind, std::move(object));
}

Value MakeDict(Dict dict) {
  auto object = std::make_shared<DictObject>();
  int depth = 0;
  for (const auto& [key, value] : dict.items()) {
    depth = std::max({depth, key.depth(), value.depth()});
  }
  object->depth = NestedDepth(depth);
  object->dict = std::move(dict);
  return Value::Of(Kind::kDict, std::move(object));
}

Value FromJson(const Json& json, Budget& budget) { return FromJson(json, budget, 0); }

int64_t Dict::IndexOf(const Value& key, size_t hash, Budget& budget) const {
  if (items_.size() < kIndexedFrom) {
    for (size_t i = 0; i < items_.size(); ++i) {
      if (Equal(items_[i].first, key, budget)) return static_cast<int64_t>(i);
    }
    return -1;
  }
  const auto [begin, end] = index_.equal_range(hash);
  for (auto found = begin; found != end; ++found) {
    if (Equal(items_[found->second].first, key, budget)) {
      return static_cast<int64_t>(found->second);
    }
  }
  return -1;
}

const Value* Dict::Find(const Value& key, Budget& budget) const {
  const int64_t index = IndexOf(key, Hash(key, budget), budget);
  return index < 0 ? nullptr : &items_[static_cast<size_t>(index)].second;
}

const Value* Dict::Find(std::string_view key) const {
  for (const auto& [name, value] : items_) {
    if (name.is_string() && name.text() == key) return &value;
  }
  return nullptr;
}

void Dict::Set(const Value& key, Value value, Budget& budget) {
  const size_t hash = Hash(key, budget);
  const int64_t index = IndexOf(key, hash, budget);
  if (index >= 0) {
    items_[static_cast<size_t>(index)].second = std::move(value);
    return;
  }
  budget.Bytes(2 * sizeof(Value));
  items_.emplace_back(key, std::move(value));
  if (items_.size() == kIndexedFrom) {
    for (size_t i = 0; i < items_.size(); ++i) index_.emplace(Hash(items_[i].first, budget), i);
  } else if (items_.size() > kIndexedFrom) {
    index_.emplace(hash, items_.size() - 1);
  }
}

void Dict::Clear() {
  index_.clear();
  const auto last = std::move(items_);
  items_.clear();
}

std::string TypeName(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView:
      return value.object<SequenceObject>().shown_as;
    case Kind::kRange:
      return "range";
    case Kind::kGenerator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kCallable:
      return "function";
    case Kind::kLoop:
      return "LoopContext";
  }
  return "?";
}

bool Truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
    case Kind::kRange:
      return !value.items().empty();
    case Kind::kDict:
      return value.dict().dict.size() > 0;
    default:
      return true;
  }
}

bool Equal(const Value& a, const Value& b, Budget& budget) {
  budget.Step();
  if (a.is_number() && b.is_number()) return EqualNumbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
      return a.shared() == b.shared() || EqualSequences(a.items(), b.items(), budget);
    case Kind::kDict:
      return a.shared() == b.shared() || EqualDicts(a.dict().dict, b.dict().dict, budget);
    default:
      return a.shared() == b.shared();
  }
}

bool Less(const Value& a, const Value& b, const char* op, Budget& budget) {
  budget.Step();
  if (a.is_integer() && b.is_integer()) return a.integer() < b.integer();
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  if (a.is_string() && b.is_string()) return a.text() < b.text();  // UTF-8 keeps the order
  const bool sequences = a.kind() == b.kind() && (a.is(Kind::kList) || a.is(Kind::kTuple));
  if (!sequences) {
    Fail(fmt::format("'{}' not supported between instances of '{}' and '{}'", op, TypeName(a),
                     TypeName(b)));
  }
  const std::vector<Value>&x = a.items(), &y = b.items();
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (!Equal(x[i], y[i], budget)) return Less(x[i], y[i], op, budget);
  }
  return x.size() < y.size();
}

size_t Hash(const Value& value, Budget& budget) {
  budget.Step();
  switch (value.kind()) {
    case Kind::kBool:
    case Kind::kInt:
      return std::hash<double>()(static_cast<double>(value.integer()));
    case Kind::kFloat:
      return std::hash<double>()(value.number());
    case Kind::kString:
      return std::hash<std::string>()(value.text());
    case Kind::kTuple: {
      size_t hash = value.items().size();
      for (const Value& item : value.items()) hash = Mixed(hash, Hash(item, budget));
      return hash;
    }
    case Kind::kList:
    case Kind::kDict:
      Fail(fmt::format("unhashable type: '{}'", TypeName(value)));
    case Kind::kUndefined:
    case Kind::kNone:
      return static_cast<size_t>(value.kind());
    default:
      return std::hash<const void*>()(value.shared().get());
  }
}

std::vector<Value> Iterate(const Value& value, Budget& budget) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return {};
    case Kind::kString: {
      std::vector<Value> characters;
      std::string_view rest = value.text();
      while (!rest.empty()) {
        const size_t length = FirstUtf8(rest).length;
        budget.Bytes(2 * sizeof(Value));
        characters.push_back(Value::String(std::string(rest.substr(0, length))));
        rest.remove_prefix(length);
      }
      return characters;
    }
    case Kind::kDict: {
      std::vector<Value> keys;
      budget.Bytes(value.dict().dict.size() * sizeof(Value));
      for (const auto& item : value.dict().dict.items()) keys.push_back(item.first);
      return keys;
    }
    case Kind::kGenerator: {
      const auto& generator = value.object<SequenceObject>();
      if (generator.spent) return {};
      generator.spent = true;
      break;
    }
    default:
      if (!value.is_sequence()) {
        Fail(fmt::format("'{}' object is not iterable", TypeName(value)));
      }
  }
  budget.Bytes(value.items().size() * sizeof(Value));
  return value.items();
}

bool Contains(const Value& container, const Value& value, Budget& budget) {
  if (container.is_string()) {
    if (!value.is_string()) {
      Fail(fmt::format("'in <string>' requires string as left operand, not {}", TypeName(value)));
    }
    budget.Step(static_cast<int64_t>(container.text().size() >> 6));
    return container.text().find(value.text()) != std::string::npos;
  }
  if (container.is_dict()) return container.dict().dict.Find(value, budget) != nullptr;
  if (!container.is_undefined() && !container.is_sequence()) {
    Fail(fmt::format("argument of type '{}' is not iterable", TypeName(container)));
  }
  for (const Value& item : Iterate(container, budget)) {
    if (Equal(item, value, budget)) return true;
  }
  return false;
}

int64_t Length(const Value& value, Budget& budget) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      budget.Step(static_cast<int64_t>(value.text().size() >> 6));
      return CountCharacters(value.text());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().dict.size());
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
    case Kind::kRange:
      return static_cast<int64_t>(value.items().size());
    case Kind::kLoop:
      return static_cast<int64_t>(value.object<LoopObject>().items().size());
    default:
      Fail(fmt::format("object of type '{}' has no len()", TypeName(value)));
  }
}

int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
}

size_t OffsetOfCharacter(std::string_view text, int64_t n) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) continue;
    if (n == 0) return at;
    --n;
  }
  return text.size();
}

void Append(std::string& out, std::string_view text, Budget& budget) {
  budget.Bytes(text.size());
  out += text;
}

}  // namespace reckon::jinja
