// Regular expressions of tokenizer.json files. Those are written for Oniguruma; PCRE2 runs them
// here after the few constructs that differ are translated, or refused where there is no
// equivalent.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "formats/json.h"

namespace reckon {

class Pattern {
 public:
  // Throws kUnsupported with `where`, the pattern and the reason.
  static Pattern FromRegex(std::string_view regex, const std::string& where);
  static Pattern FromLiteral(std::string_view text, const std::string& where);
  // {"Regex": "..."} or {"String": "..."}
  static Pattern FromJson(const Json& json, const std::string& where);
  static Pattern Clusters();       // extended grapheme clusters
  static Pattern WordCharacter();  // \w as Rust's regular expressions have it
  static Pattern Words();          // \w+|[^\w\s]+ likewise
  ~Pattern();
  Pattern(Pattern&&) noexcept;

  // Calls back with [begin, end) of each match, leftmost first, none overlapping, and no empty one
  // where the match before it ended. `text` is valid UTF-8. Throws kInvalidArgument where a match
  // takes more steps than the limit.
  void ForEachMatch(std::string_view text, FunctionRef<void(size_t, size_t)> found) const;

 private:
  struct Impl;
  explicit Pattern(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reckon
