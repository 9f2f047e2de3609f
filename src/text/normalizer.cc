#include "text/normalizer.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <utility>

#include "text/byte_alphabet.h"
#include "text/normal_forms.h"
#include "text/pattern.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace reckon {
namespace {

constexpr size_t kMaxSteps = 100;
// NFKC makes eleven times as many bytes of U+FDFA; nothing in use makes more.
constexpr size_t kMaxGrowth = 64, kMaxShort = 1 << 16;

// `change(code_point, bytes, out)` appends what a character becomes.
template <typename Change>
std::string ByCharacter(std::string_view text, Change change) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    const uint32_t code_point = ValidCodePoint(text.data() + at, length);
    change(code_point, text.substr(at, length), out);
  }
  return out;
}

std::string Lowercase(std::string_view text) {
  return ByCharacter(text, [](uint32_t code_point, std::string_view, std::string& out) {
    if (code_point == 0x130) {
      out += "i\u0307";
    } else {
      AppendUtf8(SimpleLowercase(code_point), out);
    }
  });
}

std::string StripAccents(std::string_view text) {
  const uint8_t* flags = CodePointFlags();
  return ByCharacter(text, [&](uint32_t code_point, std::string_view bytes, std::string& out) {
    if ((flags[code_point] & kIsMark) == 0) out += bytes;
  });
}

std::string Strip(std::string_view text, bool left, bool right) {
  const uint8_t* flags = CodePointFlags();
  size_t begin = 0, end = 0;  // of what stays
  bool seen = false;
  for (size_t at = 0, length = 0; at < text.size(); at += length) {
    if ((flags[ValidCodePoint(text.data() + at, length)] & kIsSpace) != 0) continue;
    if (!seen) begin = at;
    seen = true;
    end = at + length;
  }
  if (!seen) return left || right ? "" : std::string(text);
  if (!left) begin = 0;
  if (!right) end = text.size();
  return std::string(text.substr(begin, end - begin));
}

// Control characters go, other kinds of white space become spaces: the rules of SentencePiece's
// "nmt" that NFKC does not have.
std::string Nmt(std::string_view text) {
  return ByCharacter(text, [](uint32_t c, std::string_view bytes, std::string& out) {
    const bool dropped = (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F ||
                         c == 0x8F || c == 0x9F;
    const bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    if (space) {
      out += ' ';
    } else if (!dropped) {
      out += bytes;
    }
  });
}

std::string Replace(std::string_view text, const Pattern& pattern, const std::string& content) {
  std::string out;
  size_t copied = 0;
  pattern.ForEachMatch(text, [&](size_t begin, size_t end) {
    out += text.substr(copied, begin - copied);
    out += content;
    copied = end;
    if (out.size() > kMaxGrowth * text.size() + kMaxShort) {
      Throw(ErrorKind::kUnsupported,
            "the tokenizer's normalizer makes the text more than 64 times as long");
    }
  });
  out += text.substr(copied);
  return out;
}

std::string DecodeBase64(const std::string& text, const std::string& where) {
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = text.size() % 4 != 0 || text.size() > (size_t{1} << 30)
                       ? -1
                       : EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                         reinterpret_cast<const unsigned char*>(text.data()),
                                         static_cast<int>(text.size()));
  if (size < 0) Throw(ErrorKind::kCorrupt, where + ": is not base64");
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

// One step of SentencePiece: the next characters of `text` and what they become.
std::pair<size_t, std::string_view> NextPrefix(const SentencePieceNormalizer& settings,
                                               std::string_view text) {
  const auto [user_length, user_id] = settings.user_defined.LongestPrefix(text);
  if (user_id >= 0) return {user_length, text.substr(0, user_length)};
  const auto rule = settings.charsmap.LongestPrefix(text);
  if (rule.first > 0) return rule;
  size_t length = 0;
  ValidCodePoint(text.data(), length);
  return {length, text.substr(0, length)};
}

void AppendEscaped(std::string_view text, bool escape, std::string& out) {
  for (char c : text) {
    if (c == ' ' && escape) {
      out += kSpaceSymbol;
    } else {
      out += c;
    }
  }
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string NormalizeAsSentencePiece(const SentencePieceNormalizer& settings,
                                     std::string_view text) {
  const bool removes = settings.remove_extra_whitespaces, escapes = settings.escape_whitespaces;
  const std::string_view space = escapes ? kSpaceSymbol : std::string_view(" ");
  while (removes && !text.empty()) {
    const auto [length, replacement] = NextPrefix(settings, text);
    if (replacement != " ") break;
    text.remove_prefix(length);
  }
  std::string out;
  if (text.empty()) return out;
  out.reserve(text.size() + text.size() / 4);
  if (settings.add_dummy_prefix && !settings.whitespace_as_suffix) out += space;
  bool after_space = removes;
  while (!text.empty()) {
    auto [length, replacement] = NextPrefix(settings, text);
    while (after_space && !replacement.empty() && replacement[0] == ' ') {
      replacement.remove_prefix(1);
    }
    if (!replacement.empty()) {
      AppendEscaped(replacement, escapes, out);
      after_space = removes && replacement.back() == ' ';
    }
    text.remove_prefix(length);
  }
  while (removes && EndsWith(out, space)) out.resize(out.size() - space.size());
  if (settings.add_dummy_prefix && settings.whitespace_as_suffix) out += space;
  return out;
}

std::function<std::string(std::string_view)> FormStep(NormalForm form) {
  return [form](std::string_view text) { return Normalized(text, form); };
}

}  // namespace

Normalizer Normalizer::FromJson(const Json& json, const std::string& where) {
  Normalizer normalizer;
  if (!json.is_null()) normalizer.AddStep(json, where);
  return normalizer;
}

Normalizer Normalizer::FromSentencePiece(SentencePieceNormalizer settings) {
  Normalizer normalizer;
  auto shared = std::make_shared<const SentencePieceNormalizer>(std::move(settings));
  normalizer.steps_.push_back(
      [shared](std::string_view text) { return NormalizeAsSentencePiece(*shared, text); });
  return normalizer;
}

void Normalizer::AddStep(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  const std::string type = reader.String("type");
  if (steps_.size() >= kMaxSteps) {
    Throw(ErrorKind::kUnsupported, fmt::format("{}: more than {} steps", where, kMaxSteps));
  }
  if (type == "Sequence") {
    const Json& list = reader.Get("normalizers");
    if (!list.is_array()) {
      Throw(ErrorKind::kInvalidArgument, reader.PathOf("normalizers") + ": expected an array");
    }
    for (size_t i = 0; i < list.size(); ++i) {
      AddStep(list[i], fmt::format("{}.normalizers[{}]", where, i));
    }
  } else if (type == "NFC") {
    steps_.push_back(FormStep(NormalForm::kNfc));
  } else if (type == "NFD") {
    steps_.push_back(FormStep(NormalForm::kNfd));
  } else if (type == "NFKC") {
    steps_.push_back(FormStep(NormalForm::kNfkc));
  } else if (type == "NFKD") {
    steps_.push_back(FormStep(NormalForm::kNfkd));
  } else if (type == "Lowercase") {
    steps_.push_back(Lowercase);
  } else if (type == "StripAccents") {
    steps_.push_back(StripAccents);
  } else if (type == "Nmt") {
    steps_.push_back(Nmt);
  } else if (type == "ByteLevel") {
    steps_.push_back(ToByteAlphabet);
  } else if (type == "Strip") {
    const bool left = reader.Bool("strip_left", true), right = reader.Bool("strip_right", true);
    steps_.push_back([=](std::string_view text) { return Strip(text, left, right); });
  } else if (type == "Prepend") {
    const std::string prefix = reader.String("prepend");
    steps_.push_back([prefix](std::string_view text) {
      return text.empty() ? std::string() : prefix + std::string(text);
    });
  } else if (type == "Replace") {
    auto pattern = std::make_shared<const Pattern>(
        Pattern::FromJson(reader.Get("pattern"), reader.PathOf("pattern")));
    const std::string content = reader.String("content");
    steps_.push_back([=](std::string_view text) { return Replace(text, *pattern, content); });
  } else if (type == "Precompiled") {
    const std::string map_where = reader.PathOf("precompiled_charsmap");
    auto map = std::make_shared<const Charsmap>(Charsmap::FromBytes(
        DecodeBase64(reader.String("precompiled_charsmap", ""), map_where), map_where));
    steps_.push_back([map](std::string_view text) { return map->ReplaceByClusters(text); });
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: normalizer \"{}\" is not supported (NFC, NFD, NFKC, NFKD, Lowercase, "
                      "Strip, StripAccents, Replace, Prepend, Nmt, Precompiled, ByteLevel and "
                      "Sequence are)",
                      where, type));
  }
  reader.Finish();
}

std::string Normalizer::Normalize(std::string_view text) const {
  std::string out(text);
  for (const Step& step : steps_) {
    out = step(out);
    if (out.size() > kMaxGrowth * text.size() + kMaxShort) {
      Throw(ErrorKind::kUnsupported,
            "the tokenizer's normalizer makes the text more than 64 times as long");
    }
  }
  return out;
}

}  // namespace reckon
