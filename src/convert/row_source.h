// Where a checkpoint that is being written gets its values: rows by Hugging Face name, as f32.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "formats/gguf_weights.h"
#include "formats/json.h"
#include "model/weight_source.h"

namespace reckon {

struct RowSource {
  std::string where;  // begins messages
  Json config;        // config.json
  std::map<std::string, Shape> shapes;
  ReadRow read;
  // The format that a tensor has now; FP8 counts as BF16, which holds most of it.
  std::function<StorageFormat(const std::string& name)> stored_as;
};

// Borrows `opened`.
RowSource RowsOf(const OpenedWeights& opened);

// Random matrices of mean 0 and standard deviation initializer_range (each value a sum of four
// uniform ones), norms 1, biases 0. A row is a pure function of (seed, name, row), so that no more
// of a model than a row need be in memory.
RowSource RandomRows(const Json& config, const std::string& where, uint64_t seed);

}  // namespace reckon
