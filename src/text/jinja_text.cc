#include "text/jinja_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "text/pattern.h"
#include "text/unicode_case.h"
#include "text/utf8.h"

namespace reckon::jinja {
namespace {

template <typename Visit>
void ForEachCharacter(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const Utf8Step step = FirstUtf8(text);
    visit(step.state == Utf8State::kCharacter ? step.code_point : uint32_t{0xFFFD},
          text.substr(0, step.length));
    text.remove_prefix(step.length);
  }
}

// The last character of a text that is not empty.
std::string_view LastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 &&
         (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  return text.substr(begin);
}

bool IsSpaceCharacter(std::string_view character) {
  const Utf8Step step = FirstUtf8(character);
  return step.state == Utf8State::kCharacter && IsUnicodeSpace(step.code_point);
}

bool IsStripped(std::string_view character, const std::optional<std::string_view>& characters) {
  if (!characters) return IsSpaceCharacter(character);
  return characters->find(character) != std::string_view::npos;  // whole, so no false match
}

std::vector<std::string_view> SplitAtSpaces(std::string_view text, int64_t max_splits) {
  std::vector<std::string_view> parts;
  text = Strip(text, Side::kLeft);
  while (!text.empty()) {
    if (max_splits >= 0 && static_cast<int64_t>(parts.size()) == max_splits) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      const size_t length = FirstUtf8(text.substr(end)).length;
      if (IsSpaceCharacter(text.substr(end, length))) break;
      end += length;
    }
    parts.push_back(text.substr(0, end));
    text = Strip(text.substr(end), Side::kLeft);
  }
  return parts;
}

std::vector<std::string_view> SplitAtSpacesFromRight(std::string_view text, int64_t max_splits) {
  std::vector<std::string_view> parts;
  text = Strip(text, Side::kRight);
  while (!text.empty()) {
    if (max_splits >= 0 && static_cast<int64_t>(parts.size()) == max_splits) {
      parts.push_back(text);
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      const std::string_view last = LastCharacter(text.substr(0, begin));
      if (IsSpaceCharacter(last)) break;
      begin -= last.size();
    }
    parts.push_back(text.substr(begin));
    text = Strip(text.substr(0, begin), Side::kRight);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

// The length of the line break that the text begins with, as str.splitlines has it; 0: none.
size_t LineBreakLength(std::string_view text) {
  if (text[0] == '\r') return text.size() > 1 && text[1] == '\n' ? 2 : 1;
  if ((text[0] >= '\n' && text[0] <= '\f') || (text[0] >= 0x1C && text[0] <= 0x1E)) return 1;
  for (const std::string_view mark : {"\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9"}) {
    if (text.substr(0, mark.size()) == mark) return mark.size();
  }
  return 0;
}

// Digits with single underscores between them; empty where it is not that.
std::string WithoutUnderscores(std::string_view text) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || text[i + 1] == '_') {
      return "";
    }
  }
  return digits;
}

// Takes "0x" and the like off; the base that follows from it.
int TakePrefix(std::string_view& digits, int base) {
  const char letter = digits.size() > 1 && digits[0] == '0' ? digits[1] : '\0';
  const int named = letter == 'x' || letter == 'X'   ? 16
                    : letter == 'o' || letter == 'O' ? 8
                    : letter == 'b' || letter == 'B' ? 2
                                                     : 0;
  if (named != 0 && (base == 0 || base == named)) {
    digits.remove_prefix(2);
    if (!digits.empty() && digits[0] == '_') digits.remove_prefix(1);
    return named;
  }
  return base == 0 ? 10 : base;
}

// Whether every character of the text matches; the class is ECMA-like, such as \p{L}.
bool AllMatch(const Pattern& pattern, std::string_view text) {
  size_t covered = 0;
  pattern.ForEachMatch(text, [&](size_t begin, size_t end) { covered += end - begin; });
  return !text.empty() && covered == text.size();
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 128; });
}

bool IsPrintable(std::string_view character) {
  static const Pattern pattern = Pattern::FromRegex(R"([\p{C}\p{Z}])", "repr");
  bool found = false;
  pattern.ForEachMatch(character, [&](size_t, size_t) { found = true; });
  return !found;
}

void AppendEscaped(uint32_t code_point, std::string_view character, char quote, std::string& out) {
  if (character.size() == 1 && (character[0] == quote || character[0] == '\\')) {
    out += '\\';
    out += character;
  } else if (code_point == '\n') {
    out += "\\n";
  } else if (code_point == '\r') {
    out += "\\r";
  } else if (code_point == '\t') {
    out += "\\t";
  } else if (code_point < 0x20 || code_point == 0x7F) {
    out += fmt::format("\\x{:02x}", code_point);
  } else if (code_point < 0x7F || IsPrintable(character)) {
    out += character;
  } else {
    out += code_point < 0x100     ? fmt::format("\\x{:02x}", code_point)
           : code_point < 0x10000 ? fmt::format("\\u{:04x}", code_point)
                                  : fmt::format("\\U{:08x}", code_point);
  }
}

}  // namespace

std::string Upper(std::string_view text) {
  std::string out;
  ForEachCharacter(text, [&](uint32_t c, std::string_view) { AppendUpper(c, out); });
  return out;
}

std::string Lower(std::string_view text) {
  std::string out;
  ForEachCharacter(text, [&](uint32_t c, std::string_view) { AppendLower(c, out); });
  return out;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return "";
  const size_t first = FirstUtf8(text).length;
  return TitleCase(text.substr(0, first)) + Lower(text.substr(first));
}

std::string TitleCase(std::string_view text) {
  std::string out;
  bool after_cased = false;
  ForEachCharacter(text, [&](uint32_t c, std::string_view) {
    if (after_cased) {
      AppendLower(c, out);
    } else if (c == 0xDF) {
      out += "Ss";  // the one special mapping whose title case is common
    } else {
      AppendUpper(c, out);
    }
    after_cased = HasUpper(c) || HasLower(c);
  });
  return out;
}

std::string SwapCase(std::string_view text) {
  std::string out;
  ForEachCharacter(text, [&](uint32_t c, std::string_view) {
    HasUpper(c) ? AppendUpper(c, out) : AppendLower(c, out);
  });
  return out;
}

std::string_view Strip(std::string_view text, Side side,
                       std::optional<std::string_view> characters) {
  while (side != Side::kRight && !text.empty()) {
    const std::string_view first = text.substr(0, FirstUtf8(text).length);
    if (!IsStripped(first, characters)) break;
    text.remove_prefix(first.size());
  }
  while (side != Side::kLeft && !text.empty()) {
    const std::string_view last = LastCharacter(text);
    if (!IsStripped(last, characters)) break;
    text.remove_suffix(last.size());
  }
  return text;
}

std::vector<std::string_view> Split(std::string_view text,
                                    std::optional<std::string_view> separator, int64_t max_splits) {
  if (!separator) return SplitAtSpaces(text, max_splits);
  std::vector<std::string_view> parts;
  while (max_splits < 0 || static_cast<int64_t>(parts.size()) < max_splits) {
    const size_t at = text.find(*separator);
    if (at == text.npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> SplitFromRight(std::string_view text,
                                             std::optional<std::string_view> separator,
                                             int64_t max_splits) {
  if (!separator) return SplitAtSpacesFromRight(text, max_splits);
  std::vector<std::string_view> parts;
  while (max_splits < 0 || static_cast<int64_t>(parts.size()) < max_splits) {
    const size_t at = text.rfind(*separator);
    if (at == text.npos) break;
    parts.push_back(text.substr(at + separator->size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0, at = 0;
  while (at < text.size()) {
    const size_t length = LineBreakLength(text.substr(at));
    if (length > 0) {
      lines.push_back(text.substr(begin, at - begin + (keep_ends ? length : 0)));
      begin = at + length;
    }
    at += std::max<size_t>(length, 1);
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::optional<int64_t> ParseInteger(std::string_view text, int base) {
  text = Strip(text, Side::kBoth);
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const std::string_view all = text;
  const int actual = TakePrefix(text, base);
  std::string digits = WithoutUnderscores(text);
  const bool leading_zero = base == 0 && text.size() == all.size() && all.size() > 1 &&
                            all[0] == '0' && digits.find_first_not_of('0') != digits.npos;
  if (digits.empty() || digits[0] == '-' || digits[0] == '+' || leading_zero) return {};
  if (negative) digits.insert(digits.begin(), '-');
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, actual);
  if (error != std::errc() || end != digits.data() + digits.size()) return {};
  return value;
}

std::optional<double> ParseFloat(std::string_view text) {
  text = Strip(text, Side::kBoth);
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const std::string lower = Lower(text);
  double value = 0;
  if (lower == "inf" || lower == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (lower == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    const std::string digits = WithoutUnderscores(lower);
    const bool number =
        !digits.empty() && digits.find_first_not_of("0123456789.e+-") == digits.npos;
    if (!number || digits[0] == '-' || digits[0] == '+') return {};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (end != digits.data() + digits.size()) return {};
    if (error == std::errc::result_out_of_range) {
      const size_t exponent = digits.find("e-");
      value = exponent == digits.npos ? std::numeric_limits<double>::infinity() : 0;
    }
  }
  return negative ? -value : value;
}

bool IsAlpha(std::string_view text) {
  static const Pattern pattern = Pattern::FromRegex(R"(\p{L}+)", "isalpha");
  return AllMatch(pattern, text);
}

bool IsDigit(std::string_view text) {
  if (IsAscii(text)) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  }
  static const Pattern pattern = Pattern::FromRegex(R"([\p{Nd}²³¹⁰⁴-⁹₀-₉]+)", "isdigit");
  return AllMatch(pattern, text);
}

bool IsAlphaNumeric(std::string_view text) {
  static const Pattern pattern = Pattern::FromRegex(R"([\p{L}\p{N}]+)", "isalnum");
  return AllMatch(pattern, text);
}

bool IsSpace(std::string_view text) { return !text.empty() && Strip(text, Side::kLeft).empty(); }

bool IsUpper(std::string_view text) {
  bool any = false, other = false;
  ForEachCharacter(text, [&](uint32_t c, std::string_view) {
    any |= HasLower(c);
    other |= HasUpper(c);
  });
  return any && !other;
}

bool IsLower(std::string_view text) {
  bool any = false, other = false;
  ForEachCharacter(text, [&](uint32_t c, std::string_view) {
    any |= HasUpper(c);
    other |= HasLower(c);
  });
  return any && !other;
}

std::string QuotedRepr(std::string_view text) {
  const bool single = text.find('\'') != text.npos, twofold = text.find('"') != text.npos;
  const char quote = single && !twofold ? '"' : '\'';
  std::string out(1, quote);
  ForEachCharacter(text, [&](uint32_t c, std::string_view character) {
    AppendEscaped(c, character, quote, out);
  });
  return out + quote;
}

}  // namespace reckon::jinja
