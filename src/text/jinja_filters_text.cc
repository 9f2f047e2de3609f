// Filters on text and numbers, and the table of all filters.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "text/jinja_builtins.h"
#include "text/jinja_text.h"
#include "text/utf8.h"

namespace reckon::jinja {
namespace {

Value MakeString(Runtime& runtime, std::string text) {
  runtime.budget().Bytes(text.size());
  return Value::String(std::move(text));
}

template <std::string (*kChange)(std::string_view)>
Value Mapped(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("filter", args, {});
  return MakeString(runtime, kChange(Str(input, runtime.budget())));
}

// Jinja's own: a word begins after white space, "-" or an opening bracket.
std::string TitleWords(std::string_view text) {
  std::string out;
  bool begins = true;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, FirstUtf8(text).length);
    const bool separator = IsSpace(character) || character == "-" || character == "(" ||
                           character == "{" || character == "[" || character == "<";
    out += separator ? std::string(character) : begins ? Upper(character) : Lower(character);
    begins = separator;
    text.remove_prefix(character.size());
  }
  return out;
}

Value AsString(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("string", args, {});
  return input.is_string() ? input : Value::String(Str(input, runtime.budget()));
}

Value Trim(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("trim", args, {"chars"});
  const std::string text = Str(input, runtime.budget());
  std::optional<std::string_view> characters;
  if (bound.HasValue(0)) characters = bound.Text(0);
  return Value::String(std::string(Strip(text, Side::kBoth, characters)));
}

Value Replace(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("replace", args, {"old", "new", "count"}, 2);
  Budget& budget = runtime.budget();
  const std::string text = Str(input, budget), old = Str(bound.Get(0), budget),
                    with = Str(bound.Get(1), budget);
  int64_t left = bound.HasValue(2) ? bound.Int(2, -1) : -1;
  std::string out;
  size_t at = 0;
  if (old.empty()) {  // before every character and at the end
    for (; at < text.size() && left != 0; --left) {
      Append(out, with, budget);
      const size_t length = FirstUtf8(std::string_view(text).substr(at)).length;
      Append(out, std::string_view(text).substr(at, length), budget);
      at += length;
    }
    if (left != 0) Append(out, with, budget);
  } else {
    for (size_t found; left != 0 && (found = text.find(old, at)) != text.npos; --left) {
      Append(out, std::string_view(text).substr(at, found - at), budget);
      Append(out, with, budget);
      at = found + old.size();
    }
  }
  Append(out, std::string_view(text).substr(at), budget);
  return Value::String(std::move(out));
}

Value Indent(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("indent", args, {"width", "first", "blank"});
  Budget& budget = runtime.budget();
  const bool blank = bound.Flag(2, false);
  const std::string indent = bound.Has(0) && bound.Get(0).is_string()
                                 ? bound.Get(0).text()
                                 : Repeated(" ", bound.Int(0, 4), budget);
  if (!input.is_string()) Fail(fmt::format("indent: expected a str, not {}", TypeName(input)));
  const std::string text = input.text() + "\n";  // so that a last line break makes a line
  std::string out = bound.Flag(1, false) ? indent : "";
  bool is_first = true;
  for (const std::string_view line : SplitLines(text, false)) {
    if (!is_first) Append(out, "\n", budget);
    if (!is_first && (blank || !line.empty())) Append(out, indent, budget);
    Append(out, line, budget);
    is_first = false;
  }
  return Value::String(std::move(out));
}

Value Escape(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("escape", args, {});
  std::string out;
  for (char c : Str(input, runtime.budget())) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return MakeString(runtime, std::move(out));
}

Value Center(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("center", args, {"width"});
  Args width;
  width.positional = {Value::Int(bound.Int(0, 80))};
  return runtime.Call(FindMethod(Value::String(Str(input, runtime.budget())), "center"), width);
}

Value Truncate(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("truncate", args, {"length", "killwords", "end", "leeway"});
  if (!input.is_string()) Fail(fmt::format("truncate: expected a str, not {}", TypeName(input)));
  const std::string& text = input.text();
  const std::string ellipsis = bound.TextOr(2, "...");
  const int64_t length = bound.Int(0, 255), end_length = CountCharacters(ellipsis),
                leeway = bound.HasValue(3) ? bound.Int(3, 5) : 5;
  if (length < end_length || leeway < 0) Fail("truncate: length is below that of the end");
  const int64_t size = CountCharacters(text);
  if (size <= length || size - length <= leeway) return Value::String(text);
  std::string kept = text.substr(0, OffsetOfCharacter(text, length - end_length));
  const size_t space = kept.rfind(' ');
  if (!bound.Flag(1, false) && space != kept.npos) kept.resize(space);
  return MakeString(runtime, kept + ellipsis);
}

Value UrlEncode(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("urlencode", args, {});
  const auto quoted = [&](const Value& value, bool slash_is_safe) {
    std::string out;
    for (char c : Str(value, runtime.budget())) {
      const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '~' ||
                        (c == '/' && slash_is_safe);
      out += safe ? std::string(1, c) : fmt::format("%{:02X}", static_cast<uint8_t>(c));
    }
    return out;
  };
  if (!input.is_dict()) return MakeString(runtime, quoted(input, true));
  std::string out;
  for (const auto& [key, value] : input.dict().dict.items()) {
    if (!out.empty()) out += '&';
    out += quoted(key, false) + "=" + quoted(value, false);
  }
  return MakeString(runtime, std::move(out));
}

Value WordCount(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("wordcount", args, {});
  const std::string text = Str(input, runtime.budget());
  int64_t words = 0;
  bool inside = false;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view character = rest.substr(0, FirstUtf8(rest).length);
    const bool word = character == "_" || IsAlphaNumeric(character);
    words += word && !inside ? 1 : 0;
    inside = word;
    rest.remove_prefix(character.size());
  }
  return Value::Int(words);
}

Value Format(Runtime& runtime, const Value& input, const Args& args) {
  Budget& budget = runtime.budget();
  if (!args.named.empty() && !args.positional.empty()) {
    Fail("format: can't handle positional and keyword arguments at the same time");
  }
  if (args.named.empty()) {
    return Value::String(FormatPercent(Str(input, budget), Value::Tuple(args.positional), budget));
  }
  Dict named;
  for (const auto& [name, value] : args.named) named.Set(Value::String(name), value, budget);
  return Value::String(FormatPercent(Str(input, budget), MakeDict(std::move(named)), budget));
}

Value ToJson(Runtime& runtime, const Value& input, const Args& args) {
  const Bound bound("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.Flag(0, false);
  style.sort_keys = bound.Flag(3, false);
  if (bound.HasValue(1)) {
    style.indented = true;
    style.indent = bound.Get(1).is_string() ? bound.Get(1).text()
                                            : Repeated(" ", bound.Int(1, 0), runtime.budget());
    style.item_separator = ",";
  }
  if (bound.HasValue(2)) {
    const std::vector<Value> separators = Iterate(bound.Get(2), runtime.budget());
    const bool two =
        separators.size() == 2 && separators[0].is_string() && separators[1].is_string();
    if (!two) Fail("tojson: separators are two strings");
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return Value::String(ToJsonText(input, style, runtime.budget()));
}

// ---- numbers

Value Abs(Runtime&, const Value& input, const Args& args) {
  const Bound bound("abs", args, {});
  if (!input.is_number()) Fail(fmt::format("bad operand type for abs(): '{}'", TypeName(input)));
  if (input.is(Kind::kFloat)) return Value::Float(std::fabs(input.number()));
  return input.integer() < 0 ? Negative(input) : Value::Int(input.integer());
}

std::optional<int64_t> Truncated(double number) {
  if (!(std::fabs(number) < 9.2e18)) return {};
  return static_cast<int64_t>(number);
}

Value AsInt(Runtime&, const Value& input, const Args& args) {
  const Bound bound("int", args, {"default", "base"});
  Value fallback = bound.Has(0) ? bound.Get(0) : Value::Int(0);
  const int64_t base = bound.Int(1, 10);
  if (base != 0 && (base < 2 || base > 36)) return fallback;
  if (input.is_integer()) return Value::Int(input.integer());
  std::optional<int64_t> number;
  if (input.is(Kind::kFloat)) number = Truncated(input.number());
  if (input.is_string()) {
    number = ParseInteger(input.text(), static_cast<int>(base));
    const std::optional<double> real = ParseFloat(input.text());
    if (!number && real) number = Truncated(*real);
  }
  if (input.is_undefined()) Fail(input.object<UndefinedObject>().message);
  return number ? Value::Int(*number) : fallback;
}

Value AsFloat(Runtime&, const Value& input, const Args& args) {
  const Bound bound("float", args, {"default"});
  if (input.is_undefined()) Fail(input.object<UndefinedObject>().message);
  if (input.is_number()) return Value::Float(input.number());
  const std::optional<double> number = input.is_string() ? ParseFloat(input.text()) : std::nullopt;
  if (number) return Value::Float(*number);
  return bound.Has(0) ? bound.Get(0) : Value::Float(0);
}

// To the nearest decimal of that precision, ties to even, exactly as the digits are.
double RoundedTo(double number, int64_t precision) {
  if (!std::isfinite(number) || precision > 300) return number;
  if (precision < -308) return std::copysign(0.0, number);
  if (precision >= 0) {
    const std::optional<double> rounded =
        ParseFloat(fmt::format("{:.{}f}", number, static_cast<int>(precision)));
    return rounded.value_or(number);
  }
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(number / unit) * unit;
}

int64_t RoundedInteger(int64_t number, int64_t precision) {
  if (precision >= 0) return number;
  if (precision < -18) return 0;
  int64_t unit = 1;
  for (int64_t i = precision; i < 0; ++i) unit *= 10;
  const int64_t rest = ((number % unit) + unit) % unit, low = (number - rest) / unit;
  const bool up = rest > unit - rest || (rest == unit - rest && low % 2 != 0);
  int64_t result = 0;
  if (__builtin_mul_overflow(low + (up ? 1 : 0), unit, &result)) {
    Fail("an integer does not fit into 64 bits");
  }
  return result;
}

Value Round(Runtime&, const Value& input, const Args& args) {
  const Bound bound("round", args, {"precision", "method"});
  const std::string method = bound.TextOr(1, "common");
  const int64_t precision = bound.Int(0, 0);
  if (method != "common" && method != "ceil" && method != "floor") {
    Fail("round: method must be common, ceil or floor");
  }
  if (!input.is_number()) {
    Fail(fmt::format("type {} doesn't define __round__ method", TypeName(input)));
  }
  if (method == "common") {
    if (input.is_integer()) return Value::Int(RoundedInteger(input.integer(), precision));
    return Value::Float(RoundedTo(input.number(), precision));
  }
  if (std::abs(precision) > 300) Fail("round: the precision is too large");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.number() * scale;
  if (!std::isfinite(scaled)) Fail("cannot convert float infinity or NaN to integer");
  return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

const std::unordered_map<std::string_view, FilterFunction>& AllFilters() {
  static const auto kFilters = [] {
    std::unordered_map<std::string_view, FilterFunction> filters;
    for (const auto* table : {&TextFilters(), &SequenceFilters()}) {
      for (const NamedFilter& filter : *table) filters.emplace(filter.name, filter.function);
    }
    return filters;
  }();
  return kFilters;
}

}  // namespace

const std::vector<NamedFilter>& TextFilters() {
  static const std::vector<NamedFilter> kFilters = {
      {"abs", Abs},
      {"capitalize", Mapped<Capitalize>},
      {"center", Center},
      {"e", Escape},
      {"escape", Escape},
      {"float", AsFloat},
      {"forceescape", Escape},
      {"format", Format},
      {"indent", Indent},
      {"int", AsInt},
      {"lower", Mapped<Lower>},
      {"replace", Replace},
      {"round", Round},
      {"safe", AsString},
      {"string", AsString},
      {"title", Mapped<TitleWords>},
      {"tojson", ToJson},
      {"trim", Trim},
      {"truncate", Truncate},
      {"upper", Mapped<Upper>},
      {"urlencode", UrlEncode},
      {"wordcount", WordCount},
  };
  return kFilters;
}

Value ApplyFilter(const std::string& name, const Value& input, const Args& args, Runtime& runtime) {
  const auto found = AllFilters().find(name);
  if (found == AllFilters().end()) Fail(fmt::format("no filter named '{}'", name));
  runtime.budget().Step(input.is_string() ? static_cast<int64_t>(input.text().size() >> 4) : 1);
  return found->second(runtime, input, args);
}

}  // namespace reckon::jinja
