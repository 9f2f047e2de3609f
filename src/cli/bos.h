// Which token begins a text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "text/tokenizer.h"

namespace reckon {

// The bos that the tokenizer's own file names, else the bos_token of the tokenizer_config.json
// beside `path` (a folder or a file in it), where null means none; `otherwise` where neither says
// anything.
std::optional<int32_t> FindBos(const Tokenizer& tokenizer, const std::string& path,
                               std::optional<int32_t> otherwise = {});

}  // namespace reckon
