// The first cut of a text, into pieces that BPE then works on one by one: the pre_tokenizer of a
// tokenizer.json (Split, Digits, ByteLevel, and Sequence of them).
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"
#include "text/pattern.h"

namespace reckon {

// Pieces are views of the text or, where a prefix space was added, of a string in `storage`.
struct Pieces {
  std::vector<std::string_view> views;
  std::deque<std::string> storage;
};

class PreTokenizer {
 public:
  // Throws kUnsupported for a type or option it does not know. `json` may be null: no cut.
  static PreTokenizer FromJson(const Json& json, const std::string& where);
  // ByteLevel with GPT-2's pattern, as the BPE trainer uses it.
  static PreTokenizer Gpt2();

  // Whether the model sees bytes written in the byte alphabet, not characters.
  bool byte_level() const { return byte_level_; }
  // Appends the pieces of a valid UTF-8 text; none is empty.
  void Split(std::string_view text, Pieces& pieces) const;

 private:
  enum class Behavior { kIsolated, kRemoved, kContiguous };
  struct Step {
    std::vector<Pattern> pattern;  // one, or none for a ByteLevel without its own pattern
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
    bool add_prefix_space = false;
  };

  void AddStep(const Json& json, const std::string& where);
  void AddSplit(const Json& json, const std::string& where);
  void AddByteLevel(const Json& json, const std::string& where);
  static void Apply(const Step& step, std::string_view piece, Pieces& pieces);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace reckon
