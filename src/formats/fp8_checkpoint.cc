#include "formats/fp8_checkpoint.h"

#include <algorithm>
#include <array>

#include "tensor/block_quant.h"

namespace reckon {

Shape Fp8ScaleShape(const Shape& matrix) {
  const auto blocks = [](int64_t size) { return (size + kQuantBlock - 1) / kQuantBlock; };
  return {blocks(matrix[0]), blocks(matrix[1])};
}

bool IsFp8Matrix(std::string_view name) {
  constexpr std::array<std::string_view, 11> kProjections = {".q_proj.weight",
                                                             ".k_proj.weight",
                                                             ".v_proj.weight",
                                                             ".o_proj.weight",
                                                             ".q_a_proj.weight",
                                                             ".q_b_proj.weight",
                                                             ".kv_b_proj.weight",
                                                             ".gate_proj.weight",
                                                             ".up_proj.weight",
                                                             ".down_proj.weight",
                                                             ".kv_a_proj_with_mqa.weight"};
  return std::any_of(kProjections.begin(), kProjections.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace reckon
