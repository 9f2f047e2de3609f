// str() and repr() of values.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "text/jinja_text.h"
#include "text/jinja_value.h"

namespace reckon::jinja {
namespace {

// A namespace may hold itself.
constexpr int kMaxReprDepth = kMaxValueDepth + 50;

class Printer {
 public:
  explicit Printer(Budget& budget) : budget_(budget) {}

  void Print(const Value& value) {
    budget_.Step();
    if (++depth_ > kMaxReprDepth) Fail("a value to print is nested too deep");
    switch (value.kind()) {
      case Kind::kString:
        Add(QuotedRepr(value.text()));
        break;
      case Kind::kDict:
        PrintDict(value.dict().dict);
        break;
      case Kind::kNamespace:
        Add("<Namespace ");
        PrintDict(value.object<NamespaceObject>().attributes);
        Add(">");
        break;
      default:
        value.is_sequence() ? PrintSequence(value) : Add(Scalar(value));
    }
    --depth_;
  }

  std::string Take() { return std::move(out_); }

 private:
  void Add(std::string_view text) { Append(out_, text, budget_); }

  static std::string Scalar(const Value& value) {
    switch (value.kind()) {
      case Kind::kUndefined:
        return "Undefined";
      case Kind::kNone:
        return "None";
      case Kind::kBool:
        return value.boolean() ? "True" : "False";
      case Kind::kInt:
        return std::to_string(value.integer());
      case Kind::kFloat:
        return FloatRepr(value.number());
      case Kind::kCallable:
        return value.object<CallableObject>().shown;
      case Kind::kLoop: {
        const auto& loop = value.object<LoopObject>();
        return fmt::format("<LoopContext {}/{}>", loop.index + 1, loop.items().size());
      }
      default:
        return "?";
    }
  }

  void PrintSequence(const Value& value) {
    const auto& sequence = value.object<SequenceObject>();
    if (value.is(Kind::kGenerator)) return Add("<generator object>");
    if (value.is(Kind::kRange)) return Add(sequence.shown_as);
    const bool tuple = value.is(Kind::kTuple), view = value.is(Kind::kView);
    if (view) Add(sequence.shown_as + "(");
    Add(tuple ? "(" : "[");
    for (size_t i = 0; i < sequence.items.size(); ++i) {
      if (i > 0) Add(", ");
      Print(sequence.items[i]);
    }
    if (tuple && sequence.items.size() == 1) Add(",");
    Add(tuple ? ")" : "]");
    if (view) Add(")");
  }

  void PrintDict(const Dict& dict) {
    Add("{");
    bool first = true;
    for (const auto& [key, value] : dict.items()) {
      if (!first) Add(", ");
      first = false;
      Print(key);
      Add(": ");
      Print(value);
    }
    Add("}");
  }

  Budget& budget_;
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  // Shortest digits that read back, "d.ddde+XX"; laid out as Python does: plain from 1e-4 to 1e16.
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  std::string_view shortest(buffer, static_cast<size_t>(end - buffer));
  std::string sign;
  if (shortest[0] == '-') {
    sign = "-";
    shortest.remove_prefix(1);
  }
  const size_t e = shortest.find('e');
  std::string digits(shortest.substr(0, e));
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  int exponent = 0;
  const std::string_view power = shortest.substr(e + (shortest[e + 1] == '+' ? 2 : 1));
  std::from_chars(power.data(), power.data() + power.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    const std::string fraction = digits.size() > 1 ? "." + digits.substr(1) : "";
    return fmt::format("{}{}{}e{}{:02}", sign, digits[0], fraction, exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string Repr(const Value& value, Budget& budget) {
  Printer printer(budget);
  printer.Print(value);
  return printer.Take();
}

std::string Str(const Value& value, Budget& budget) {
  if (value.is_undefined()) return "";
  if (!value.is_string()) return Repr(value, budget);
  budget.Bytes(value.text().size());
  return value.text();
}

}  // namespace reckon::jinja
