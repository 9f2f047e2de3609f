// What templates can call and apply: globals, methods, filters, tests; and how their arguments are
// bound.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_runtime.h"

namespace reckon::jinja {

// The arguments of a call by the names of its parameters. Throws Fault for too many, for unknown
// names and for missing ones.
class Bound {
 public:
  Bound(std::string_view function, const Args& args, std::initializer_list<const char*> names,
        size_t required = 0);

  bool Has(size_t i) const { return values_[i] != nullptr; }
  const Value& Get(size_t i) const { return *values_[i]; }  // where Has(i)
  bool HasValue(size_t i) const { return Has(i) && !Get(i).is_none(); }
  bool Flag(size_t i, bool fallback) const { return Has(i) ? Truth(Get(i)) : fallback; }
  int64_t Int(size_t i, int64_t fallback) const;
  const std::string& Text(size_t i) const;  // where Has(i)
  std::string TextOr(size_t i, const char* fallback) const;

 private:
  std::string_view function_;
  std::vector<const char*> names_;
  std::vector<const Value*> values_;  // null: not given
};

// A global function's value; undefined where there is none of that name.
Value FindGlobal(const std::string& name);

// object.name and object[key], as the sandbox allows: public and changing nothing.
Value GetAttribute(const Value& object, const std::string& name, Runtime& runtime);
Value GetItem(const Value& object, const Value& key, Runtime& runtime);
Value GetSlice(const Value& object, const Value& start, const Value& stop, const Value& step,
               Runtime& runtime);
// A method of a string, a dictionary or a sequence, bound to it; None where there is none.
Value FindMethod(const Value& object, const std::string& name);
// What object.name gives where there is nothing of that name.
Value NoAttribute(const Value& object, const std::string& name);

Value ApplyFilter(const std::string& name, const Value& input, const Args& args, Runtime& runtime);
bool ApplyTest(const std::string& name, const Value& input, const Args& args, Runtime& runtime);

Value ApplyOperator(Op op, const Value& a, const Value& b, Budget& budget);
bool ApplyComparison(Op op, const Value& a, const Value& b, Budget& budget);
Value Negative(const Value& value);
Value Positive(const Value& value);
// Throws Fault where the result is larger than the budget has.
std::string Repeated(std::string_view text, int64_t count, Budget& budget);

// json.dumps.
struct JsonStyle {
  bool ensure_ascii = false, sort_keys = false, indented = false;
  std::string indent, item_separator = ", ", key_separator = ": ";
};
std::string ToJsonText(const Value& value, const JsonStyle& style, Budget& budget);

// `text % values` and text.format(...).
std::string FormatPercent(const std::string& text, const Value& values, Budget& budget);
std::string FormatBraces(const std::string& text, const Args& args, Runtime& runtime);

using BuiltinFunction = Value (*)(Runtime& runtime, const Args& args);
Value MakeBuiltin(const std::string& name, BuiltinFunction function);

using FilterFunction = Value (*)(Runtime& runtime, const Value& input, const Args& args);
struct NamedFilter {
  std::string_view name;
  FilterFunction function;
};
// The filters of jinja_filters_text.cc and jinja_filters_sequence.cc.
const std::vector<NamedFilter>& TextFilters();
const std::vector<NamedFilter>& SequenceFilters();

}  // namespace reckon::jinja
