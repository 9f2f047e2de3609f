// The stages of a summary.json as a table for a terminal.
#pragma once

#include <string>

#include "formats/json.h"

namespace reckon {

std::string StageTableHeader();
// A line for the stage and, where it was evaluated on more than one task, one for each task; shares
// with their 95% intervals.
std::string StageTableRows(const Json& stage);
// What the columns mean; a line below the last row.
std::string StageTableLegend();

}  // namespace reckon
