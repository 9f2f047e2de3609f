// Attributes, items and slices of values.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "text/jinja_builtins.h"

namespace reckon::jinja {
namespace {

// How messages name the object that lacks something.
std::string Described(const Value& object) {
  if (object.is_none()) return "'None'";
  return fmt::format("'{} object'", TypeName(object));
}

Value Changed(Runtime& runtime, const LoopObject& loop, const Args& args) {
  const bool same =
      loop.has_last && loop.last.size() == args.positional.size() &&
      std::equal(loop.last.begin(), loop.last.end(), args.positional.begin(),
                 [&](const Value& a, const Value& b) { return Equal(a, b, runtime.budget()); });
  loop.has_last = true;
  loop.last = args.positional;
  return Value::Bool(!same);
}

// loop.cycle and loop.changed.
struct LoopMethod : CallableObject {
  std::shared_ptr<const Object> loop;
  bool cycle = false;

  Value Call(Runtime& runtime, const Args& args) const override {
    const auto& object = static_cast<const LoopObject&>(*loop);
    if (!cycle) {
      runtime.KeepLoop(loop);
      return Changed(runtime, object, args);
    }
    if (args.positional.empty()) Fail("no items for cycling given");
    return args.positional[object.index % args.positional.size()];
  }
};

Value LoopAttribute(const Value& object, const std::string& name) {
  const auto& loop = object.object<LoopObject>();
  const auto index = static_cast<int64_t>(loop.index);
  const auto size = static_cast<int64_t>(loop.items().size());
  if (name == "index") return Value::Int(index + 1);
  if (name == "index0") return Value::Int(index);
  if (name == "revindex") return Value::Int(size - index);
  if (name == "revindex0") return Value::Int(size - index - 1);
  if (name == "first") return Value::Bool(index == 0);
  if (name == "last") return Value::Bool(index + 1 == size);
  if (name == "length") return Value::Int(size);
  if (name == "depth") return Value::Int(1);  // of a recursive loop
  if (name == "depth0") return Value::Int(0);
  if (name == "previtem") {
    return index > 0 ? loop.items()[loop.index - 1] : Value::Undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return index + 1 < size ? loop.items()[loop.index + 1]
                            : Value::Undefined("there is no next item");
  }
  if (name != "cycle" && name != "changed") return NoAttribute(object, name);
  auto method = std::make_shared<LoopMethod>();
  method->name = name;
  method->shown = fmt::format("<bound method LoopContext.{}>", name);
  method->loop = object.shared();
  method->cycle = name == "cycle";
  method->depth = object.depth() + 1;
  if (method->depth > kMaxValueDepth) Fail("values are nested too deep");
  return Value::Of(Kind::kCallable, std::move(method));
}

// Without the items of a dictionary. None where there is nothing.
Value PlainAttribute(const Value& object, const std::string& name) {
  if (object.is(Kind::kLoop)) return LoopAttribute(object, name);
  if (object.is(Kind::kNamespace)) {
    const Value* found = object.object<NamespaceObject>().attributes.Find(name);
    return found != nullptr ? *found : NoAttribute(object, name);
  }
  if (object.is(Kind::kTuple) && object.object<SequenceObject>().fields != nullptr) {
    for (size_t i = 0; i < object.items().size(); ++i) {
      if (name == object.object<SequenceObject>().fields[i]) return object.items()[i];
    }
  }
  if (!name.empty() && name[0] == '_') return Value();
  return FindMethod(object, name);
}

// None where there is nothing.
const Value* PlainItem(const Value& object, const Value& key, Value& holder, Runtime& runtime) {
  if (object.is_dict()) {
    const bool hashable = !key.is(Kind::kList) && !key.is_dict();
    return hashable ? object.dict().dict.Find(key, runtime.budget()) : nullptr;
  }
  if (!key.is_integer()) return nullptr;
  int64_t index = key.integer();
  if (object.is_string()) {
    const std::string& text = object.text();
    runtime.budget().Step(static_cast<int64_t>(text.size() >> 6));
    const int64_t size = CountCharacters(text);
    if (index < 0) index += size;
    if (index < 0 || index >= size) return nullptr;
    const size_t begin = OffsetOfCharacter(text, index);
    const size_t length = OffsetOfCharacter(std::string_view(text).substr(begin), 1);
    holder = Value::String(text.substr(begin, length));
    return &holder;
  }
  const bool indexed = object.is(Kind::kList) || object.is(Kind::kTuple) || object.is(Kind::kRange);
  if (!indexed) return nullptr;
  const std::vector<Value>& items = object.items();
  const auto size = static_cast<int64_t>(items.size());
  if (index < 0) index += size;
  return index < 0 || index >= size ? nullptr : &items[static_cast<size_t>(index)];
}

void FailIfUndefined(const Value& object) {
  if (object.is_undefined()) Fail(object.object<UndefinedObject>().message);
}

// Python's slice.indices for one bound.
int64_t Clamped(const Value& bound, int64_t fallback, int64_t size, bool backwards) {
  if (bound.is_none()) return fallback;
  int64_t index = bound.integer();
  if (index < 0) index = std::max<int64_t>(index, -size - 1) + size;  // no overflow
  const int64_t low = backwards ? -1 : 0, high = backwards ? size - 1 : size;
  return std::clamp(index, low, std::max(low, high));
}

}  // namespace

Value NoAttribute(const Value& object, const std::string& name) {
  return Value::Undefined(fmt::format("{} has no attribute '{}'", Described(object), name));
}

Value GetAttribute(const Value& object, const std::string& name, Runtime& runtime) {
  FailIfUndefined(object);
  Value attribute = PlainAttribute(object, name);
  const bool may_be_none = object.is(Kind::kNamespace) || object.is(Kind::kLoop) ||
                           (object.is(Kind::kTuple) && !object.items().empty() &&
                            object.object<SequenceObject>().fields != nullptr);
  if (!attribute.is_none() || may_be_none) return attribute;
  if (object.is_dict()) {
    const Value* item = object.dict().dict.Find(Value::String(name), runtime.budget());
    if (item != nullptr) return *item;
  }
  return NoAttribute(object, name);
}

Value GetItem(const Value& object, const Value& key, Runtime& runtime) {
  FailIfUndefined(object);
  Value holder;
  if (const Value* item = PlainItem(object, key, holder, runtime)) return *item;
  if (!key.is_string()) {
    return Value::Undefined(fmt::format("{} has no element {}", Described(object),
                                        Repr(key, runtime.budget()).substr(0, 60)));
  }
  const bool itself = object.is(Kind::kNamespace) || object.is(Kind::kLoop);
  Value attribute = PlainAttribute(object, key.text());
  return attribute.is_none() && !itself ? NoAttribute(object, key.text()) : attribute;
}

Value GetSlice(const Value& object, const Value& start, const Value& stop, const Value& step,
               Runtime& runtime) {
  FailIfUndefined(object);
  const bool sliceable = object.is_string() || object.is(Kind::kList) || object.is(Kind::kTuple) ||
                         object.is(Kind::kRange);
  if (!sliceable) Fail(fmt::format("'{}' object is not subscriptable", TypeName(object)));
  for (const Value* bound : {&start, &stop, &step}) {
    if (!bound->is_none() && !bound->is_integer()) {
      Fail(fmt::format("slice indices must be integers or None, not {}", TypeName(*bound)));
    }
  }
  const int64_t stride = step.is_none() ? 1 : step.integer();
  if (stride == 0) Fail("slice step cannot be zero");
  const bool backwards = stride < 0;
  const std::vector<Value> items = Iterate(object, runtime.budget());
  const auto size = static_cast<int64_t>(items.size());
  const int64_t first = Clamped(start, backwards ? size - 1 : 0, size, backwards);
  const int64_t last = Clamped(stop, backwards ? -1 : size, size, backwards);
  std::vector<Value> kept;
  for (int64_t i = first; backwards ? i > last : i < last;) {
    kept.push_back(items[static_cast<size_t>(i)]);
    if (stride > size || stride < -size) break;  // before i + stride overflows
    i += stride;
  }
  if (!object.is_string()) {
    return Value::Sequence(object.is(Kind::kTuple) ? Kind::kTuple : Kind::kList, std::move(kept));
  }
  std::string text;
  for (const Value& character : kept) text += character.text();
  return Value::String(std::move(text));
}

}  // namespace reckon::jinja
