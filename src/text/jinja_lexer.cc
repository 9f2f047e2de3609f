#include "text/jinja_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "text/jinja_text.h"
#include "text/utf8.h"

namespace reckon::jinja {
namespace {

constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsAsciiDigit(c) || c == '_';
}

std::string NormalizeNewlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

int HexDigit(char c) {
  if (IsAsciiDigit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizeNewlines(source)), text_(source_) {}

  std::vector<Token> Run() {
    while (at_ < text_.size()) ReadTextAndTag();
    Emit(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void Wrong(const std::string& message) const { throw SyntaxFault(line_, message); }
  bool Follows(std::string_view what, size_t at) const {
    return at <= text_.size() && text_.substr(at, what.size()) == what;
  }
  bool Follows(std::string_view what) const { return Follows(what, at_); }

  void Emit(TokenType type, std::string text, Value number = {}) {
    Token token;
    token.type = type;
    token.text = std::move(text);
    token.number = std::move(number);
    token.line = line_;
    tokens_.push_back(std::move(token));
  }
  void Advance(size_t length) {
    const auto begin = text_.begin() + static_cast<std::ptrdiff_t>(at_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(length), '\n'));
    at_ += length;
    if (length > 0) line_starts_ = text_[at_ - 1] == '\n';
  }
  size_t SpaceLength(size_t at) const {
    return text_.size() - at - Strip(text_.substr(at), Side::kLeft).size();
  }

  // Text up to the next tag, and that tag.
  void ReadTextAndTag() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = text_.find('{', tag);
      if (tag == text_.npos) {
        EmitText(text_.substr(at_), text_.size() - at_);
        return;
      }
      const char kind = tag + 1 < text_.size() ? text_[tag + 1] : '\0';
      if (kind == '%' || kind == '{' || kind == '#') break;
    }
    const char kind = text_[tag + 1];
    const char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
    const bool signed_tag = sign == '-' || sign == '+';
    EmitText(TextBefore(text_.substr(at_, tag - at_), kind, sign), tag - at_);
    const size_t opening = signed_tag ? 3 : 2;
    if (kind == '#') {
      ReadComment(opening);
    } else if (kind == '{') {
      ReadTag(opening, TokenType::kVariableBegin);
    } else if (const size_t raw = RawTagLength("raw", opening)) {
      ReadRaw(raw);
    } else {
      ReadTag(opening, TokenType::kBlockBegin);
    }
  }

  // What a tag of that kind and sign leaves of the text before it.
  std::string_view TextBefore(std::string_view before, char kind, char sign) const {
    if (sign == '-') return Strip(before, Side::kRight);
    if (sign == '+' || kind == '{') return before;
    const size_t newline = before.rfind('\n');
    if (newline == before.npos && !line_starts_) return before;
    const size_t line = newline == before.npos ? 0 : newline + 1;
    return IsSpace(before.substr(line)) ? before.substr(0, line) : before;
  }

  void EmitText(std::string_view kept, size_t length) {
    if (!kept.empty()) Emit(TokenType::kText, std::string(kept));
    Advance(length);
  }

  // "-", "+" or nothing, then `mark`, then what goes with it; 0 if that does not follow at `at`.
  size_t EndLength(size_t at, std::string_view mark, bool block) const {
    const size_t size = mark.size();
    if (block && Follows("+", at) && Follows(mark, at + 1)) return size + 1;
    if (Follows("-", at) && Follows(mark, at + 1)) return size + 1 + SpaceLength(at + 1 + size);
    if (!Follows(mark, at)) return 0;
    return block && Follows("\n", at + size) ? size + 1 : size;
  }

  void ReadComment(size_t opening) {
    Advance(opening);
    const size_t mark = text_.find("#}", at_);
    if (mark == text_.npos) Wrong("a comment \"{#\" has no end \"#}\"");
    size_t end = mark;
    if (end > at_ && (text_[end - 1] == '-' || text_[end - 1] == '+')) --end;
    Advance(end - at_);
    Advance(EndLength(at_, "#}", true));
  }

  // The length of a whole tag "{% raw %}" at at_, 0 if it is another.
  size_t RawTagLength(std::string_view name, size_t opening) const {
    size_t at = at_ + opening;
    at += SpaceLength(at);
    if (!Follows(name, at)) return 0;
    at += name.size();
    at += SpaceLength(at);
    if (Follows("-%}", at)) return at + 3 + SpaceLength(at + 3) - at_;
    return Follows("%}", at) ? at + 2 - at_ : 0;
  }

  void ReadRaw(size_t begin_length) {
    Advance(begin_length);
    for (size_t tag = text_.find("{%", at_); tag != text_.npos; tag = text_.find("{%", tag + 1)) {
      const char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
      size_t name = tag + (sign == '-' || sign == '+' ? 3 : 2);
      name += SpaceLength(name);
      if (!Follows("endraw", name)) continue;
      const size_t end = name + 6 + SpaceLength(name + 6);
      const size_t end_length = EndLength(end, "%}", true);
      if (end_length == 0) continue;
      EmitText(TextBefore(text_.substr(at_, tag - at_), '%', sign), tag - at_);
      Advance(end + end_length - at_);
      return;
    }
    Wrong("a block \"raw\" has no end \"endraw\"");
  }

  void ReadTag(size_t opening, TokenType begin) {
    const bool block = begin == TokenType::kBlockBegin;
    Emit(begin, std::string(text_.substr(at_, 2)));
    Advance(opening);
    brackets_.clear();
    while (true) {
      Advance(SpaceLength(at_));
      if (brackets_.empty()) {
        if (const size_t length = EndLength(at_, block ? "%}" : "}}", block)) {
          Emit(block ? TokenType::kBlockEnd : TokenType::kVariableEnd, block ? "%}" : "}}");
          Advance(length);
          return;
        }
      }
      if (at_ >= text_.size()) {
        Wrong(
            fmt::format("the template ends within a tag; \"{}\" is missing", block ? "%}" : "}}"));
      }
      ReadToken();
    }
  }

  void ReadToken() {
    const char c = text_[at_];
    if (IsAsciiDigit(c)) return ReadNumber();
    if (c == '"' || c == '\'') return ReadString(c);
    if (const size_t length = NameLength()) {
      Emit(TokenType::kName, std::string(text_.substr(at_, length)));
      return Advance(length);
    }
    for (const std::string_view op : kOperators) {
      if (!Follows(op)) continue;
      Balance(op[0]);
      Emit(TokenType::kOperator, std::string(op));
      return Advance(op.size());
    }
    Wrong(fmt::format("unexpected character {}",
                      QuotedRepr(text_.substr(at_, FirstUtf8(text_.substr(at_)).length))));
  }

  size_t NameLength() const {
    size_t length = 0;
    while (at_ + length < text_.size()) {
      const std::string_view rest = text_.substr(at_ + length);
      if (IsNameByte(rest[0])) {
        ++length;
        continue;
      }
      const Utf8Step step = FirstUtf8(rest);
      if (step.code_point < 0x80 || step.state != Utf8State::kCharacter ||
          !IsAlphaNumeric(rest.substr(0, step.length))) {
        break;
      }
      length += step.length;
    }
    return length;
  }

  void Balance(char c) {
    if (c == '(' || c == '[' || c == '{') {
      brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty()) Wrong(fmt::format("unexpected '{}'", c));
      if (brackets_.back() != c) {
        Wrong(fmt::format("unexpected '{}', expected '{}'", c, brackets_.back()));
      }
      brackets_.pop_back();
    }
  }

  // Digits with single underscores between them, from `at`.
  size_t DigitsLength(size_t at) const {
    size_t end = at;
    while (end < text_.size()) {
      if (IsAsciiDigit(text_[end])) {
        ++end;
      } else if (text_[end] == '_' && end > at && end + 1 < text_.size() &&
                 IsAsciiDigit(text_[end + 1])) {
        end += 2;
      } else {
        break;
      }
    }
    return end - at;
  }

  // The length of a float at at_; 0 if an integer is there. After a point ("x.0.1") none begins.
  size_t FloatLength() const {
    if (at_ > 0 && text_[at_ - 1] == '.') return 0;
    const size_t whole = DigitsLength(at_);
    size_t length = whole;
    if (Follows(".", at_ + length)) {
      const size_t fraction = DigitsLength(at_ + length + 1);
      if (fraction > 0) length += 1 + fraction;
    }
    if (Follows("e", at_ + length) || Follows("E", at_ + length)) {
      size_t exponent = length + 1;
      if (Follows("+", at_ + exponent) || Follows("-", at_ + exponent)) ++exponent;
      const size_t digits = DigitsLength(at_ + exponent);
      if (digits > 0) length = exponent + digits;
    }
    return length == whole ? 0 : length;
  }

  size_t IntegerLength() const {
    const char letter = at_ + 1 < text_.size() ? static_cast<char>(text_[at_ + 1] | 0x20) : '\0';
    const int base = text_[at_] != '0' ? 10
                     : letter == 'x'   ? 16
                     : letter == 'o'   ? 8
                     : letter == 'b'   ? 2
                                       : 0;
    if (base == 10) return DigitsLength(at_);
    size_t end = at_ + (base == 0 ? 1 : 2);
    const auto fits = [&](size_t at) {
      if (at >= text_.size()) return false;
      const int digit = HexDigit(text_[at]);
      return digit >= 0 && digit < std::max(base, 1);  // base 0: only zeros
    };
    while (fits(end) || (Follows("_", end) && fits(end + 1))) ++end;
    return base != 0 && end == at_ + 2 ? 1 : end - at_;
  }

  void ReadNumber() {
    if (const size_t length = FloatLength()) {
      const std::optional<double> value = ParseFloat(text_.substr(at_, length));
      if (!value) Wrong("not a number");
      Emit(TokenType::kFloat, std::string(text_.substr(at_, length)), Value::Float(*value));
      return Advance(length);
    }
    const size_t length = IntegerLength();
    const std::string digits(text_.substr(at_, length));
    const std::optional<int64_t> value = ParseInteger(digits, 0);
    if (!value) Wrong(fmt::format("the integer {} does not fit into 64 bits", digits));
    Emit(TokenType::kInteger, digits, Value::Int(*value));
    Advance(length);
  }

  void ReadString(char quote) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) Wrong("a string has no end");
    Emit(TokenType::kString, Unescaped(text_.substr(at_ + 1, end - at_ - 1)));
    Advance(end + 1 - at_);
  }

  // Python's escapes; others stay as they are written.
  std::string Unescaped(std::string_view raw) const {
    std::string out;
    for (size_t i = 0; i < raw.size();) {
      if (raw[i] != '\\') {
        out += raw[i++];
        continue;
      }
      const char c = raw[++i];  // ReadString saw a character after every backslash
      static constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeaning = "\a\b\f\n\r\t\v\\'\"";
      if (const size_t letter = kLetters.find(c); letter != kLetters.npos) {
        out += kMeaning[letter];
        ++i;
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        AppendUtf8(HexEscape(raw.substr(i + 1, digits), digits), out);
        i += 1 + digits;
      } else if (c >= '0' && c <= '7') {
        uint32_t value = 0;
        for (size_t n = 0; n < 3 && i < raw.size() && raw[i] >= '0' && raw[i] <= '7'; ++n, ++i) {
          value = value * 8 + static_cast<uint32_t>(raw[i] - '0');
        }
        AppendUtf8(value, out);
      } else if (c == 'N') {
        Wrong("the escape \\N is not supported; write the character itself");
      } else {
        if (c != '\n') out.append({'\\', c});
        ++i;
      }
    }
    return out;
  }

  uint32_t HexEscape(std::string_view hex, size_t digits) const {
    uint32_t value = 0;
    bool valid = hex.size() == digits;
    for (char c : hex) {
      valid &= HexDigit(c) >= 0;
      value = value * 16 + static_cast<uint32_t>(std::max(HexDigit(c), 0));
    }
    valid &= value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
    if (!valid) Wrong(fmt::format("the escape of \"{}\" is no character", hex));
    return value;
  }

  const std::string source_;
  const std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // what was read last ended in a line break
  std::string brackets_;     // the closing ones that are due
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source) { return Lexer(source).Run(); }

}  // namespace reckon::jinja
