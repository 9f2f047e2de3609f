#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8  // the library's way to choose its byte interface
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace reckon {
namespace {

// Steps of backtracking in one match. The patterns in use take about one step a character; a text
// would have to be built against them to come near.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kDepthLimit = 100'000;

// What Unicode 15.0 to 16.0 assigned. PCRE2 may have an older database; with these characters named
// one by one a pattern means the same whatever its version.
constexpr uint32_t kNewCharacters[][2] = {
    {0x897, 0x897},     {0xCF3, 0xCF3},     {0xECE, 0xECE},     {0x1B4E, 0x1B4F},
    {0x1B7F, 0x1B7F},   {0x1C89, 0x1C8A},   {0x2427, 0x2429},   {0x2FFC, 0x2FFF},
    {0x31E4, 0x31EF},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D40, 0x10D8F}, {0x10EC2, 0x10EFF}, {0x1123F, 0x11241}, {0x11380, 0x113E2},
    {0x116D0, 0x116E3}, {0x11B00, 0x11BF9}, {0x11F00, 0x11F5A}, {0x1342F, 0x1342F},
    {0x13439, 0x143FA}, {0x16100, 0x16139}, {0x16D40, 0x16D79}, {0x18CFF, 0x18CFF},
    {0x1B132, 0x1B132}, {0x1B155, 0x1B155}, {0x1CC00, 0x1CEB3}, {0x1D2C0, 0x1D2D3},
    {0x1DF25, 0x1DF2A}, {0x1E030, 0x1E08F}, {0x1E4D0, 0x1E5FF}, {0x1F6DC, 0x1F6DC},
    {0x1F774, 0x1F77F}, {0x1F7D9, 0x1F7D9}, {0x1F8B2, 0x1F8C1}, {0x1FA75, 0x1FA77},
    {0x1FA87, 0x1FA8F}, {0x1FAAD, 0x1FAAF}, {0x1FABB, 0x1FABF}, {0x1FAC6, 0x1FACF},
    {0x1FADA, 0x1FADF}, {0x1FAE8, 0x1FAE9}, {0x1FAF7, 0x1FAF8}, {0x1FBCB, 0x1FBEF},
    {0x2B739, 0x2B739}, {0x2EBF0, 0x2EE5D}, {0x31350, 0x323AF}};

// Those of the new characters that have one of the flags, as part of a class.
std::string NewCharacters(uint8_t flags) {
  const uint8_t* flags_of = CodePointFlags();
  std::string ranges;
  for (const auto& [first, last] : kNewCharacters) {
    for (uint32_t c = first; c <= last; ++c) {
      if ((flags_of[c] & flags) == 0) continue;
      const uint32_t begin = c;
      while (c < last && (flags_of[c + 1] & flags) != 0) ++c;
      ranges += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", begin, c);
    }
  }
  return ranges;
}

// \w of Rust's regular expressions (Unicode technical standard 18, annex C).
std::string WordClasses() {
  return "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}" +
         NewCharacters(kIsLetter | kIsMark | kIsNumber);
}

// Rewrites Oniguruma's (Ruby) syntax as PCRE2's.
class Translator {
 public:
  Translator(std::string_view regex, const std::string& where) : regex_(regex), where_(where) {}

  std::string Translate() {
    while (at_ < regex_.size()) {
      const char c = regex_[at_];
      if (c == '\\') {
        Escape();
      } else if (in_class_) {
        InClass(c);
      } else if (c == '[') {
        OpenClass();
      } else {
        // Ruby reads x{1,3}+ as repeating x{1,3}, PCRE2 as possessive.
        if (c == '+' && at_ > 0 && regex_[at_ - 1] == '}' && last_brace_is_repeat_) Refuse("}+");
        if (c == '{') last_brace_is_repeat_ = true;
        Copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(const std::string& construct) const {
    Throw(ErrorKind::kUnsupported, fmt::format("{}: the pattern {} uses {}, which is not supported",
                                               where_, regex_, construct));
  }
  void Copy(size_t count) {
    out_ += regex_.substr(at_, count);
    at_ += count;
  }
  void OpenClass() {
    in_class_ = true;
    Copy(1);
    if (Next() == '^') Copy(1);
    if (Next() == ']') Refuse("a class that begins with ]");
  }
  void InClass(char c) {
    if (c == '[') {
      if (regex_.substr(at_, 2) != "[:") Refuse("a class within a class");
      const size_t end = regex_.find(":]", at_);
      if (end == regex_.npos) Refuse("[: without :]");
      Copy(end + 2 - at_);
      return;
    }
    if (regex_.substr(at_, 2) == "&&") Refuse("&& in a class");
    if (c == ']') in_class_ = false;
    Copy(1);
  }
  char Next() const { return at_ < regex_.size() ? regex_[at_] : '\0'; }

  void Escape() {
    if (at_ + 1 >= regex_.size()) Refuse("a lone backslash");
    const char kind = regex_[at_ + 1];
    last_brace_is_repeat_ = false;
    if (kind == 's' || kind == 'S') {
      // PCRE2's own \s also takes U+180E, which lost the White_Space property in Unicode 6.3.
      out_ += kind == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      at_ += 2;
    } else if (kind == 'u') {
      const std::string_view digits = regex_.substr(at_ + 2, 4);
      if (digits.size() != 4 || !std::all_of(digits.begin(), digits.end(), [](unsigned char d) {
            return std::isxdigit(d) != 0;
          })) {
        Refuse("\\u without four hexadecimal digits");
      }
      out_ += fmt::format("\\x{{{}}}", digits);
      at_ += 6;
    } else if (kind == 'p' || kind == 'P') {
      Property();
    } else if (std::string_view("hHwWbBRXKGAzZ").find(kind) != std::string_view::npos) {
      Refuse(fmt::format("\\{}", kind));
    } else {
      const size_t close = regex_.substr(at_, 3) == "\\x{" ? regex_.find('}', at_) : regex_.npos;
      Copy(close == regex_.npos ? 2 : close + 1 - at_);
    }
  }
  void Property() {
    const size_t open = at_ + 2, close = regex_.find('}', at_);
    if (open >= regex_.size() || regex_[open] != '{' || close == regex_.npos) {
      Refuse("\\p without a name in braces");
    }
    std::string_view name = regex_.substr(open + 1, close - open - 1);
    bool negated = regex_[at_ + 1] == 'P';
    if (!name.empty() && name[0] == '^') {
      negated = !negated;
      name.remove_prefix(1);
    }
    const std::string translated = InPcre2(name);
    // A negated property within a class cannot be given exceptions; it keeps PCRE2's version.
    const std::string added = in_class_ && negated ? "" : NewCharactersOf(translated);
    const std::string property =
        fmt::format("\\{}{{{}}}", negated && added.empty() ? 'P' : 'p', translated);
    if (added.empty() || in_class_) {
      out_ += property + added;
    } else {
      out_ += fmt::format("[{}{}{}]", negated ? "^" : "", property, added);
    }
    at_ = close + 1;
  }

  static std::string NewCharactersOf(std::string_view property) {
    static constexpr std::pair<std::string_view, uint8_t> kClasses[] = {{"L", kIsLetter},
                                                                        {"M", kIsMark},
                                                                        {"N", kIsNumber},
                                                                        {"P", kIsPunctuation},
                                                                        {"S", kIsSymbol}};
    for (const auto& [class_name, flag] : kClasses) {
      if (property == class_name) return NewCharacters(flag);
    }
    return "";
  }
  static std::string InPcre2(std::string_view name) {
    static constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {
        {"Letter", "L"},
        {"Mark", "M"},
        {"Number", "N"},
        {"Punctuation", "P"},
        {"Symbol", "S"},
        {"Separator", "Z"},
        {"Other", "C"},
        {"Alphabetic", "Alphabetic"},
        {"White_Space", "White_Space"}};
    for (const auto& [long_name, pcre2_name] : kLongNames) {
      if (name == long_name) return std::string(pcre2_name);
    }
    // Other long names are scripts, which PCRE2 would take for script extensions.
    return name.size() > 2 ? fmt::format("sc:{}", name) : std::string(name);
  }

  std::string_view regex_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false, last_brace_is_repeat_ = false;
};

struct Freer {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};

std::string MessageOf(int code) {
  unsigned char text[256] = {};
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Pattern::Impl {
  Impl(std::string_view pattern, uint32_t options, std::string_view shown,
       const std::string& where) {
    const std::unique_ptr<pcre2_compile_context, Freer> compile(
        pcre2_compile_context_create(nullptr));
    pcre2_set_newline(compile.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    size_t offset = 0;
    code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options,
                             &error, &offset, compile.get()));
    if (code == nullptr) {
      Throw(ErrorKind::kUnsupported,
            fmt::format("{}: the pattern {} is refused at byte {} of its translation {}: {}", where,
                        shown, offset, pattern, MessageOf(error)));
    }
    pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without it matching is slower, no more
    context.reset(pcre2_match_context_create(nullptr));
    pcre2_set_match_limit(context.get(), kMatchLimit);
    pcre2_set_depth_limit(context.get(), kDepthLimit);
  }
  std::unique_ptr<pcre2_code, Freer> code;
  std::unique_ptr<pcre2_match_context, Freer> context;
};

Pattern Pattern::FromRegex(std::string_view regex, const std::string& where) {
  const std::string translated = Translator(regex, where).Translate();
  // In Ruby's syntax ^ and $ always mean lines.
  return Pattern(
      std::make_unique<Impl>(translated, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, regex, where));
}

Pattern Pattern::FromLiteral(std::string_view text, const std::string& where) {
  return Pattern(std::make_unique<Impl>(text, PCRE2_UTF | PCRE2_LITERAL, text, where));
}

Pattern Pattern::FromJson(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  const bool is_regex = reader.Has("Regex");
  const std::string text = reader.String(is_regex ? "Regex" : "String");
  reader.Finish();
  return is_regex ? FromRegex(text, where) : FromLiteral(text, where);
}

Pattern Pattern::Clusters() {
  return Pattern(std::make_unique<Impl>("\\X", PCRE2_UTF | PCRE2_UCP, "\\X", "clusters"));
}

Pattern Pattern::WordCharacter() {
  const std::string pattern = fmt::format("[{}]", WordClasses());
  return Pattern(std::make_unique<Impl>(pattern, PCRE2_UTF | PCRE2_UCP, pattern, "word"));
}

Pattern Pattern::Words() {
  const std::string pattern = fmt::format("[{0}]+|[^{0}\\p{{White_Space}}]+", WordClasses());
  return Pattern(std::make_unique<Impl>(pattern, PCRE2_UTF | PCRE2_UCP, pattern, "words"));
}

Pattern::Pattern(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

void Pattern::ForEachMatch(std::string_view text, FunctionRef<void(size_t, size_t)> found) const {
  const pcre2_code* code = impl_->code.get();
  const std::unique_ptr<pcre2_match_data, Freer> data(pcre2_match_data_create(1, nullptr));
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  uint32_t options = PCRE2_NO_UTF_CHECK;  // checked by the caller, once
  size_t start = 0, last_end = SIZE_MAX;
  while (start <= text.size()) {
    int result =
        pcre2_match(code, subject, text.size(), start, options, data.get(), impl_->context.get());
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its frames on the heap
      options |= PCRE2_NO_JIT;
      continue;
    }
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result < 0) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("the tokenizer's pattern gave up at byte {} of {}: {}; split the text",
                        start, text.size(), MessageOf(result)));
    }
    const size_t* ovector = pcre2_get_ovector_pointer(data.get());
    if (ovector[0] != ovector[1] || ovector[0] != last_end) found(ovector[0], ovector[1]);
    start = last_end = ovector[1];
    if (ovector[0] == ovector[1]) {  // empty: go on after the next character
      if (start == text.size()) return;
      start += FirstUtf8(text.substr(start)).length;
    }
  }
}

}  // namespace reckon
