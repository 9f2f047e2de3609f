// The keys that a config.json may have, to find the misspelt ones.
#pragma once

#include <string>
#include <vector>

#include "formats/json.h"

namespace reckon {

struct UnknownKey {
  std::string key;      // "hiden_act", "rope_scaling.beta_fst"
  std::string nearest;  // the known key that may be meant; empty if none is near
};

// The keys of a model's config that ParseModelConfig does not read and that the Hugging Face files
// of its families do not carry either, in the order of the file.
std::vector<UnknownKey> UnknownModelKeys(const Json& config);

}  // namespace reckon
