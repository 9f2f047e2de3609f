// Filters on lists and dictionaries.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/function_ref.h"
#include "text/jinja_builtins.h"
#include "text/jinja_text.h"

namespace reckon::jinja {
namespace {

Value Generator(std::vector<Value> items) {
  return Value::Sequence(Kind::kGenerator, std::move(items));
}

// "a.b.0": attributes and items, one after the other.
class AttributePath {
 public:
  explicit AttributePath(const Value& attribute) {
    if (attribute.is_integer()) {
      parts_.push_back(attribute);
      return;
    }
    if (!attribute.is_string()) Fail("an attribute's name must be a string or an integer");
    for (const std::string_view part : Split(attribute.text(), ".", -1)) {
      const bool digits =
          !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
      const std::optional<int64_t> index = digits ? ParseInteger(part, 10) : std::nullopt;
      parts_.push_back(index ? Value::Int(*index) : Value::String(std::string(part)));
    }
  }

  Value Of(Value value, Runtime& runtime) const {
    for (const Value& part : parts_) value = GetItem(value, part, runtime);
    return value;
  }

 private:
  std::vector<Value> parts_;
};

// What items are ordered or told apart by: an attribute of theirs or themselves, strings in lower
// case unless the case counts.
class Key {
 public:
  Key(const Value* attribute, bool case_sensitive) : case_sensitive_(case_sensitive) {
    if (attribute == nullptr || attribute->is_none()) return;
    if (!attribute->is_string()) {
      paths_.emplace_back(*attribute);
      return;
    }
    for (const std::string_view path : Split(attribute->text(), ",", -1)) {
      paths_.emplace_back(Value::String(std::string(path)));
    }
  }

  Value Of(const Value& item, Runtime& runtime) const {
    return Folded(paths_.empty() ? item : paths_[0].Of(item, runtime), runtime);
  }

  // By every attribute in turn: a list, in which equal keys need no order (none and none).
  Value ListOf(const Value& item, Runtime& runtime) const {
    std::vector<Value> keys;
    if (paths_.empty()) keys.push_back(Folded(item, runtime));
    for (const AttributePath& path : paths_) {
      keys.push_back(Folded(path.Of(item, runtime), runtime));
    }
    return Value::List(std::move(keys));
  }

 private:
  Value Folded(const Value& value, Runtime& runtime) const {
    if (case_sensitive_ || !value.is_string()) return value;
    runtime.budget().Bytes(value.text().size());
    return Value::String(Lower(value.text()));
  }

  bool case_sensitive_;
  std::vector<AttributePath> paths_;
};

const Value* Optional(const Bound& bound, size_t i) {
  return bound.HasValue(i) ? &bound.Get(i) : nullptr;
}

// Stable, also where descending.
std::vector<Value> Sorted(const std::vector<Value>& items, bool descending, Runtime& runtime,
                          FunctionRef<Value(const Value&)> key) {
  std::vector<std::pair<Value, size_t>> keyed;
  runtime.budget().Bytes(items.size() * 2 * sizeof(Value));
  for (size_t i = 0; i < items.size(); ++i) keyed.emplace_back(key(items[i]), i);
  const auto less = [&](const auto& a, const auto& b) {
    const Value &x = descending ? b.first : a.first, &y = descending ? a.first : b.first;
    return ApplyComparison(Op::kLess, x, y, runtime.budget());
  };
  std::stable_sort(keyed.begin(), keyed.end(), less);
  std::vector<Value> sorted;
  for (const auto& item : keyed) sorted.push_back(items[item.second]);
  return sorted;
}

Value Sort(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("sort", args, {"reverse", "case_sensitive", "attribute"});
  const Key key(Optional(bound, 2), bound.Flag(1, false));
  return Value::List(Sorted(Iterate(input, runtime.budget()), bound.Flag(0, false), runtime,
                            [&](const Value& item) { return key.ListOf(item, runtime); }));
}

Value DictSort(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.TextOr(1, "key");
  if (by != "key" && by != "value") Fail("you can only sort by either \"key\" or \"value\"");
  if (!input.is_dict())
    Fail(fmt::format("dictsort: a dictionary is required, not {}", TypeName(input)));
  std::vector<Value> pairs;
  runtime.budget().Bytes(input.dict().dict.size() * 4 * sizeof(Value));
  for (const auto& [name, value] : input.dict().dict.items()) {
    pairs.push_back(Value::Tuple({name, value}));
  }
  const Value place = Value::Int(by == "key" ? 0 : 1);
  const Key key(&place, bound.Flag(0, false));
  return Value::List(Sorted(pairs, bound.Flag(2, false), runtime,
                            [&](const Value& item) { return key.Of(item, runtime); }));
}

Value Unique(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("unique", args, {"case_sensitive", "attribute"});
  const Key key(Optional(bound, 1), bound.Flag(0, false));
  Dict seen;
  std::vector<Value> kept;
  for (const Value& item : Iterate(input, runtime.budget())) {
    const size_t before = seen.size();
    seen.Set(key.Of(item, runtime), Value(), runtime.budget());
    if (seen.size() > before) kept.push_back(item);
  }
  return Generator(std::move(kept));
}

template <bool kMax>
Value Extreme(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound(kMax ? "max" : "min", args, {"case_sensitive", "attribute"});
  const Key key(Optional(bound, 1), bound.Flag(0, false));
  const std::vector<Value> items = Iterate(input, runtime.budget());
  if (items.empty()) return Value::Undefined("No aggregated item, sequence was empty.");
  size_t best = 0;
  Value best_key = key.Of(items[0], runtime);
  for (size_t i = 1; i < items.size(); ++i) {
    Value next = key.Of(items[i], runtime);
    const bool better = kMax ? ApplyComparison(Op::kGreater, next, best_key, runtime.budget())
                             : ApplyComparison(Op::kLess, next, best_key, runtime.budget());
    if (!better) continue;
    best = i;
    best_key = std::move(next);
  }
  return items[best];
}

Value GroupBy(Runtime& runtime, const Value& input, const Args& args) {
  static constexpr const char* kFields[] = {"grouper", "list"};
  const Bound bound("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const AttributePath path(bound.Get(0));
  const Key folded(nullptr, bound.Flag(2, false));
  const auto key_of = [&](const Value& item) {
    const Value found = path.Of(item, runtime);
    return folded.Of(found.is_undefined() && bound.Has(1) ? bound.Get(1) : found, runtime);
  };
  const std::vector<Value> items = Iterate(input, runtime.budget());
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(key_of(item));
  std::vector<Value> pairs;
  for (size_t i = 0; i < items.size(); ++i) pairs.push_back(Value::Tuple({keys[i], items[i]}));
  pairs = Sorted(pairs, false, runtime, [](const Value& pair) { return pair.items()[0]; });
  std::vector<Value> groups;
  for (size_t i = 0; i < pairs.size();) {
    const Value key = pairs[i].items()[0];
    // The group is named as its first item is, with its case.
    const Value named = path.Of(pairs[i].items()[1], runtime);
    std::vector<Value> members;
    for (; i < pairs.size() && Equal(pairs[i].items()[0], key, runtime.budget()); ++i) {
      members.push_back(pairs[i].items()[1]);
    }
    if (members.empty()) break;  // NaN is not equal to itself
    const Value group = Value::Tuple(
        {named.is_undefined() && bound.Has(1) ? bound.Get(1) : named, Value::List(members)});
    auto object = std::make_shared<SequenceObject>(group.object<SequenceObject>());
    object->fields = kFields;
    groups.push_back(Value::Of(Kind::kTuple, std::move(object)));
  }
  return Value::List(std::move(groups));
}

Value Sum(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("sum", args, {"attribute", "start"});
  std::optional<AttributePath> path;
  if (bound.HasValue(0)) path.emplace(bound.Get(0));
  Value sum = bound.Has(1) ? bound.Get(1) : Value::Int(0);
  for (const Value& item : Iterate(input, runtime.budget())) {
    sum = ApplyOperator(Op::kAdd, sum, path ? path->Of(item, runtime) : item, runtime.budget());
  }
  return sum;
}

Value Join(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("join", args, {"d", "attribute"});
  Budget& budget = runtime.budget();
  std::optional<AttributePath> path;
  if (bound.HasValue(1)) path.emplace(bound.Get(1));
  const std::string separator = bound.Has(0) ? Str(bound.Get(0), budget) : "";
  std::string text;
  bool first = true;
  for (const Value& item : Iterate(input, budget)) {
    if (!first) Append(text, separator, budget);
    first = false;
    text += Str(path ? path->Of(item, runtime) : item, budget);
  }
  return Value::String(std::move(text));
}

Value LengthOf(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("length", args, {});
  return Value::Int(Length(input, runtime.budget()));
}

Value AsList(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("list", args, {});
  return Value::List(Iterate(input, runtime.budget()));
}

Value First(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("first", args, {});
  const std::vector<Value> items = Iterate(input, runtime.budget());
  return items.empty() ? Value::Undefined("No first item, sequence was empty.") : items.front();
}

Value Last(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("last", args, {});
  if (input.is(Kind::kGenerator)) Fail("'generator' object is not reversible");
  const std::vector<Value> items = Iterate(input, runtime.budget());
  return items.empty() ? Value::Undefined("No last item, sequence was empty.") : items.back();
}

Value Reverse(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("reverse", args, {});
  std::vector<Value> items = Iterate(input, runtime.budget());
  std::reverse(items.begin(), items.end());
  if (!input.is_string()) return Generator(std::move(items));
  std::string text;
  for (const Value& character : items) text += character.text();
  return Value::String(std::move(text));
}

Value ItemsOf(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("items", args, {});
  if (input.is_undefined()) return Generator({});
  if (!input.is_dict()) Fail("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  runtime.budget().Bytes(input.dict().dict.size() * 4 * sizeof(Value));
  for (const auto& [key, value] : input.dict().dict.items()) {
    pairs.push_back(Value::Tuple({key, value}));
  }
  return Generator(std::move(pairs));
}

Value Default(Runtime&, const Value& input, const Args& args) {
  const Bound bound("default", args, {"default_value", "boolean"});
  const bool replaced = input.is_undefined() || (bound.Flag(1, false) && !Truth(input));
  if (!replaced) return input;
  return bound.Has(0) ? bound.Get(0) : Value::String("");
}

Value Attr(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("attr", args, {"name"}, 1);
  const std::string name = Str(bound.Get(0), runtime.budget());
  if (!input.is_dict()) return GetAttribute(input, name, runtime);
  const Value method = FindMethod(input, name);  // never an item
  return method.is_none() ? NoAttribute(input, name) : method;
}

Value Batch(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("batch", args, {"linecount", "fill_with"}, 1);
  const int64_t count = bound.Int(0, 1);
  std::vector<Value> batches, batch;
  for (const Value& item : Iterate(input, runtime.budget())) {
    if (static_cast<int64_t>(batch.size()) == count) {
      batches.push_back(Value::List(std::move(batch)));
      batch = {};
    }
    batch.push_back(item);
  }
  if (!batch.empty()) {
    const int64_t missing = count - static_cast<int64_t>(batch.size());
    if (bound.HasValue(1) && missing > 0) {
      runtime.budget().Bytes(static_cast<uint64_t>(std::min(missing, int64_t{1} << 50)) *
                             sizeof(Value));
      batch.insert(batch.end(), static_cast<size_t>(missing), bound.Get(1));
    }
    batches.push_back(Value::List(std::move(batch)));
  }
  return Generator(std::move(batches));
}

Value Slice(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("slice", args, {"slices", "fill_with"}, 1);
  const std::vector<Value> items = Iterate(input, runtime.budget());
  const int64_t slices = bound.Int(0, 1), size = static_cast<int64_t>(items.size());
  if (slices == 0) Fail("integer division or modulo by zero");
  std::vector<Value> result;
  int64_t at = 0;
  for (int64_t i = 0; i < slices; ++i) {
    runtime.budget().Bytes(4 * sizeof(Value));
    const int64_t extra = i < size % slices ? 1 : 0, count = size / slices + extra;
    std::vector<Value> slice(items.begin() + at, items.begin() + at + count);
    if (bound.HasValue(1) && extra == 0) slice.push_back(bound.Get(1));
    result.push_back(Value::List(std::move(slice)));
    at += count;
  }
  return Generator(std::move(result));
}

// map('filter', ...) or map(attribute='name', default=...)
Value Map(Runtime& runtime, const Value& input, const Args& args) {
  std::vector<Value> mapped;
  if (!Truth(input)) return Generator({});  // none too, as in Jinja
  if (args.positional.empty()) {
    const Bound bound("map", args, {"attribute", "default"}, 1);
    const AttributePath path(bound.Get(0));
    for (const Value& item : Iterate(input, runtime.budget())) {
      const Value found = path.Of(item, runtime);
      mapped.push_back(found.is_undefined() && bound.Has(1) ? bound.Get(1) : found);
    }
    return Generator(std::move(mapped));
  }
  if (!args.positional[0].is_string()) Fail("map: the filter's name must be a string");
  Args rest = args;
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : Iterate(input, runtime.budget())) {
    mapped.push_back(ApplyFilter(args.positional[0].text(), item, rest, runtime));
  }
  return Generator(std::move(mapped));
}

// select, reject: items that pass a test; selectattr, rejectattr: whose attribute does. Without a
// test: by truth.
template <bool kSelect, bool kAttribute>
Value Filtered(Runtime& runtime, const Value& input, const Args& args) {
  if (!Truth(input)) return Generator({});  // none too, as in Jinja
  Args rest = args;
  std::optional<AttributePath> path;
  if (kAttribute) {
    if (args.positional.empty()) Fail("Missing parameter for attribute name");
    path.emplace(args.positional[0]);
    rest.positional.erase(rest.positional.begin());
  }
  std::string test;
  if (!rest.positional.empty()) {
    if (!rest.positional[0].is_string()) Fail("the name of a test must be a string");
    test = rest.positional[0].text();
    rest.positional.erase(rest.positional.begin());
  }
  std::vector<Value> kept;
  for (const Value& item : Iterate(input, runtime.budget())) {
    const Value tested = path ? path->Of(item, runtime) : item;
    const bool passes = test.empty() ? Truth(tested) : ApplyTest(test, tested, rest, runtime);
    if (passes == kSelect) kept.push_back(item);
  }
  return Generator(std::move(kept));
}

}  // namespace

const std::vector<NamedFilter>& SequenceFilters() {
  static const std::vector<NamedFilter> kFilters = {
      {"attr", Attr},
      {"batch", Batch},
      {"count", LengthOf},
      {"d", Default},
      {"default", Default},
      {"dictsort", DictSort},
      {"first", First},
      {"groupby", GroupBy},
      {"items", ItemsOf},
      {"join", Join},
      {"last", Last},
      {"length", LengthOf},
      {"list", AsList},
      {"map", Map},
      {"max", Extreme<true>},
      {"min", Extreme<false>},
      {"reject", Filtered<false, false>},
      {"rejectattr", Filtered<false, true>},
      {"reverse", Reverse},
      {"select", Filtered<true, false>},
      {"selectattr", Filtered<true, true>},
      {"slice", Slice},
      {"sort", Sort},
      {"sum", Sum},
      {"unique", Unique},
  };
  return kFilters;
}

}  // namespace reckon::jinja
