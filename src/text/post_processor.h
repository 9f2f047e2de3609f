// The post_processor of a tokenizer.json: the tokens it puts around a text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/json.h"

namespace reckon {

struct SpecialFrame {
  std::vector<int32_t> before, after;
};

// TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel (which only moves offsets) and
// Sequence; throws kUnsupported for another type. `json` may be null.
SpecialFrame ReadPostProcessor(const Json& json, const std::string& where);

}  // namespace reckon
