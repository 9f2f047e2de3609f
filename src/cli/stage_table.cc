#include "cli/stage_table.h"

#include <fmt/format.h>

namespace reckon {
namespace {

constexpr const char* kColumns = "{:<14} {:>8}  {:<19}  {:<19} {:>7} {:>8} {:>8}\n";

std::string Number(const Json& row, const char* key, const char* format) {
  if (!row.contains(key) || !row[key].is_number()) return "-";
  return fmt::format(fmt::runtime(format), row[key].get<double>());
}

// " 93.4% (89.6-95.8)"
std::string Share(const Json& row, const std::string& key) {
  if (!row.contains(key) || !row[key].is_number()) return "     -";
  std::string text = fmt::format("{:5.1f}%", 100 * row[key].get<double>());
  if (const auto interval = row.find(key + "_ci95"); interval != row.end()) {
    text += fmt::format(" ({:.1f}-{:.1f})", 100 * (*interval)[0].get<double>(),
                        100 * (*interval)[1].get<double>());
  }
  return text;
}

std::string Row(const std::string& name, const Json& row) {
  return fmt::format(fmt::runtime(kColumns), name, Number(row, "problems", "{:.0f}"),
                     Share(row, "pass1_greedy"), Share(row, "pass1_sampled"),
                     Number(row, "mean_response_tokens", "{:.1f}"),
                     Number(row, "seconds", "{:.1f}"), Number(row, "loss", "{:.4f}"));
}

}  // namespace

std::string StageTableHeader() {
  return fmt::format(fmt::runtime(kColumns), "stage", "problems", "greedy", "sampled", "tokens",
                     "seconds", "loss");
}

std::string StageTableRows(const Json& stage) {
  std::string rows = Row(stage.value("name", ""), stage);
  const Json tasks = stage.value("tasks", Json::array());
  if (tasks.size() < 2) return rows;
  for (const Json& task : tasks) rows += Row("  " + task.value("task", ""), task);
  return rows;
}

std::string StageTableLegend() {
  return "greedy, sampled: held-out problems answered rightly (95% interval)\n";
}

}  // namespace reckon
