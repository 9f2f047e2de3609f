// Matrix products with weights.
#pragma once

#include <span>
#include <vector>

#include "ops/parameter.h"
#include "ops/tape.h"

namespace reckon {

// y = x W^T (+ bias).  x [rows, in], weight [out, in], bias [out] or null; returns [rows, out].
// `precision` overrides the runtime's: the router and other sensitive products pass kF32.
Variable Linear(const Runtime& rt, Tape* tape, const Variable& x, Parameter& weight,
                Parameter* bias = nullptr);
Variable LinearF32(const Runtime& rt, Tape* tape, const Variable& x, Parameter& weight);

// Rows [offsets[e], offsets[e+1]) of x go through weight[e].  x [rows, in], weight [experts, out,
// in], offsets [experts + 1] ascending from 0 to rows; returns [rows, out].
Variable GroupedLinear(const Runtime& rt, Tape* tape, const Variable& x, Parameter& weight,
                       const std::vector<int64_t>& offsets);

}  // namespace reckon
