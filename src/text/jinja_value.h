// Values of the template language: Python's, as far as chat templates meet them.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "formats/json.h"

namespace reckon::jinja {

// What one parse or rendering may use. Exceeding any is an error that names it.
struct Limits {
  int64_t max_source_bytes = int64_t{256} << 10;
  int64_t max_steps = 20'000'000;                // of evaluation, each some tens of nanoseconds
  int64_t max_bytes = int64_t{256} << 20;        // of strings and containers made, in total
  int64_t max_output_bytes = int64_t{64} << 20;  // of the rendered text
  int64_t max_range = 100'000;                   // items of range(), as Jinja's sandbox has it
  int max_depth = 700;                           // of nested evaluation, macro calls included
};

// A failure inside a rendering; the renderer adds template and line.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
[[noreturn]] void Fail(const std::string& message);

class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}
  const Limits& limits() const { return limits_; }
  void Step(int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.max_steps) FailSteps();
  }
  // Before `count` bytes are made.
  void Bytes(uint64_t count) {
    if (count > static_cast<uint64_t>(limits_.max_bytes - bytes_)) FailBytes();
    bytes_ += static_cast<int64_t>(count);
    Step(static_cast<int64_t>(count >> 6));
  }

 private:
  [[noreturn]] void FailSteps() const;
  [[noreturn]] void FailBytes() const;

  Limits limits_;
  int64_t steps_ = 0, bytes_ = 0;
};

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,  // keys(), values(), items() of a dictionary
  kRange,
  kGenerator,  // of filters such as map: can be gone through once
  kNamespace,
  kCallable,
  kLoop,
};

// Containers nested deeper than this cannot be made, so that walking or destroying one is safe.
inline constexpr int kMaxValueDepth = 200;

struct Object {
  virtual ~Object() = default;
  int depth = 1;  // of the containers within, itself included
};

struct StringObject : Object {
  std::string text;  // UTF-8
};
struct UndefinedObject : Object {
  std::string message;  // why it is undefined; empty in a context of no name
};
class Value;
struct SequenceObject;
struct DictObject;
struct NamespaceObject;
struct CallableObject;
struct LoopObject;

class Value {
 public:
  Value() = default;  // None
  static Value Undefined(std::string message);
  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  static Value String(std::string text);
  // Throw Fault where nested too deep.
  static Value Sequence(Kind kind, std::vector<Value> items);
  static Value List(std::vector<Value> items) { return Sequence(Kind::kList, std::move(items)); }
  static Value Tuple(std::vector<Value> items) { return Sequence(Kind::kTuple, std::move(items)); }
  static Value Of(Kind kind, std::shared_ptr<const Object> object);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_dict() const { return kind_ == Kind::kDict; }
  // bool is a kind of int, as in Python.
  bool is_integer() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integer() || kind_ == Kind::kFloat; }
  // Has `items()`.
  bool is_sequence() const {
    return kind_ == Kind::kList || kind_ == Kind::kTuple || kind_ == Kind::kView ||
           kind_ == Kind::kRange || kind_ == Kind::kGenerator;
  }

  int64_t integer() const { return kind_ == Kind::kBool ? (boolean_ ? 1 : 0) : integer_; }
  double number() const { return kind_ == Kind::kFloat ? float_ : static_cast<double>(integer()); }
  bool boolean() const { return boolean_; }
  const std::string& text() const { return static_cast<const StringObject&>(*object_).text; }
  const std::vector<Value>& items() const;
  const DictObject& dict() const;
  template <typename T>
  const T& object() const {
    return static_cast<const T&>(*object_);
  }
  const std::shared_ptr<const Object>& shared() const { return object_; }
  int depth() const { return object_ == nullptr ? 0 : object_->depth; }

 private:
  Kind kind_ = Kind::kNone;
  union {
    bool boolean_;
    int64_t integer_ = 0;
    double float_;
  };
  std::shared_ptr<const Object> object_;
};

struct SequenceObject : Object {
  std::vector<Value> items;
  std::string shown_as;                 // of a view or a range: how it prints around its items
  const char* const* fields = nullptr;  // of a named tuple: names of the items
  mutable bool spent = false;           // of a generator
};

// Keys in the order of insertion; 1, 1.0 and true are one key.
class Dict {
 public:
  const std::vector<std::pair<Value, Value>>& items() const { return items_; }
  size_t size() const { return items_.size(); }
  const Value* Find(const Value& key, Budget& budget) const;
  const Value* Find(std::string_view key) const;
  void Set(const Value& key, Value value, Budget& budget);
  void Clear();

 private:
  int64_t IndexOf(const Value& key, size_t hash, Budget& budget) const;  // -1: none

  std::vector<std::pair<Value, Value>> items_;
  std::unordered_multimap<size_t, size_t> index_;  // hash to place; filled from a size on
};

struct DictObject : Object {
  Dict dict;
};
struct NamespaceObject : Object {
  mutable Dict attributes;
};

class Runtime;

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct CallableObject : Object {
  std::string name, shown;  // `shown`: when printed
  virtual Value Call(Runtime& runtime, const Args& args) const = 0;
};

// The variable `loop`. Its items stay with it; the position moves.
struct LoopObject : Object {
  explicit LoopObject(Value looped_over) : sequence(std::move(looped_over)) {}
  const std::vector<Value>& items() const { return sequence.items(); }

  const Value sequence;
  mutable size_t index = 0;
  mutable bool has_last = false;
  mutable std::vector<Value> last;  // of changed()
};

inline const std::vector<Value>& Value::items() const {
  return static_cast<const SequenceObject&>(*object_).items;
}
inline const DictObject& Value::dict() const { return static_cast<const DictObject&>(*object_); }

Value MakeDict(Dict dict);
// A copy, charged to the budget. Integers beyond 64 bits become floats.
Value FromJson(const Json& json, Budget& budget);

// "str", "int", "NoneType", ...
std::string TypeName(const Value& value);
bool Truth(const Value& value);
bool Equal(const Value& a, const Value& b, Budget& budget);
// Orders numbers, strings, lists and tuples; throws Fault naming `op` for others. NaN is unordered:
// `less` false both ways.
bool Less(const Value& a, const Value& b, const char* op, Budget& budget);
size_t Hash(const Value& value, Budget& budget);  // throws Fault for what Python cannot hash
// str() and repr().
std::string Str(const Value& value, Budget& budget);
std::string Repr(const Value& value, Budget& budget);
std::string FloatRepr(double value);
// The items that a for loop would see; a generator is spent by it.
std::vector<Value> Iterate(const Value& value, Budget& budget);
// As `value in container`.
bool Contains(const Value& container, const Value& value, Budget& budget);
// len(); throws Fault for what has none.
int64_t Length(const Value& value, Budget& budget);

// Code points of UTF-8 text, and the byte offset of the n-th (text.size() past the end).
int64_t CountCharacters(std::string_view text);
size_t OffsetOfCharacter(std::string_view text, int64_t n);

// Appends, charging the budget first.
void Append(std::string& out, std::string_view text, Budget& budget);

}  // namespace reckon::jinja
