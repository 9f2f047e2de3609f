// Text formatting: "%s" % values, "{}".format(...).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja_builtins.h"
#include "text/jinja_text.h"

namespace reckon::jinja {
namespace {

constexpr int64_t kMaxWidth = 10'000;  // of one formatted number

struct Spec {
  char fill = ' ', align = '\0', sign = '\0', type = '\0';
  bool alternate = false, comma = false;
  int64_t width = 0, precision = -1;
};

int64_t TakeNumber(std::string_view& text) {
  int64_t number = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    number = std::min<int64_t>(number * 10 + (text[0] - '0'), kMaxWidth + 1);
    text.remove_prefix(1);
  }
  if (number > kMaxWidth) Fail(fmt::format("a width above {}", kMaxWidth));
  return number;
}

bool TakeOne(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

std::string Grouped(std::string digits) {
  const size_t end = std::min(digits.find('.'), digits.size());
  for (size_t at = end; at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

// Without sign.
std::string Magnitude(const Value& value, const Spec& spec, char type) {
  const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
  if (type == 'd') {
    const int64_t number = value.integer();
    return fmt::format("{}", number < 0 ? uint64_t{0} - static_cast<uint64_t>(number)
                                        : static_cast<uint64_t>(number));
  }
  if (type == 'x' || type == 'X' || type == 'o' || type == 'b') {
    const int64_t number = value.integer();
    const uint64_t magnitude =
        number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    const std::string prefix = spec.alternate ? std::string{'0', type} : "";
    return prefix + (type == 'x'   ? fmt::format("{:x}", magnitude)
                     : type == 'X' ? fmt::format("{:X}", magnitude)
                     : type == 'o' ? fmt::format("{:o}", magnitude)
                                   : fmt::format("{:b}", magnitude));
  }
  double number = std::fabs(value.number());
  if (std::isnan(number) || std::isinf(number)) return std::isnan(number) ? "nan" : "inf";
  switch (type) {
    case 'e':
      return fmt::format("{:.{}e}", number, precision);
    case 'E':
      return fmt::format("{:.{}E}", number, precision);
    case 'g':
    case 'G':
      return fmt::format("{:.{}g}", number, std::max(precision, 1));
    case '%':
      return fmt::format("{:.{}f}%", number * 100, precision);
    default:
      return fmt::format("{:.{}f}", number, precision);
  }
}

std::string Padded(std::string_view sign, std::string body, const Spec& spec, char align,
                   Budget& budget) {
  const int64_t size = CountCharacters(body) + static_cast<int64_t>(sign.size());
  const int64_t blanks = std::max<int64_t>(spec.width - size, 0);
  const int64_t left = align == '<' ? 0 : align == '^' ? blanks / 2 : blanks;
  const std::string fill(1, spec.fill);
  const std::string before = Repeated(fill, left, budget),
                    after = Repeated(fill, blanks - left, budget);
  const std::string lead(sign);
  return align == '=' ? lead + before + body : before + lead + body + after;
}

std::string FormattedNumber(const Value& value, const Spec& spec, char type, Budget& budget) {
  std::string body = Magnitude(value, spec, type);
  if (spec.comma) body = Grouped(std::move(body));
  const bool negative = value.is(Kind::kFloat) ? std::signbit(value.number()) : value.integer() < 0;
  const std::string sign = negative                               ? "-"
                           : spec.sign == '+' || spec.sign == ' ' ? std::string(1, spec.sign)
                                                                  : "";
  return Padded(sign, std::move(body), spec, spec.align == '\0' ? '>' : spec.align, budget);
}

std::string FormattedText(std::string text, const Spec& spec, char fallback, Budget& budget) {
  if (spec.precision >= 0) text.resize(OffsetOfCharacter(text, spec.precision));
  return Padded("", std::move(text), spec, spec.align == '\0' ? fallback : spec.align, budget);
}

Value AsInteger(const Value& value, const char* what) {
  if (value.is_integer()) return Value::Int(value.integer());
  const bool fits = value.is(Kind::kFloat) && std::fabs(value.number()) < 9.2e18;
  if (!fits) {
    Fail(fmt::format("{} format: a number is required, not {}", what, TypeName(value)));
  }
  return Value::Int(static_cast<int64_t>(value.number()));
}

Value AsNumber(const Value& value) {
  if (!value.is_number()) Fail(fmt::format("must be real number, not {}", TypeName(value)));
  return value;
}

// ---- "%"

class PercentFormatter {
 public:
  PercentFormatter(const Value& values, Budget& budget) : values_(values), budget_(budget) {}

  std::string Run(std::string_view text) {
    std::string out;
    while (!text.empty()) {
      const size_t plain = std::min(text.find('%'), text.size());
      Append(out, text.substr(0, plain), budget_);
      text.remove_prefix(plain);
      if (text.empty()) break;
      text.remove_prefix(1);
      out += TakeOne(text, '%') ? "%" : Conversion(text);
    }
    const bool all = !values_.is(Kind::kTuple)
                         ? used_ > 0 || values_.is_dict() || values_.is(Kind::kList)
                         : used_ >= values_.items().size();
    if (!all) Fail("not all arguments converted during string formatting");
    return out;
  }

 private:
  const Value& NextValue() {
    const bool tuple = values_.is(Kind::kTuple);
    if (used_ >= (tuple ? values_.items().size() : 1)) {
      Fail("not enough arguments for format string");
    }
    return tuple ? values_.items()[used_++] : (++used_, values_);
  }

  const Value& TakeKey(std::string_view& text) {
    const size_t end = text.find(')');
    if (end == text.npos) Fail("incomplete format key");
    if (!values_.is_dict()) Fail("format requires a mapping");
    const Value* found =
        values_.dict().dict.Find(Value::String(std::string(text.substr(1, end - 1))), budget_);
    if (found == nullptr) Fail(fmt::format("no value '{}' to format", text.substr(1, end - 1)));
    text.remove_prefix(end + 1);
    return *found;
  }

  std::string Conversion(std::string_view& text) {
    const Value* value = !text.empty() && text[0] == '(' ? &TakeKey(text) : nullptr;
    Spec spec;
    while (!text.empty() && std::string_view("-+ 0#").find(text[0]) != std::string_view::npos) {
      if (text[0] == '-') spec.align = '<';
      if (text[0] == '+' || (text[0] == ' ' && spec.sign == '\0')) spec.sign = text[0];
      if (text[0] == '#') spec.alternate = true;
      if (text[0] == '0') spec.fill = '0';
      text.remove_prefix(1);
    }
    spec.width = TakeNumber(text);
    if (TakeOne(text, '.')) spec.precision = TakeNumber(text);
    if (text.empty()) Fail("incomplete format");
    const char type = text[0];
    text.remove_prefix(1);
    if (spec.fill == '0') {
      spec.fill = spec.align == '<' ? ' ' : '0';
      if (spec.align == '\0') spec.align = '=';
    }
    if (value == nullptr) value = &NextValue();
    return Converted(*value, spec, type);
  }

  std::string Converted(const Value& value, Spec spec, char type) {
    if (type == 's' || type == 'r' || type == 'a') {
      spec.fill = ' ';
      if (spec.align == '=') spec.align = '>';
      return FormattedText(type == 's' ? Str(value, budget_) : Repr(value, budget_), spec, '>',
                           budget_);
    }
    if (type == 'd' || type == 'i' || type == 'u') {
      return FormattedNumber(AsInteger(value, "%d"), spec, 'd', budget_);
    }
    if (type == 'x' || type == 'X' || type == 'o') {
      if (!value.is_integer()) Fail("%x format: an integer is required");
      return FormattedNumber(value, spec, type, budget_);
    }
    if (std::string_view("eEfFgG").find(type) == std::string_view::npos) {
      Fail(fmt::format("unsupported format character '{}'", type));
    }
    return FormattedNumber(AsNumber(value), spec, type, budget_);
  }

  const Value& values_;
  Budget& budget_;
  size_t used_ = 0;
};

// ---- "{}"

bool IsAlign(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

Spec ParseSpec(std::string_view text) {
  Spec spec;
  if (text.size() > 1 && IsAlign(text[1]) && static_cast<uint8_t>(text[0]) < 0x80) {
    spec.fill = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty() && IsAlign(text[0])) {
    spec.align = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty() && (text[0] == '+' || text[0] == '-' || text[0] == ' ')) {
    spec.sign = text[0];
    text.remove_prefix(1);
  }
  spec.alternate = TakeOne(text, '#');
  if (TakeOne(text, '0')) {
    spec.fill = '0';
    if (spec.align == '\0') spec.align = '=';
  }
  spec.width = TakeNumber(text);
  spec.comma = TakeOne(text, ',');
  if (TakeOne(text, '.')) spec.precision = TakeNumber(text);
  if (!text.empty()) {
    spec.type = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty()) Fail("invalid format specifier");
  return spec;
}

std::string WithSpec(const Value& value, std::string_view text, Budget& budget) {
  if (text.empty()) return Str(value, budget);
  const Spec spec = ParseSpec(text);
  if (value.is_string() || (value.is(Kind::kBool) && spec.type == '\0')) {
    if (spec.type != 's' && spec.type != '\0') {
      Fail(fmt::format("unknown format code '{}' for object of type '{}'", spec.type,
                       TypeName(value)));
    }
    return FormattedText(Str(value, budget), spec, '<', budget);
  }
  if (!value.is_number()) {
    Fail(fmt::format("unsupported format string passed to {}", TypeName(value)));
  }
  const bool plain_float = value.is(Kind::kFloat) && spec.type == '\0';
  if (plain_float && spec.precision < 0) {
    const std::string shown = FloatRepr(std::fabs(value.number()));
    const bool negative = std::signbit(value.number());
    return Padded(negative           ? "-"
                  : spec.sign == '+' ? "+"
                                     : "",
                  shown, spec, spec.align == '\0' ? '>' : spec.align, budget);
  }
  const char type = spec.type != '\0' ? spec.type : plain_float ? 'g' : 'd';
  const bool integral = std::string_view("dxXob").find(type) != std::string_view::npos;
  if (integral && !value.is_integer()) {
    Fail(fmt::format("unknown format code '{}' for object of type 'float'", type));
  }
  if (!integral && std::string_view("eEfFgG%").find(type) == std::string_view::npos) {
    Fail(fmt::format("unknown format code '{}'", type));
  }
  return FormattedNumber(value, spec, type, budget);
}

class BraceFormatter {
 public:
  BraceFormatter(const Args& args, Runtime& runtime) : args_(args), runtime_(runtime) {}

  std::string Run(std::string_view text) {
    std::string out;
    while (!text.empty()) {
      const size_t plain = std::min(text.find_first_of("{}"), text.size());
      Append(out, text.substr(0, plain), runtime_.budget());
      text.remove_prefix(plain);
      if (text.empty()) break;
      const char brace = text[0];
      text.remove_prefix(1);
      if (TakeOne(text, brace)) {
        out += brace;
      } else if (brace == '}') {
        Fail("Single '}' encountered in format string");
      } else {
        out += Field(text);
      }
    }
    return out;
  }

 private:
  // name[!r][:spec]}
  std::string Field(std::string_view& text) {
    const size_t end = text.find('}');
    if (end == text.npos) Fail("expected '}' before end of string");
    std::string_view field = text.substr(0, end), spec;
    text.remove_prefix(end + 1);
    if (field.find('{') != field.npos) Fail("nested fields are not supported in a format string");
    if (const size_t colon = field.find(':'); colon != field.npos) {
      spec = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    char conversion = '\0';
    if (const size_t mark = field.find('!'); mark != field.npos) {
      if (mark + 2 != field.size()) Fail("invalid conversion in a format string");
      conversion = field[mark + 1];
      field = field.substr(0, mark);
    }
    Value value = Lookup(field);
    Budget& budget = runtime_.budget();
    if (conversion == 'r') value = Value::String(Repr(value, budget));
    if (conversion == 's') value = Value::String(Str(value, budget));
    std::string shown = WithSpec(value, spec, budget);
    budget.Bytes(shown.size());
    return shown;
  }

  Value Lookup(std::string_view field) {
    size_t end = std::min(field.find_first_of(".["), field.size());
    Value value = First(field.substr(0, end));
    field.remove_prefix(end);
    while (!field.empty()) {
      const bool item = field[0] == '[';
      field.remove_prefix(1);
      end = std::min(item ? field.find(']') : field.find_first_of(".["), field.size());
      if (item && end == field.size()) Fail("missing ']' in a format string");
      const std::string key(field.substr(0, end));
      field.remove_prefix(end + (item ? 1 : 0));
      const std::optional<int64_t> index = item ? ParseInteger(key, 10) : std::nullopt;
      value = !item ? GetAttribute(value, key, runtime_)
                    : GetItem(value, index ? Value::Int(*index) : Value::String(key), runtime_);
      if (!field.empty() && field[0] != '.' && field[0] != '[') {
        Fail("only '.' or '[' may follow ']' in a format field");
      }
    }
    if (value.is_undefined()) Fail(value.object<UndefinedObject>().message);
    return value;
  }

  Value First(std::string_view name) {
    const std::optional<int64_t> index =
        name.empty() ? std::optional<int64_t>(next_++) : ParseInteger(name, 10);
    if (index) {
      if (*index < 0 || *index >= static_cast<int64_t>(args_.positional.size())) {
        Fail("Replacement index out of range for positional args tuple");
      }
      return args_.positional[static_cast<size_t>(*index)];
    }
    for (const auto& [key, value] : args_.named) {
      if (key == name) return value;
    }
    Fail(fmt::format("no argument '{}' to format", name));
  }

  const Args& args_;
  Runtime& runtime_;
  int64_t next_ = 0;
};

}  // namespace

std::string FormatPercent(const std::string& text, const Value& values, Budget& budget) {
  return PercentFormatter(values, budget).Run(text);
}

std::string FormatBraces(const std::string& text, const Args& args, Runtime& runtime) {
  return BraceFormatter(args, runtime).Run(text);
}

}  // namespace reckon::jinja
