#include "text/split_patterns.h"

#include <cstdint>

#include "text/unicode.h"

namespace reckon {
namespace {

// A place in a text with what stands there.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : data_(text.data()), size_(text.size()) {}

  size_t size() const { return size_; }
  uint8_t FlagsAt(size_t at, size_t& length) const {
    const auto byte = static_cast<uint8_t>(data_[at]);
    if (byte < 0x80) {
      length = 1;
      return flags_[byte];
    }
    return flags_[ValidCodePoint(data_ + at, length)];
  }
  // 0 at the end.
  uint8_t FlagsAt(size_t at) const {
    size_t length = 0;
    return at < size_ ? FlagsAt(at, length) : uint8_t{0};
  }
  char ByteAt(size_t at) const { return at < size_ ? data_[at] : '\0'; }
  // After the characters from `at` on that have one of the flags.
  size_t SkipAll(size_t at, uint8_t flags) const {
    size_t length = 0;
    while (at < size_ && (FlagsAt(at, length) & flags) != 0) at += length;
    return at;
  }
  // After those that have none of them.
  size_t SkipNone(size_t at, uint8_t flags) const {
    size_t length = 0;
    while (at < size_ && (FlagsAt(at, length) & flags) == 0) at += length;
    return at;
  }
  size_t SkipLineEnds(size_t at) const {
    while (at < size_ && (data_[at] == '\n' || data_[at] == '\r')) ++at;
    return at;
  }

 private:
  const char* data_;
  size_t size_;
  const uint8_t* flags_ = CodePointFlags();
};

bool IsLineEnd(char c) { return c == '\n' || c == '\r'; }

// \s*[\r\n]+|\s+(?!\S)|\s+ (without the first where `ends_at_lines` is false), from a white space
// on: up to the last line end of the run; else all of it but the last character, which belongs to
// the word after it.
size_t EndOfSpace(const Cursor& text, size_t begin, bool ends_at_lines) {
  size_t at = begin, length = 0, last = begin, after_line_end = begin;
  while (at < text.size() && (text.FlagsAt(at, length) & kIsSpace) != 0) {
    last = at;
    at += length;
    if (IsLineEnd(text.ByteAt(last))) after_line_end = at;
  }
  if (ends_at_lines && after_line_end > begin) return after_line_end;
  return at == text.size() || last == begin ? at : last;
}

// 's|'t|'re|'ve|'m|'ll|'d at an apostrophe; `begin` where there is none. Without regard to case, ſ
// (U+017F) is an s.
size_t EndOfContraction(const Cursor& text, size_t begin, bool any_case) {
  const auto letter = [&](size_t at) {
    const char c = text.ByteAt(at);
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(begin + 1), second = first == '\0' ? '\0' : letter(begin + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return begin + 2;
  if ((first == 'r' || first == 'v') && second == 'e') return begin + 3;
  if (first == 'l' && second == 'l') return begin + 3;
  if (any_case && first == '\xC5' && second == '\xBF') return begin + 3;
  return begin;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t EndOfGpt2Piece(const Cursor& text, size_t begin) {
  if (text.ByteAt(begin) == '\'') {
    const size_t end = EndOfContraction(text, begin, false);
    if (end > begin) return end;
  }
  const size_t at = text.ByteAt(begin) == ' ' ? begin + 1 : begin;
  if (at < text.size()) {
    const uint8_t flags = text.FlagsAt(at);
    if ((flags & kIsLetter) != 0) return text.SkipAll(at, kIsLetter);
    if ((flags & kIsNumber) != 0) return text.SkipAll(at, kIsNumber);
    if ((flags & kIsSpace) == 0) return text.SkipNone(at, kIsSpace | kIsLetter | kIsNumber);
  }
  return EndOfSpace(text, begin, false);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+    with at most `max_digits` instead of 3
size_t EndOfLlamaPiece(const Cursor& text, size_t begin, int max_digits) {
  const char byte = text.ByteAt(begin);
  size_t length = 0;
  const uint8_t flags = text.FlagsAt(begin, length);
  if ((flags & kIsLetter) != 0) return text.SkipAll(begin + length, kIsLetter);
  if ((flags & kIsNumber) != 0) {
    size_t end = begin + length;
    for (int digits = 1; digits < max_digits && (text.FlagsAt(end) & kIsNumber) != 0; ++digits) {
      text.FlagsAt(end, length);
      end += length;
    }
    return end;
  }
  if (byte == '\'') {
    const size_t end = EndOfContraction(text, begin, true);
    if (end > begin) return end;
  }
  const uint8_t next = text.FlagsAt(begin + length);
  if ((next & kIsLetter) != 0 && !IsLineEnd(byte)) return text.SkipAll(begin + length, kIsLetter);
  const size_t at = byte == ' ' ? begin + 1 : begin;
  constexpr uint8_t kNotOther = kIsSpace | kIsLetter | kIsNumber;
  if (at < text.size() && (text.FlagsAt(at) & kNotOther) == 0) {
    return text.SkipLineEnds(text.SkipNone(at, kNotOther));
  }
  return EndOfSpace(text, begin, true);
}

bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+    or `begin` where nothing matches
size_t EndOfDeepSeekPiece(const Cursor& text, size_t begin) {
  constexpr uint8_t kWord = kIsLetter | kIsMark, kSign = kIsPunctuation | kIsSymbol;
  const char byte = text.ByteAt(begin);
  size_t length = 0;
  const uint8_t flags = text.FlagsAt(begin, length);
  if ((flags & kWord) != 0) return text.SkipAll(begin + length, kWord);
  if ((flags & kSign) != 0) {
    if (length == 1 && IsAsciiLetter(text.ByteAt(begin + 1))) {
      size_t end = begin + 2;
      while (IsAsciiLetter(text.ByteAt(end))) ++end;
      return end;
    }
    return text.SkipLineEnds(text.SkipAll(begin + length, kSign));
  }
  const uint8_t next = text.FlagsAt(begin + length);
  if ((next & kWord) != 0 && !IsLineEnd(byte)) return text.SkipAll(begin + length, kWord);
  if (byte == ' ' && (next & kSign) != 0) {
    return text.SkipLineEnds(text.SkipAll(begin + 1, kSign));
  }
  return (flags & kIsSpace) != 0 ? EndOfSpace(text, begin, true) : begin;
}

// What the pattern does not match stays together as a piece.
void SplitDeepSeekRun(std::string_view run, FunctionRef<void(std::string_view)> piece) {
  const Cursor cursor(run);
  size_t unmatched = 0;  // begin of what no match has taken
  for (size_t at = 0, length = 0; at < run.size();) {
    const size_t end = EndOfDeepSeekPiece(cursor, at);
    if (end == at) {
      cursor.FlagsAt(at, length);
      at += length;
      continue;
    }
    if (unmatched < at) piece(run.substr(unmatched, at - unmatched));
    piece(run.substr(at, end - at));
    unmatched = at = end;
  }
  if (unmatched < run.size()) piece(run.substr(unmatched));
}

// Numbers first, then Han and kana, then words: each cut ends what the next one sees.
void SplitDeepSeek(std::string_view text, FunctionRef<void(std::string_view)> piece) {
  constexpr uint8_t kKinds = kIsNumber | kIsHanOrKana;
  constexpr int kMaxDigits = 3;
  const Cursor cursor(text);
  for (size_t begin = 0, length = 0; begin < text.size();) {
    const uint8_t flags = cursor.FlagsAt(begin, length);
    size_t end = begin + length;
    if ((flags & kIsNumber) != 0) {
      for (int digits = 1; digits < kMaxDigits && (cursor.FlagsAt(end) & kIsNumber) != 0;
           ++digits) {
        cursor.FlagsAt(end, length);
        end += length;
      }
      piece(text.substr(begin, end - begin));
    } else {
      end = (flags & kIsHanOrKana) != 0 ? cursor.SkipAll(end, kIsHanOrKana)
                                        : cursor.SkipNone(end, kKinds);
      SplitDeepSeekRun(text.substr(begin, end - begin), piece);
    }
    begin = end;
  }
}

template <typename EndOfPiece>
void SplitAll(std::string_view text, FunctionRef<void(std::string_view)> piece,
              EndOfPiece end_of_piece) {
  const Cursor cursor(text);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = end_of_piece(cursor, begin);
    piece(text.substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace

const std::vector<std::string>& RegexesOf(KnownSplit split) {
  static const std::vector<std::string> gpt2 = {
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"};
  static const std::vector<std::string> llama3 = {
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
  static const std::vector<std::string> qwen2 = {
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
  static const std::vector<std::string> deepseek_v3 = {
      R"(\p{N}{1,3})", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
      "\r\n"
      R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
      "\r\n"
      R"(]*|\s*[)"
      "\r\n"
      R"(]+|\s+(?!\S)|\s+)"};
  switch (split) {
    case KnownSplit::kGpt2:
      return gpt2;
    case KnownSplit::kLlama3:
      return llama3;
    case KnownSplit::kQwen2:
      return qwen2;
    case KnownSplit::kDeepSeekV3:
      break;
  }
  return deepseek_v3;
}

void SplitByKnown(KnownSplit split, std::string_view text,
                  FunctionRef<void(std::string_view)> piece) {
  switch (split) {
    case KnownSplit::kGpt2:
      return SplitAll(text, piece, EndOfGpt2Piece);
    case KnownSplit::kLlama3:
      return SplitAll(text, piece,
                      [](const Cursor& c, size_t begin) { return EndOfLlamaPiece(c, begin, 3); });
    case KnownSplit::kQwen2:
      return SplitAll(text, piece,
                      [](const Cursor& c, size_t begin) { return EndOfLlamaPiece(c, begin, 1); });
    case KnownSplit::kDeepSeekV3:
      return SplitDeepSeek(text, piece);
  }
}

}  // namespace reckon
