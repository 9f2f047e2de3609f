#include "text/pre_tokenizer.h"

#include <fmt/format.h>

#include <utility>

namespace reckon {
namespace {

// Words with their leading space, numbers, punctuation, whitespace (GPT-2's published pattern).
constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

PreTokenizer PreTokenizer::FromJson(const Json& json, const std::string& where) {
  PreTokenizer pre_tokenizer;
  if (!json.is_null()) pre_tokenizer.AddStep(json, where);
  return pre_tokenizer;
}

PreTokenizer PreTokenizer::Gpt2() {
  return FromJson(Json{{"type", "ByteLevel"},
                       {"add_prefix_space", false},
                       {"trim_offsets", true},
                       {"use_regex", true}},
                  "GPT-2");
}

void PreTokenizer::AddStep(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  const std::string type = reader.String("type");
  if (byte_level_) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: {} after ByteLevel; ByteLevel must be the last", where, type));
  }
  if (type == "Sequence") {
    const Json& list = reader.Get("pretokenizers");
    reader.Finish();
    if (!list.is_array()) {
      Throw(ErrorKind::kInvalidArgument, where + ".pretokenizers: expected an array");
    }
    for (size_t i = 0; i < list.size(); ++i) {
      AddStep(list[i], fmt::format("{}.pretokenizers[{}]", where, i));
    }
  } else if (type == "Split") {
    AddSplit(json, where);
  } else if (type == "Digits") {
    const bool individual = reader.Bool("individual_digits", false);
    reader.Finish();
    Step step;
    step.pattern.push_back(Pattern::FromRegex(individual ? "\\p{N}" : "\\p{N}+", where));
    steps_.push_back(std::move(step));
  } else if (type == "ByteLevel") {
    AddByteLevel(json, where);
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: pre-tokenizer \"{}\" is not supported (Sequence, Split, Digits and "
                      "ByteLevel are)",
                      where, type));
  }
}

void PreTokenizer::AddSplit(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  const std::string behavior = reader.String("behavior");
  Step step;
  if (behavior == "Isolated") {
    step.behavior = Behavior::kIsolated;
  } else if (behavior == "Removed") {
    step.behavior = Behavior::kRemoved;
  } else if (behavior == "Contiguous") {
    step.behavior = Behavior::kContiguous;
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: Split behavior \"{}\" is not supported", where, behavior));
  }
  step.invert = reader.Bool("invert", false);
  ObjectReader pattern(reader.Get("pattern"), reader.PathOf("pattern"));
  if (pattern.Has("Regex")) {
    step.pattern.push_back(Pattern::FromRegex(pattern.String("Regex"), where));
  } else {
    step.pattern.push_back(Pattern::FromLiteral(pattern.String("String"), where));
  }
  pattern.Finish();
  reader.Finish();
  steps_.push_back(std::move(step));
}

void PreTokenizer::AddByteLevel(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  reader.Bool("trim_offsets", true);  // concerns offsets only
  Step step;
  step.add_prefix_space = reader.Bool("add_prefix_space", true);
  if (reader.Bool("use_regex", true)) {
    step.pattern.push_back(Pattern::FromRegex(kGpt2Pattern, where));
  }
  reader.Finish();
  steps_.push_back(std::move(step));
  byte_level_ = true;
}

void PreTokenizer::Apply(const Step& step, std::string_view piece, Pieces& pieces) {
  if (step.add_prefix_space && piece[0] != ' ') {
    pieces.storage.push_back(fmt::format(" {}", piece));
    piece = pieces.storage.back();
  }
  if (step.pattern.empty()) {
    pieces.views.push_back(piece);
    return;
  }
  size_t begin = 0;               // of the run that is not yet appended
  bool previous_matched = false;  // what that run is, for kContiguous
  size_t end = 0;                 // of the last part seen
  const auto part = [&](size_t part_end, bool matched) {
    if (part_end == end) return;
    const bool joins = step.behavior == Behavior::kContiguous && matched == previous_matched;
    if (!joins && begin < end) pieces.views.push_back(piece.substr(begin, end - begin));
    if (!joins) begin = end;
    previous_matched = matched;
    end = part_end;
    if (matched && step.behavior == Behavior::kRemoved) begin = end;
  };
  step.pattern[0].ForEachMatch(piece, [&](size_t match_begin, size_t match_end) {
    part(match_begin, step.invert);
    part(match_end, !step.invert);
  });
  part(piece.size(), step.invert);
  if (begin < end) pieces.views.push_back(piece.substr(begin, end - begin));
}

void PreTokenizer::Split(std::string_view text, Pieces& pieces) const {
  if (text.empty()) return;
  std::vector<std::string_view> before = std::move(pieces.views), todo = {text};
  for (const Step& step : steps_) {
    pieces.views.clear();
    for (std::string_view piece : todo) Apply(step, piece, pieces);
    todo.swap(pieces.views);
  }
  before.insert(before.end(), todo.begin(), todo.end());
  pieces.views = std::move(before);
}

}  // namespace reckon
