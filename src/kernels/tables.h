// What each instruction set's file exports.
#pragma once

#include "kernels/kernel_table.h"

namespace reckon {

void FillScalarTable(KernelTable& table);
void FillAvx2Table(KernelTable& table);
void FillAvx512Table(KernelTable& table);
void FillAvx512Bf16Table(KernelTable& table);

}  // namespace reckon
