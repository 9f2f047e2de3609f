// The tests of "is".
#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

#include "text/jinja_builtins.h"
#include "text/jinja_text.h"

namespace reckon::jinja {
namespace {

using Predicate = bool (*)(Runtime& runtime, const Value& value, const Args& args);

bool IsOfKind(const Value& value, std::initializer_list<Kind> kinds) {
  for (const Kind kind : kinds) {
    if (value.is(kind)) return true;
  }
  return false;
}

const Value& Operand(const char* test, const Args& args) {
  return Bound(test, args, {"other"}, 1).Get(0);
}

template <Op kOp>
bool Compared(Runtime& runtime, const Value& value, const Args& args) {
  return ApplyComparison(kOp, value, Operand("comparison", args), runtime.budget());
}

bool LeavesOfTwo(Runtime& runtime, const Value& value, double rest) {
  const Value left = ApplyOperator(Op::kModulo, value, Value::Int(2), runtime.budget());
  return left.is_number() && left.number() == rest;
}

bool SameAs(Runtime&, const Value& value, const Args& args) {
  const Value& other = Operand("sameas", args);
  if (value.kind() != other.kind()) return false;
  if (value.is_number()) return value.number() == other.number();
  if (value.is_string()) return value.text() == other.text();
  return value.shared() == other.shared();
}

bool DivisibleBy(Runtime& runtime, const Value& value, const Args& args) {
  const Value rest = ApplyOperator(Op::kModulo, value,
                                   Bound("divisibleby", args, {"num"}, 1).Get(0), runtime.budget());
  return rest.is_number() && rest.number() == 0;
}

const std::unordered_map<std::string_view, Predicate>& Predicates() {
  using enum Kind;
  static const std::unordered_map<std::string_view, Predicate> kPredicates = {
      {"boolean", [](Runtime&, const Value& v, const Args&) { return v.is(kBool); }},
      {"callable", [](Runtime&, const Value& v, const Args&) { return v.is(kCallable); }},
      {"defined", [](Runtime&, const Value& v, const Args&) { return !v.is_undefined(); }},
      {"divisibleby", DivisibleBy},
      {"eq", Compared<Op::kEqual>},
      {"equalto", Compared<Op::kEqual>},
      {"escaped", [](Runtime&, const Value&, const Args&) { return false; }},
      {"even", [](Runtime& r, const Value& v, const Args&) { return LeavesOfTwo(r, v, 0); }},
      {"false", [](Runtime&, const Value& v, const Args&) { return v.is(kBool) && !v.boolean(); }},
      {"float", [](Runtime&, const Value& v, const Args&) { return v.is(kFloat); }},
      {"ge", Compared<Op::kGreaterEqual>},
      {"greaterthan", Compared<Op::kGreater>},
      {"gt", Compared<Op::kGreater>},
      {"in", Compared<Op::kIn>},
      {"integer", [](Runtime&, const Value& v, const Args&) { return v.is(kInt); }},
      {"iterable",
       [](Runtime&, const Value& v, const Args&) {
         return v.is_sequence() || IsOfKind(v, {kString, kDict, kUndefined, kLoop});
       }},
      {"le", Compared<Op::kLessEqual>},
      {"lessthan", Compared<Op::kLess>},
      {"lower",
       [](Runtime& r, const Value& v, const Args&) { return IsLower(Str(v, r.budget())); }},
      {"lt", Compared<Op::kLess>},
      {"mapping", [](Runtime&, const Value& v, const Args&) { return v.is_dict(); }},
      {"ne", Compared<Op::kNotEqual>},
      {"none", [](Runtime&, const Value& v, const Args&) { return v.is_none(); }},
      {"number", [](Runtime&, const Value& v, const Args&) { return v.is_number(); }},
      {"odd", [](Runtime& r, const Value& v, const Args&) { return LeavesOfTwo(r, v, 1); }},
      {"sameas", SameAs},
      {"sequence",
       [](Runtime&, const Value& v, const Args&) {
         return IsOfKind(v, {kString, kList, kTuple, kDict, kRange, kUndefined});
       }},
      {"string", [](Runtime&, const Value& v, const Args&) { return v.is_string(); }},
      {"true", [](Runtime&, const Value& v, const Args&) { return v.is(kBool) && v.boolean(); }},
      {"undefined", [](Runtime&, const Value& v, const Args&) { return v.is_undefined(); }},
      {"upper",
       [](Runtime& r, const Value& v, const Args&) { return IsUpper(Str(v, r.budget())); }},
      {"==", Compared<Op::kEqual>},
      {"!=", Compared<Op::kNotEqual>},
      {"<", Compared<Op::kLess>},
      {"<=", Compared<Op::kLessEqual>},
      {">", Compared<Op::kGreater>},
      {">=", Compared<Op::kGreaterEqual>},
      {"filter",
       [](Runtime&, const Value& v, const Args&) {
         for (const auto* table : {&TextFilters(), &SequenceFilters()}) {
           for (const NamedFilter& filter : *table) {
             if (v.is_string() && v.text() == filter.name) return true;
           }
         }
         return false;
       }},
      {"test", [](Runtime&, const Value& v,
                  const Args&) { return v.is_string() && Predicates().count(v.text()) > 0; }},
  };
  return kPredicates;
}

}  // namespace

bool ApplyTest(const std::string& name, const Value& input, const Args& args, Runtime& runtime) {
  const auto found = Predicates().find(name);
  if (found == Predicates().end()) Fail(fmt::format("no test named '{}'", name));
  runtime.budget().Step();
  return found->second(runtime, input, args);
}

}  // namespace reckon::jinja
