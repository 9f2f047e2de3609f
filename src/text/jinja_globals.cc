// Global functions, and how arguments are bound.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_builtins.h"

namespace reckon::jinja {
namespace {

struct Builtin : CallableObject {
  BuiltinFunction function = nullptr;
  Value Call(Runtime& runtime, const Args& args) const override { return function(runtime, args); }
};

Value Range(Runtime& runtime, const Args& args) {
  const Bound bound("range", args, {"start", "stop", "step"}, 1);
  const bool one = !bound.Has(1);
  const int64_t start = one ? 0 : bound.Int(0, 0), stop = bound.Int(one ? 0 : 1, 0),
                step = bound.Int(2, 1);
  if (step == 0) Fail("range() arg 3 must not be zero");
  const bool any = step > 0 ? start < stop : start > stop;
  // In unsigned arithmetic, which holds every distance.
  const uint64_t distance =
      !any ? 0
           : (step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                       : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop));
  const uint64_t stride =
      step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t count = distance / stride + (distance % stride != 0 ? 1 : 0);
  const int64_t limit = runtime.budget().limits().max_range;
  if (count > static_cast<uint64_t>(limit)) {
    Fail(fmt::format("range too big: the maximum is {} items", limit));
  }
  runtime.budget().Bytes(count * sizeof(Value));
  auto object = std::make_shared<SequenceObject>();
  for (uint64_t i = 0; i < count; ++i) {
    object->items.push_back(Value::Int(
        static_cast<int64_t>(static_cast<uint64_t>(start) + i * static_cast<uint64_t>(step))));
  }
  object->shown_as = step == 1 ? fmt::format("range({}, {})", start, stop)
                               : fmt::format("range({}, {}, {})", start, stop, step);
  return Value::Of(Kind::kRange, std::move(object));
}

// The pairs of a dictionary or a list of pairs, then the named arguments.
Dict DictOf(const char* function, Runtime& runtime, const Args& args) {
  if (args.positional.size() > 1) Fail(fmt::format("{}: expected at most 1 argument", function));
  Budget& budget = runtime.budget();
  Dict dict;
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is_dict()) {
      for (const auto& [key, value] : source.dict().dict.items()) dict.Set(key, value, budget);
    } else {
      for (const Value& pair : Iterate(source, budget)) {
        const std::vector<Value> items = Iterate(pair, budget);
        if (items.size() != 2) Fail(fmt::format("{}: expected pairs", function));
        dict.Set(items[0], items[1], budget);
      }
    }
  }
  for (const auto& [name, value] : args.named) dict.Set(Value::String(name), value, budget);
  return dict;
}

Value MakeDictionary(Runtime& runtime, const Args& args) {
  return MakeDict(DictOf("dict", runtime, args));
}

Value Namespace(Runtime& runtime, const Args& args) {
  return runtime.MakeNamespace(DictOf("namespace", runtime, args));
}

Value RaiseException(Runtime& runtime, const Args& args) {
  const Bound bound("raise_exception", args, {"message"}, 1);
  Fail(Str(bound.Get(0), runtime.budget()));
}

Value StrftimeNow(Runtime& runtime, const Args& args) {
  const Bound bound("strftime_now", args, {"format"}, 1);
  std::string text = FormatTime(runtime.now(), bound.Text(0));
  runtime.budget().Bytes(text.size());
  return Value::String(std::move(text));
}

}  // namespace

Value MakeBuiltin(const std::string& name, BuiltinFunction function) {
  auto builtin = std::make_shared<Builtin>();
  builtin->name = name;
  builtin->shown = fmt::format("<function {}>", name);
  builtin->function = function;
  return Value::Of(Kind::kCallable, std::move(builtin));
}

Value FindGlobal(const std::string& name) {
  static constexpr std::pair<std::string_view, BuiltinFunction> kGlobals[] = {
      {"range", Range},
      {"dict", MakeDictionary},
      {"namespace", Namespace},
      {"raise_exception", RaiseException},
      {"strftime_now", StrftimeNow}};
  for (const auto& [global, function] : kGlobals) {
    if (name == global) return MakeBuiltin(name, function);
  }
  return Value::Undefined("");
}

Bound::Bound(std::string_view function, const Args& args, std::initializer_list<const char*> names,
             size_t required)
    : function_(function), names_(names), values_(names.size(), nullptr) {
  if (args.positional.size() > names_.size()) {
    Fail(fmt::format("{}() takes at most {} arguments ({} given)", function, names_.size(),
                     args.positional.size()));
  }
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& named : args.named) {
    const std::string& name = named.first;
    const auto found = std::find_if(names_.begin(), names_.end(),
                                    [&](const char* known) { return name == known; });
    if (found == names_.end()) {
      Fail(fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    }
    const Value*& place = values_[static_cast<size_t>(found - names_.begin())];
    if (place != nullptr) {
      Fail(fmt::format("{}() got multiple values for argument '{}'", function, name));
    }
    place = &named.second;
  }
  for (size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) {
      Fail(fmt::format("{}() missing required argument '{}'", function, names_[i]));
    }
  }
}

int64_t Bound::Int(size_t i, int64_t fallback) const {
  if (!Has(i)) return fallback;
  if (!Get(i).is_integer()) {
    Fail(
        fmt::format("{}(): {} must be an integer, not {}", function_, names_[i], TypeName(Get(i))));
  }
  return Get(i).integer();
}

std::string Bound::TextOr(size_t i, const char* fallback) const {
  return Has(i) ? Text(i) : fallback;
}

const std::string& Bound::Text(size_t i) const {
  if (!Get(i).is_string()) {
    Fail(fmt::format("{}(): {} must be a string, not {}", function_, names_[i], TypeName(Get(i))));
  }
  return Get(i).text();
}

}  // namespace reckon::jinja
