// json.dumps.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja_builtins.h"
#include "text/utf8.h"

namespace reckon::jinja {
namespace {

class JsonPrinter {
 public:
  JsonPrinter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  void Print(const Value& value) {
    budget_.Step();
    switch (value.kind()) {
      case Kind::kNone:
        return Add("null");
      case Kind::kBool:
        return Add(value.boolean() ? "true" : "false");
      case Kind::kInt:
        return Add(std::to_string(value.integer()));
      case Kind::kFloat:
        return Add(Float(value.number()));
      case Kind::kString:
        return PrintString(value.text());
      case Kind::kList:
      case Kind::kTuple:
        return PrintArray(value.items());
      case Kind::kDict:
        return PrintObject(value.dict().dict);
      default:
        Fail(fmt::format("Object of type {} is not JSON serializable", TypeName(value)));
    }
  }

  std::string Take() { return std::move(out_); }

 private:
  void Add(std::string_view text) { Append(out_, text, budget_); }

  static std::string Float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return FloatRepr(value);
  }

  void PrintString(std::string_view text) {
    Add("\"");
    while (!text.empty()) {
      const Utf8Step step = FirstUtf8(text);
      PrintCharacter(step.code_point, text.substr(0, step.length));
      text.remove_prefix(step.length);
    }
    Add("\"");
  }

  void PrintCharacter(uint32_t code_point, std::string_view character) {
    static constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b", kLetters = "\"\\nrtfb";
    const size_t escape =
        character.size() == 1 ? kEscaped.find(character[0]) : std::string_view::npos;
    const bool plain = code_point >= 0x20 && (!style_.ensure_ascii || code_point < 0x7F);
    if (escape != kEscaped.npos) {
      Add(std::string{'\\', kLetters[escape]});
    } else if (plain) {
      Add(character);
    } else if (code_point < 0x10000) {
      Add(fmt::format("\\u{:04x}", code_point));
    } else {  // as two surrogates
      Add(fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (code_point >> 10),
                      0xDC00 + (code_point & 0x3FF)));
    }
  }

  void NewLine() {
    if (!style_.indented) return;
    Add("\n");
    for (int i = 0; i < depth_; ++i) Add(style_.indent);
  }

  void PrintArray(const std::vector<Value>& items) {
    if (items.empty()) return Add("[]");
    Add("[");
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) Add(style_.item_separator);
      NewLine();
      Print(items[i]);
    }
    --depth_;
    NewLine();
    Add("]");
  }

  // Keys that are numbers, true, false or None become strings.
  void PrintKey(const Value& key) {
    if (key.is_string()) return PrintString(key.text());
    if (!key.is_number() && !key.is_none()) {
      Fail(fmt::format("keys must be str, int, float, bool or None, not {}", TypeName(key)));
    }
    Add("\"");
    Print(key);
    Add("\"");
  }

  void PrintObject(const Dict& dict) {
    if (dict.size() == 0) return Add("{}");
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items()) items.push_back(&item);
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(), [&](const auto* a, const auto* b) {
        return Less(a->first, b->first, "<", budget_);
      });
    }
    Add("{");
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) Add(style_.item_separator);
      NewLine();
      PrintKey(items[i]->first);
      Add(style_.key_separator);
      Print(items[i]->second);
    }
    --depth_;
    NewLine();
    Add("}");
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string ToJsonText(const Value& value, const JsonStyle& style, Budget& budget) {
  JsonPrinter printer(style, budget);
  printer.Print(value);
  return printer.Take();
}

}  // namespace reckon::jinja
