#include "text/decoder.h"

#include <fmt/format.h>

#include <memory>

#include "text/byte_alphabet.h"
#include "text/pattern.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace reckon {
namespace {

constexpr size_t kMaxSteps = 64, kMaxStrip = 1 << 20;

std::string ReplaceAll(std::string_view text, std::string_view what, std::string_view by) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t found = text.find(what, at);
    out += text.substr(at, found == text.npos ? text.npos : found - at);
    if (found == text.npos) return out;
    out += by;
    at = found + what.size();
  }
}

std::string BytesOfAlphabet(std::string token, bool) {
  // A token with a character outside the byte alphabet stands for itself.
  return FromByteAlphabet(token).value_or(token);
}

std::string ByteOfFallback(std::string token, bool) {
  const int byte = ByteOfToken(token);
  return byte < 0 ? token : std::string(1, static_cast<char>(byte));
}

bool IsOneCharacter(std::string_view text) {
  if (text.empty()) return false;
  const Utf8Step first = FirstUtf8(text);
  return first.state == Utf8State::kCharacter && first.length == text.size();
}

std::string Strip(std::string token, const std::string& character, size_t start, size_t stop) {
  const size_t size = character.size();
  for (size_t i = 0; i < start && token.compare(0, size, character) == 0; ++i) token.erase(0, size);
  for (size_t i = 0; i < stop && token.size() >= size; ++i) {
    if (token.compare(token.size() - size, size, character) != 0) break;
    token.resize(token.size() - size);
  }
  return token;
}

}  // namespace

Decoder Decoder::FromJson(const Json& json, const std::string& where) {
  Decoder decoder;
  if (json.is_null()) {
    decoder.first_differs_ = true;
    decoder.steps_.push_back(
        [](std::string token, bool first) { return first ? token : " " + token; });
    return decoder;
  }
  decoder.AddStep(json, where);
  return decoder;
}

Decoder Decoder::ByteLevel() {
  Decoder decoder;
  decoder.steps_.push_back(BytesOfAlphabet);
  return decoder;
}

Decoder Decoder::SentencePiece(int strip_left) {
  Decoder decoder;
  decoder.steps_.push_back(
      [](std::string token, bool) { return ReplaceAll(token, "\u2581", " "); });
  decoder.steps_.push_back(ByteOfFallback);
  decoder.strip_left_ = strip_left;
  decoder.stripped_ = " ";
  return decoder;
}

void Decoder::AddStep(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  const std::string type = reader.String("type");
  if (steps_.size() >= kMaxSteps) {
    Throw(ErrorKind::kUnsupported, fmt::format("{}: more than {} steps", where, kMaxSteps));
  }
  if (type == "Sequence") {
    const Json& list = reader.Get("decoders");
    if (!list.is_array()) {
      Throw(ErrorKind::kInvalidArgument, reader.PathOf("decoders") + ": expected an array");
    }
    for (size_t i = 0; i < list.size(); ++i) {
      AddStep(list[i], fmt::format("{}.decoders[{}]", where, i));
    }
    return;
  }
  const bool is_known = type == "ByteLevel" || type == "ByteFallback" || type == "Metaspace";
  if ((is_known && fused_) || (strip_left_ > 0 && type != "Fuse")) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: decoder \"{}\" after one that joins the tokens is not supported", where,
                      type));
  }
  if (type == "ByteLevel") {
    steps_.push_back(BytesOfAlphabet);
    fused_ = true;
  } else if (type == "Fuse") {
    fused_ = true;
  } else if (type == "ByteFallback") {
    steps_.push_back(ByteOfFallback);
  } else if (type == "Replace") {
    AddReplace(json, where);
  } else if (type == "Strip") {
    AddStrip(json, where);
  } else if (type == "Metaspace") {
    AddMetaspace(json, where);
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: decoder \"{}\" is not supported (ByteLevel, Fuse, Replace, Strip, "
                      "ByteFallback, Metaspace and Sequence are)",
                      where, type));
  }
}

void Decoder::AddReplace(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  const Json& what = reader.Get("pattern");
  const std::string pattern_where = reader.PathOf("pattern"), content = reader.String("content");
  reader.Finish();
  auto pattern = std::make_shared<const Pattern>(Pattern::FromJson(what, pattern_where));
  const bool literal = what.contains("String");
  const std::string text = literal ? what["String"].get<std::string>() : "";
  if (IsOneCharacter(text)) {  // it never lies across two tokens
    steps_.push_back([=](std::string token, bool) { return ReplaceAll(token, text, content); });
    return;
  }
  if (fused_) {
    Throw(ErrorKind::kUnsupported,
          where + ": replacing more than a character after the tokens are joined is not supported");
  }
  steps_.push_back([=](std::string token, bool) {
    if (ValidUtf8Prefix(token).size() != token.size()) return token;
    std::string out;
    size_t copied = 0;
    pattern->ForEachMatch(token, [&](size_t begin, size_t end) {
      out += token.substr(copied, begin - copied) + content;
      copied = end;
    });
    return out + token.substr(copied);
  });
}

void Decoder::AddStrip(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  const std::string character = reader.String("content");
  const auto start = static_cast<size_t>(reader.Int("start", 0, kMaxStrip, 0));
  const auto stop = static_cast<size_t>(reader.Int("stop", 0, kMaxStrip, 0));
  reader.Finish();
  if (!IsOneCharacter(character)) {
    Throw(ErrorKind::kInvalidArgument, where + ".content: expected one character");
  }
  if (!fused_) {
    steps_.push_back(
        [=](std::string token, bool) { return Strip(std::move(token), character, start, stop); });
    return;
  }
  if (stop > 0) {
    Throw(ErrorKind::kUnsupported,
          where + ".stop: taking characters from the end of the joined text is not supported");
  }
  strip_left_ = static_cast<int>(start);
  stripped_ = character;
}

void Decoder::AddMetaspace(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  const std::string symbol = reader.String("replacement", "\u2581");
  reader.Find("str_rep");
  const bool add_prefix_space = reader.Bool("add_prefix_space", true);
  const bool drops_first = reader.Choice("prepend_scheme", {"always", "first", "never"},
                                         add_prefix_space ? "always" : "never") != "never";
  reader.Bool("split", true);
  reader.Finish();
  if (!IsOneCharacter(symbol)) {
    Throw(ErrorKind::kInvalidArgument, where + ".replacement: expected one character");
  }
  first_differs_ = first_differs_ || drops_first;
  steps_.push_back([=](std::string token, bool first) {
    return ReplaceAll(token, symbol, first && drops_first ? "" : " ");
  });
}

std::string Decoder::Text(std::string_view token, bool first) const {
  std::string text(token);
  for (const Step& step : steps_) text = step(std::move(text), first);
  return text;
}

}  // namespace reckon
