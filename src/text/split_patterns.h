// Hand-written matchers of the patterns that the model families in use cut texts with. A tokenizer
// file says its pattern; where it is one of these, word for word, this code does in one pass what
// PCRE2 would, many times faster. Differences to PCRE2 are those of its Unicode version.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"

namespace reckon {

enum class KnownSplit { kGpt2, kLlama3, kQwen2, kDeepSeekV3 };

// The regular expressions of a known split, each applied to what the one before left.
const std::vector<std::string>& RegexesOf(KnownSplit split);

// Calls back with each piece of well-formed UTF-8 in order; together they are the text.
void SplitByKnown(KnownSplit split, std::string_view text,
                  FunctionRef<void(std::string_view)> piece);

}  // namespace reckon
