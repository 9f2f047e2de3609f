#include "text/pre_tokenizer.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "text/pattern.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace reckon {
namespace {

constexpr size_t kMaxSteps = 64;

enum class Behavior { kIsolated, kRemoved, kContiguous, kMergedWithPrevious, kMergedWithNext };

Behavior ReadBehavior(ObjectReader& reader, std::optional<std::string> fallback = {}) {
  const std::string name = reader.Choice(
      "behavior", {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"},
      std::move(fallback));
  return name == "Isolated"             ? Behavior::kIsolated
         : name == "Removed"            ? Behavior::kRemoved
         : name == "Contiguous"         ? Behavior::kContiguous
         : name == "MergedWithPrevious" ? Behavior::kMergedWithPrevious
                                        : Behavior::kMergedWithNext;
}

// Takes a piece's parts in order, those that match and those between, and gives out pieces.
class Cutter {
 public:
  using Sink = FunctionRef<void(std::string_view, bool)>;
  Cutter(Behavior behavior, std::string_view text, bool at_start, Sink sink)
      : behavior_(behavior), text_(text), at_start_(at_start), sink_(sink) {}

  void Match(size_t begin, size_t end, bool matches = true) {
    if (begin > end_) Part(begin, !matches);
    Part(end, matches);
  }
  void Finish(bool matches = true) {
    if (end_ < text_.size()) Part(text_.size(), !matches);
    GiveOut(end_);
  }

 private:
  void Part(size_t end, bool matches) {
    const bool joins = behavior_ == Behavior::kContiguous           ? matches == previous_
                       : behavior_ == Behavior::kMergedWithPrevious ? matches && !previous_
                       : behavior_ == Behavior::kMergedWithNext     ? !matches && previous_
                                                                    : false;
    if (!joins) GiveOut(end_);
    end_ = end;
    previous_ = matches;
    if (matches && behavior_ == Behavior::kRemoved) begin_ = end;
  }
  void GiveOut(size_t end) {
    if (begin_ < end) sink_(text_.substr(begin_, end - begin_), at_start_ && begin_ == 0);
    begin_ = end;
  }

  Behavior behavior_;
  std::string_view text_;
  bool at_start_;
  Sink sink_;
  size_t begin_ = 0;       // of what was not given out yet
  size_t end_ = 0;         // of the last part
  bool previous_ = false;  // whether that matched
};

// A step that cuts at each character of which `matches(code_point)` is true.
template <typename Matches>
auto CutAtCharacters(Behavior behavior, Matches matches) {
  return [=](std::string_view piece, bool at_start, Cutter::Sink sink) {
    Cutter cutter(behavior, piece, at_start, sink);
    for (size_t at = 0, length = 0; at < piece.size(); at += length) {
      if (matches(ValidCodePoint(piece.data() + at, length))) cutter.Match(at, at + length);
    }
    cutter.Finish();
  };
}

auto CutAtFlags(Behavior behavior, uint8_t flags, bool ascii_symbols = false) {
  const uint8_t* table = CodePointFlags();
  return CutAtCharacters(behavior, [=](uint32_t c) {
    const bool ascii_symbol = ascii_symbols && c < 0x80 && (table[c] & kIsSymbol) != 0;
    return (table[c] & flags) != 0 || ascii_symbol;
  });
}

auto CutAtMatches(Behavior behavior, bool invert, Pattern pattern) {
  auto shared = std::make_shared<const Pattern>(std::move(pattern));
  return [=](std::string_view piece, bool at_start, Cutter::Sink sink) {
    Cutter cutter(behavior, piece, at_start, sink);
    shared->ForEachMatch(piece,
                         [&](size_t begin, size_t end) { cutter.Match(begin, end, !invert); });
    cutter.Finish(!invert);
  };
}

std::string ReplaceSpaces(std::string_view text, const std::string& replacement) {
  std::string out;
  for (char c : text) {
    if (c == ' ') {
      out += replacement;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

PreTokenizer PreTokenizer::FromJson(const Json& json, const std::string& where) {
  PreTokenizer pre_tokenizer;
  if (!json.is_null()) pre_tokenizer.AddStep(json, where);
  pre_tokenizer.UseKnownSplits();
  return pre_tokenizer;
}

PreTokenizer PreTokenizer::Gpt2() { return ByteLevelAfter(RegexesOf(KnownSplit::kGpt2), "GPT-2"); }

PreTokenizer PreTokenizer::ByteLevelAfter(const std::vector<std::string>& regexes,
                                          const std::string& where) {
  PreTokenizer pre_tokenizer;
  for (const std::string& regex : regexes) pre_tokenizer.AddRegex(regex, where);
  pre_tokenizer.byte_level_ = true;
  pre_tokenizer.UseKnownSplits();
  return pre_tokenizer;
}

void PreTokenizer::AddStep(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  const std::string type = reader.String("type");
  if (byte_level_ || steps_.size() >= kMaxSteps) {
    Throw(ErrorKind::kUnsupported,
          byte_level_
              ? fmt::format("{}: {} after ByteLevel; ByteLevel must be the last", where, type)
              : fmt::format("{}: more than {} steps", where, kMaxSteps));
  }
  if (type == "Sequence") return AddSequence(json, where);
  if (type == "Split") return AddSplit(json, where);
  if (type == "ByteLevel") return AddByteLevel(json, where);
  if (type == "Metaspace") return AddMetaspace(json, where);
  if (type == "Digits") {
    const bool individual = reader.Bool("individual_digits", false);
    const Behavior behavior = individual ? Behavior::kIsolated : Behavior::kContiguous;
    steps_.push_back({CutAtFlags(behavior, kIsNumber), ""});
  } else if (type == "Punctuation") {
    steps_.push_back({CutAtFlags(ReadBehavior(reader, "Isolated"), kIsPunctuation, true), ""});
  } else if (type == "WhitespaceSplit") {
    steps_.push_back({CutAtFlags(Behavior::kRemoved, kIsSpace), ""});
  } else if (type == "BertPreTokenizer") {
    steps_.push_back({CutAtFlags(Behavior::kRemoved, kIsSpace), ""});
    steps_.push_back({CutAtFlags(Behavior::kIsolated, kIsPunctuation, true), ""});
  } else if (type == "Whitespace") {
    steps_.push_back({CutAtMatches(Behavior::kRemoved, true, Pattern::Words()), ""});
  } else if (type == "CharDelimiterSplit") {
    const std::string delimiter = reader.String("delimiter");
    const Utf8Step first = delimiter.empty() ? Utf8Step() : FirstUtf8(delimiter);
    if (first.length != delimiter.size()) {
      Throw(ErrorKind::kInvalidArgument, reader.PathOf("delimiter") + ": expected one character");
    }
    steps_.push_back(
        {CutAtCharacters(Behavior::kRemoved, [=](uint32_t c) { return c == first.code_point; }),
         ""});
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: pre-tokenizer \"{}\" is not supported (Sequence, Split, Digits, "
                      "ByteLevel, Metaspace, Whitespace, WhitespaceSplit, Punctuation, "
                      "BertPreTokenizer and CharDelimiterSplit are)",
                      where, type));
  }
  reader.Finish();
}

void PreTokenizer::AddSequence(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  const Json& list = reader.Get("pretokenizers");
  reader.Finish();
  if (!list.is_array()) {
    Throw(ErrorKind::kInvalidArgument, reader.PathOf("pretokenizers") + ": expected an array");
  }
  for (size_t i = 0; i < list.size(); ++i) {
    AddStep(list[i], fmt::format("{}.pretokenizers[{}]", where, i));
  }
}

void PreTokenizer::AddRegex(const std::string& regex, const std::string& where) {
  steps_.push_back(
      {CutAtMatches(Behavior::kIsolated, false, Pattern::FromRegex(regex, where)), regex});
}

void PreTokenizer::AddSplit(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  const Behavior behavior = ReadBehavior(reader);
  const bool invert = reader.Bool("invert", false);
  const Json& pattern = reader.Get("pattern");
  const std::string pattern_where = reader.PathOf("pattern");
  reader.Finish();
  Step step;
  step.cut = CutAtMatches(behavior, invert, Pattern::FromJson(pattern, pattern_where));
  if (behavior == Behavior::kIsolated && !invert && pattern.contains("Regex")) {
    step.regex = pattern["Regex"].get<std::string>();
  }
  steps_.push_back(std::move(step));
}

void PreTokenizer::AddByteLevel(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  reader.Bool("trim_offsets", true);  // concerns offsets only
  if (reader.Bool("add_prefix_space", true)) {
    const auto add_space = [](std::string_view piece, bool at_start, Sink sink) {
      if (piece[0] == ' ') return sink(piece, at_start);
      sink(fmt::format(" {}", piece), at_start);
    };
    steps_.push_back({add_space, ""});
  }
  if (reader.Bool("use_regex", true)) AddRegex(RegexesOf(KnownSplit::kGpt2)[0], where);
  reader.Finish();
  byte_level_ = true;
}

void PreTokenizer::AddMetaspace(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  const std::string replacement = reader.String("replacement", "\u2581");
  if (replacement.empty() || FirstUtf8(replacement).length != replacement.size()) {
    Throw(ErrorKind::kInvalidArgument, reader.PathOf("replacement") + ": expected one character");
  }
  reader.Find("str_rep");  // older files say the replacement again
  // Older files say add_prefix_space instead of prepend_scheme.
  const bool add_prefix_space = reader.Bool("add_prefix_space", true);
  const std::string scheme = reader.Choice("prepend_scheme", {"always", "first", "never"},
                                           add_prefix_space ? "always" : "never");
  const bool splits = reader.Bool("split", true);
  reader.Finish();
  const uint32_t symbol = FirstUtf8(replacement).code_point;
  const auto split =
      CutAtCharacters(Behavior::kMergedWithNext, [=](uint32_t c) { return c == symbol; });
  const auto cut = [=](std::string_view piece, bool at_start, Sink sink) {
    std::string text = ReplaceSpaces(piece, replacement);
    const bool prepends = scheme == "always" || (scheme == "first" && at_start);
    if (prepends && text.compare(0, replacement.size(), replacement) != 0) {
      text.insert(0, replacement);
    }
    if (!splits) return sink(text, at_start);
    split(text, at_start, sink);
  };
  steps_.push_back({cut, ""});
}

// Puts one hand-written step in the place of those whose patterns it knows.
void PreTokenizer::UseKnownSplits() {
  for (const KnownSplit known :
       {KnownSplit::kGpt2, KnownSplit::kLlama3, KnownSplit::kQwen2, KnownSplit::kDeepSeekV3}) {
    const std::vector<std::string>& regexes = RegexesOf(known);
    for (size_t i = 0; i + regexes.size() <= steps_.size(); ++i) {
      bool same = true;
      for (size_t j = 0; j < regexes.size(); ++j) same = same && steps_[i + j].regex == regexes[j];
      if (!same) continue;
      const auto cut = [known](std::string_view piece, bool at_start, Sink sink) {
        SplitByKnown(known, piece, [&](std::string_view part) {
          sink(part, at_start && part.data() == piece.data());
        });
      };
      steps_[i] = {cut, ""};
      steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                   steps_.begin() + static_cast<std::ptrdiff_t>(i + regexes.size()));
    }
  }
}

void PreTokenizer::Run(size_t step, std::string_view piece, bool at_start,
                       FunctionRef<void(std::string_view)> done) const {
  if (step == steps_.size()) return done(piece);
  steps_[step].cut(piece, at_start, [&](std::string_view part, bool part_at_start) {
    Run(step + 1, part, part_at_start, done);
  });
}

void PreTokenizer::Split(std::string_view text, bool at_start,
                         FunctionRef<void(std::string_view)> piece) const {
  if (!text.empty()) Run(0, text, at_start, piece);
}

}  // namespace reckon
