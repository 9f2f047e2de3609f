// The first cut of a text, into pieces that the model then works on one by one: the pre_tokenizer
// of a tokenizer.json.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "formats/json.h"
#include "text/split_patterns.h"

namespace reckon {

class PreTokenizer {
 public:
  // Split, Digits, ByteLevel, Metaspace, Whitespace, WhitespaceSplit, Punctuation,
  // BertPreTokenizer, CharDelimiterSplit and Sequence; throws kUnsupported for any other type or
  // option. `json` may be null: no cut.
  static PreTokenizer FromJson(const Json& json, const std::string& where);
  // ByteLevel with GPT-2's pattern, as the BPE trainer uses it.
  static PreTokenizer Gpt2();
  // ByteLevel after a cut by each of the patterns.
  static PreTokenizer ByteLevelAfter(const std::vector<std::string>& regexes,
                                     const std::string& where);

  // Whether the model sees bytes written in the byte alphabet, not characters.
  bool byte_level() const { return byte_level_; }
  // Calls back with each piece of a text of well-formed UTF-8, in order; none is empty. A piece is
  // valid during the call. `at_start`: nothing was encoded before this text (Metaspace asks).
  void Split(std::string_view text, bool at_start, FunctionRef<void(std::string_view)> piece) const;

 private:
  using Sink = FunctionRef<void(std::string_view piece, bool at_start)>;
  struct Step {
    std::function<void(std::string_view piece, bool at_start, Sink sink)> cut;
    std::string regex;  // of a Split that isolates what the pattern matches; else empty
  };

  void AddStep(const Json& json, const std::string& where);
  void AddSequence(const Json& json, const std::string& where);
  void AddSplit(const Json& json, const std::string& where);
  void AddByteLevel(const Json& json, const std::string& where);
  void AddMetaspace(const Json& json, const std::string& where);
  void AddRegex(const std::string& regex, const std::string& where);
  void UseKnownSplits();
  void Run(size_t step, std::string_view piece, bool at_start,
           FunctionRef<void(std::string_view)> done) const;

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace reckon
