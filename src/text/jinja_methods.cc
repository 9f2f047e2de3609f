// Methods of strings, dictionaries and sequences that change nothing.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "text/jinja_builtins.h"
#include "text/jinja_text.h"

namespace reckon::jinja {
namespace {

using Method = Value (*)(Runtime& runtime, const Value& self, const Args& args);
using MethodTable = std::unordered_map<std::string_view, Method>;

struct BoundMethod : CallableObject {
  Value self;
  Method method = nullptr;
  Value Call(Runtime& runtime, const Args& args) const override {
    runtime.budget().Step(self.is_string() ? static_cast<int64_t>(self.text().size() >> 4) : 1);
    return method(runtime, self, args);
  }
};

Value MakeString(Runtime& runtime, std::string text) {
  runtime.budget().Bytes(text.size());
  return Value::String(std::move(text));
}
Value MakeString(Runtime& runtime, std::string_view text) {
  return MakeString(runtime, std::string(text));
}

Value ListOf(Runtime& runtime, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  runtime.budget().Bytes(parts.size() * 2 * sizeof(Value));
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(MakeString(runtime, part));
  return Value::List(std::move(items));
}

template <std::string (*kChange)(std::string_view)>
Value Mapped(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("str method", args, {});
  return MakeString(runtime, kChange(self.text()));
}

template <bool (*kIs)(std::string_view)>
Value Asked(Runtime&, const Value& self, const Args& args) {
  const Bound bound("str method", args, {});
  return Value::Bool(kIs(self.text()));
}

template <Side kSide>
Value Stripped(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("strip", args, {"chars"});
  if (!bound.HasValue(0)) return MakeString(runtime, Strip(self.text(), kSide));
  return MakeString(runtime, Strip(self.text(), kSide, std::string_view(bound.Text(0))));
}

template <bool kFromRight>
Value SplitText(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("split", args, {"sep", "maxsplit"});
  const int64_t max_splits = bound.Int(1, -1);
  std::optional<std::string_view> separator;
  if (bound.HasValue(0)) separator = bound.Text(0);
  if (separator && separator->empty()) Fail("empty separator");
  return ListOf(runtime, kFromRight ? SplitFromRight(self.text(), separator, max_splits)
                                    : Split(self.text(), separator, max_splits));
}

Value SplitIntoLines(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("splitlines", args, {"keepends"});
  return ListOf(runtime, SplitLines(self.text(), bound.Flag(0, false)));
}

template <bool kFromRight>
Value Partition(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("partition", args, {"sep"}, 1);
  const std::string_view text = self.text(), separator = bound.Text(0);
  if (separator.empty()) Fail("empty separator");
  const size_t at = kFromRight ? text.rfind(separator) : text.find(separator);
  if (at == text.npos) {
    const Value none = Value::String("");
    return kFromRight ? Value::Tuple({none, none, self}) : Value::Tuple({self, none, none});
  }
  return Value::Tuple({MakeString(runtime, text.substr(0, at)), bound.Get(0),
                       MakeString(runtime, text.substr(at + separator.size()))});
}

// The part of the text from `start` to `end` in characters, as slices count; `offset`: its first
// byte. Nothing where start is beyond the text.
std::optional<std::string_view> Part(const Value& self, const Bound& bound, size_t& offset) {
  const std::string_view text = self.text();
  if (!bound.HasValue(1) && !bound.HasValue(2)) return text;
  const int64_t size = CountCharacters(text);
  const auto place = [&](size_t i, int64_t fallback) {
    const int64_t index = bound.HasValue(i) ? bound.Int(i, 0) : fallback;
    return index < 0 ? std::max<int64_t>(index, -size) + size : index;
  };
  const int64_t start = place(1, 0), end = std::min(place(2, size), size);
  if (start > size) return {};
  offset = OffsetOfCharacter(text, start);
  return text.substr(offset, OffsetOfCharacter(text, std::max(start, end)) - offset);
}

template <bool kAtEnd>
Value BeginsOrEnds(Runtime&, const Value& self, const Args& args) {
  const Bound bound(kAtEnd ? "endswith" : "startswith", args, {"affix", "start", "end"}, 1);
  size_t offset = 0;
  const std::optional<std::string_view> text = Part(self, bound, offset);
  const auto has = [&](const Value& affix) {
    if (!affix.is_string()) {
      Fail(fmt::format("{} first arg must be str or a tuple of str, not {}",
                       kAtEnd ? "endswith" : "startswith", TypeName(affix)));
    }
    return text && (kAtEnd ? text->ends_with(affix.text()) : text->starts_with(affix.text()));
  };
  if (!bound.Get(0).is(Kind::kTuple)) return Value::Bool(has(bound.Get(0)));
  const std::vector<Value>& affixes = bound.Get(0).items();
  return Value::Bool(std::any_of(affixes.begin(), affixes.end(), has));
}

// The character where it is found, -1 if it is not.
template <bool kFromRight>
int64_t FindIn(const Value& self, const Args& args, const char* function) {
  const Bound bound(function, args, {"sub", "start", "end"}, 1);
  size_t offset = 0;
  const std::optional<std::string_view> text = Part(self, bound, offset);
  if (!text) return -1;
  const std::string& sub = bound.Text(0);
  const size_t at = kFromRight ? text->rfind(sub) : text->find(sub);
  if (at == text->npos) return -1;
  return CountCharacters(std::string_view(self.text()).substr(0, offset + at));
}

template <bool kFromRight>
Value FindText(Runtime&, const Value& self, const Args& args) {
  return Value::Int(FindIn<kFromRight>(self, args, "find"));
}

template <bool kFromRight>
Value IndexOfText(Runtime&, const Value& self, const Args& args) {
  const int64_t at = FindIn<kFromRight>(self, args, "index");
  if (at < 0) Fail("substring not found");
  return Value::Int(at);
}

Value CountText(Runtime&, const Value& self, const Args& args) {
  const Bound bound("count", args, {"sub", "start", "end"}, 1);
  size_t offset = 0;
  const std::optional<std::string_view> text = Part(self, bound, offset);
  if (!text) return Value::Int(0);
  const std::string& sub = bound.Text(0);
  if (sub.empty()) return Value::Int(CountCharacters(*text) + 1);
  return Value::Int(static_cast<int64_t>(Split(*text, sub, -1).size()) - 1);
}

Value ReplaceText(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("replace", args, {"old", "new", "count"}, 2);
  Args plain;
  plain.positional = {bound.Get(0), bound.Get(1)};
  bound.Text(0);
  bound.Text(1);
  if (bound.Has(2)) plain.positional.push_back(Value::Int(bound.Int(2, -1)));
  return ApplyFilter("replace", self, plain, runtime);
}

Value JoinText(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("join", args, {"iterable"}, 1);
  std::string text;
  bool first = true;
  for (const Value& item : Iterate(bound.Get(0), runtime.budget())) {
    if (!item.is_string()) {
      Fail(fmt::format("join: expected str instances, {} found", TypeName(item)));
    }
    if (!first) Append(text, self.text(), runtime.budget());
    Append(text, item.text(), runtime.budget());
    first = false;
  }
  return Value::String(std::move(text));
}

Value FormatText(Runtime& runtime, const Value& self, const Args& args) {
  return Value::String(FormatBraces(self.text(), args, runtime));
}

template <bool kPrefix>
Value RemoveAffix(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("remove", args, {"affix"}, 1);
  std::string_view text = self.text();
  const std::string& affix = bound.Text(0);
  if (kPrefix && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!kPrefix && text.ends_with(affix)) text.remove_suffix(affix.size());
  return MakeString(runtime, text);
}

enum class Align { kLeft, kRight, kCenter };

template <Align kAlign>
Value Justify(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("justify", args, {"width", "fillchar"}, 1);
  const std::string fill = bound.TextOr(1, " ");
  if (CountCharacters(fill) != 1) Fail("the fill character must be exactly one character long");
  const int64_t width = bound.Int(0, 0), size = CountCharacters(self.text());
  const int64_t blanks = width > size ? width - size : 0;
  // As CPython centers: the odd blank goes left where the width is odd.
  const int64_t left = kAlign == Align::kLeft    ? 0
                       : kAlign == Align::kRight ? blanks
                                                 : blanks / 2 + (blanks & width & 1);
  return MakeString(runtime, Repeated(fill, left, runtime.budget()) + self.text() +
                                 Repeated(fill, blanks - left, runtime.budget()));
}

Value ZeroFill(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("zfill", args, {"width"}, 1);
  const std::string& text = self.text();
  const int64_t size = CountCharacters(text), width = bound.Int(0, 0);
  const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const std::string zeros = Repeated("0", width > size ? width - size : 0, runtime.budget());
  return MakeString(runtime, text.substr(0, sign) + zeros + text.substr(sign));
}

Value ExpandTabs(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("expandtabs", args, {"tabsize"});
  const int64_t size = bound.Int(0, 8);
  std::string text;
  int64_t column = 0;
  for (char c : self.text()) {
    if (c == '\t') {
      const int64_t blanks = size > 0 ? size - column % size : 0;
      text += Repeated(" ", blanks, runtime.budget());
      column += blanks;
      continue;
    }
    text += c;
    if (c == '\n' || c == '\r') {
      column = 0;
    } else if ((static_cast<uint8_t>(c) & 0xC0) != 0x80) {
      ++column;
    }
  }
  return MakeString(runtime, std::move(text));
}

bool IsAsciiText(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 128; });
}

bool IsTitle(std::string_view text) {
  return TitleCase(text) == text && Lower(text) != Upper(text);
}

const MethodTable& StringMethods() {
  static const MethodTable kMethods = {
      {"capitalize", Mapped<Capitalize>},
      {"casefold", Mapped<Lower>},
      {"center", Justify<Align::kCenter>},
      {"count", CountText},
      {"endswith", BeginsOrEnds<true>},
      {"expandtabs", ExpandTabs},
      {"find", FindText<false>},
      {"format", FormatText},
      {"index", IndexOfText<false>},
      {"isalnum", Asked<IsAlphaNumeric>},
      {"isalpha", Asked<IsAlpha>},
      {"isascii", Asked<IsAsciiText>},
      {"isdecimal", Asked<IsDigit>},
      {"isdigit", Asked<IsDigit>},
      {"islower", Asked<IsLower>},
      {"isnumeric", Asked<IsDigit>},
      {"isspace", Asked<IsSpace>},
      {"istitle", Asked<IsTitle>},
      {"isupper", Asked<IsUpper>},
      {"join", JoinText},
      {"ljust", Justify<Align::kLeft>},
      {"lower", Mapped<Lower>},
      {"lstrip", Stripped<Side::kLeft>},
      {"partition", Partition<false>},
      {"removeprefix", RemoveAffix<true>},
      {"removesuffix", RemoveAffix<false>},
      {"replace", ReplaceText},
      {"rfind", FindText<true>},
      {"rindex", IndexOfText<true>},
      {"rjust", Justify<Align::kRight>},
      {"rpartition", Partition<true>},
      {"rsplit", SplitText<true>},
      {"rstrip", Stripped<Side::kRight>},
      {"split", SplitText<false>},
      {"splitlines", SplitIntoLines},
      {"startswith", BeginsOrEnds<false>},
      {"strip", Stripped<Side::kBoth>},
      {"swapcase", Mapped<SwapCase>},
      {"title", Mapped<TitleCase>},
      {"upper", Mapped<Upper>},
      {"zfill", ZeroFill},
  };
  return kMethods;
}

// ---- dictionaries and sequences

Value GetKey(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("get", args, {"key", "default"}, 1);
  const Value* found = self.dict().dict.Find(bound.Get(0), runtime.budget());
  if (found != nullptr) return *found;
  return bound.Has(1) ? bound.Get(1) : Value();
}

Value View(const char* type, std::vector<Value> items) {
  const Value view = Value::Sequence(Kind::kView, std::move(items));
  auto object = std::make_shared<SequenceObject>(view.object<SequenceObject>());
  object->shown_as = type;
  return Value::Of(Kind::kView, std::move(object));
}

Value Keys(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("keys", args, {});
  return View("dict_keys", Iterate(self, runtime.budget()));
}

Value Values(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("values", args, {});
  std::vector<Value> items;
  runtime.budget().Bytes(self.dict().dict.size() * sizeof(Value));
  for (const auto& item : self.dict().dict.items()) items.push_back(item.second);
  return View("dict_values", std::move(items));
}

Value Items(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("items", args, {});
  std::vector<Value> items;
  runtime.budget().Bytes(self.dict().dict.size() * 4 * sizeof(Value));
  for (const auto& [key, value] : self.dict().dict.items()) {
    items.push_back(Value::Tuple({key, value}));
  }
  return View("dict_items", std::move(items));
}

Value CountItem(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("count", args, {"value"}, 1);
  int64_t count = 0;
  for (const Value& item : self.items()) count += Equal(item, bound.Get(0), runtime.budget());
  return Value::Int(count);
}

Value IndexOfItem(Runtime& runtime, const Value& self, const Args& args) {
  const Bound bound("index", args, {"value"}, 1);
  for (size_t i = 0; i < self.items().size(); ++i) {
    if (Equal(self.items()[i], bound.Get(0), runtime.budget())) {
      return Value::Int(static_cast<int64_t>(i));
    }
  }
  Fail("the value is not in the list");
}

Value Copy(Runtime&, const Value& self, const Args& args) {
  const Bound bound("copy", args, {});
  return self;  // nothing can change either
}

const MethodTable& MethodsOf(const Value& object) {
  static const MethodTable kDict = {
      {"get", GetKey}, {"keys", Keys}, {"values", Values}, {"items", Items}, {"copy", Copy}};
  static const MethodTable kList = {{"count", CountItem}, {"index", IndexOfItem}, {"copy", Copy}};
  static const MethodTable kTuple = {{"count", CountItem}, {"index", IndexOfItem}};
  static const MethodTable kNone;
  if (object.is_string()) return StringMethods();
  if (object.is_dict()) return kDict;
  if (object.is(Kind::kList)) return kList;
  return object.is(Kind::kTuple) || object.is(Kind::kRange) ? kTuple : kNone;
}

// What would change its object gives an undefined value that says so when it is called.
Value Refused(const Value& object, const std::string& name) {
  static constexpr std::string_view kOfList[] = {"append", "clear",  "extend",  "insert",
                                                 "pop",    "remove", "reverse", "sort"};
  static constexpr std::string_view kOfDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  const bool changes = (object.is(Kind::kList) && std::find(std::begin(kOfList), std::end(kOfList),
                                                            name) != std::end(kOfList)) ||
                       (object.is_dict() && std::find(std::begin(kOfDict), std::end(kOfDict),
                                                      name) != std::end(kOfDict));
  if (!changes) return Value();
  return Value::Undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe: templates change no data",
                  name, TypeName(object)));
}

}  // namespace

Value FindMethod(const Value& object, const std::string& name) {
  const MethodTable& methods = MethodsOf(object);
  const auto found = methods.find(name);
  if (found == methods.end()) return Refused(object, name);
  auto method = std::make_shared<BoundMethod>();
  method->name = name;
  method->shown = fmt::format("<built-in method {} of {} object>", name, TypeName(object));
  method->self = object;
  method->method = found->second;
  method->depth = object.depth() + 1;
  if (method->depth > kMaxValueDepth + 1) Fail("values are nested too deep");
  return Value::Of(Kind::kCallable, std::move(method));
}

}  // namespace reckon::jinja
