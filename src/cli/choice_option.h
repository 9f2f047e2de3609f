// An option that takes one of a few names.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace reckon {

// The first name is the default's; help lists them in this order.
template <typename T>
void AddChoiceOption(CLI::App& command, const std::string& option, T& value,
                     const std::vector<std::pair<std::string, T>>& choices,
                     const std::string& help) {
  std::string names;
  for (const auto& choice : choices) names += (names.empty() ? "" : ",") + choice.first;
  CLI::CheckedTransformer transformer(choices);
  transformer.description("{" + names + "}");
  command.add_option(option, value, help)
      ->transform(transformer)
      ->type_name("")
      ->default_str(choices[0].first);
}

}  // namespace reckon
