// Importance matrices: for each weight, the mean square of what meets its columns. The file is
// llama.cpp's: a GGUF file of general.type "imatrix" with tensors NAME.in_sum2 [matrices, columns]
// and NAME.counts [matrices, 1], NAME as in the model's GGUF file
// (tools/imatrix in https://github.com/ggml-org/llama.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/model.h"

namespace reckon {

struct ImportanceSums {
  int64_t columns = 0;
  std::vector<double> sum_of_squares;  // [matrices, columns]
  std::vector<int64_t> rows;           // [matrices]
};

class Importance {
 public:
  // Mean squares [matrices, columns] by GGUF name; empty where there are none. An expert that no
  // row met counts every column alike.
  std::span<const float> Of(const std::string& gguf_name) const;
  static Importance FromFile(const std::string& path);  // throws naming file and tensor
  size_t size() const { return means_.size(); }

 private:
  std::map<std::string, std::vector<float>> means_;
};

struct ImportanceRun {
  std::map<std::string, ImportanceSums> sums;  // by GGUF name
  int64_t windows = 0, context = 0;
};

// Runs the model over windows of ids, each at positions from 0, and adds up the squares of what
// each of its matrices is given. The sums do not depend on the threads.
ImportanceRun CollectImportance(
    const Runtime& rt, Model& model, const std::vector<std::vector<int32_t>>& windows,
    const std::function<void(int64_t done, int64_t total)>& on_progress = {});

void WriteImportance(const std::string& path, const ImportanceRun& run, const std::string& dataset);

}  // namespace reckon
