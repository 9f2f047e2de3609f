// The first cuts of a text that GGUF files call by name, in tokenizer.ggml.pre.
#pragma once

#include <string>
#include <vector>

namespace reckon {

struct GgufCut {
  std::string name;
  std::vector<std::string> regexes;  // cut one after another
  bool ignore_merges = false;        // a word that is a token is taken whole
  bool add_bos = false;              // where the file does not say
};

// Throws kUnsupported naming `where` and the known names. An empty name means "default".
const GgufCut& FindGgufCut(const std::string& pre, const std::string& where);
// The first with these patterns; null where there is none.
const GgufCut* FindGgufCutOf(const std::vector<std::string>& regexes);
// The names that are known, without their aliases.
std::vector<std::string> GgufPreTokenizers();

}  // namespace reckon
