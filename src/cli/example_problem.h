// A problem to type to a model that a recipe trained.
#pragma once

#include <string>
#include <vector>

namespace reckon {

// A held-out problem of each task that the recipe of the run evaluates, of a model folder
// RUN/STAGE/model. Empty where the folder is of no run, or its recipe cannot be read.
std::vector<std::string> ExampleProblems(const std::string& model);

}  // namespace reckon
