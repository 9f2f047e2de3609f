#include "recipe/report.h"

#include <fmt/format.h>

#include <map>

#include "base/files.h"
#include "recipe/plot.h"

namespace reckon {
namespace {

constexpr const char* kStyle = R"(
:root{--ink:#1c1f24;--pale:#667;--paper:#fff;--line:#d8dbe2;--box:#f5f6f9;--good:#167a3e;--bad:#b3261e;
--series-0:#2457c5;--series-1:#c2570c;--series-2:#11805c;--series-3:#8a3ea8}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--pale:#9aa3b2;--paper:#14171c;--line:#333a45;
--box:#1c2129;--good:#5fd38d;--bad:#ff8a80;--series-0:#7aa7ff;--series-1:#ffab66;--series-2:#4fd1a5;
--series-3:#d39bf0}}
body{margin:0 auto;max-width:1000px;padding:24px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:32px 0 8px}p{margin:6px 0}
.pale{color:var(--pale)}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));
gap:16px}svg{width:100%;height:auto;background:var(--box);border-radius:8px}
svg text{fill:var(--pale);font:11px system-ui,sans-serif}svg text.title{fill:var(--ink);font-size:13px;
font-weight:600}.grid{stroke:var(--line);stroke-width:.7}.line{fill:none;stroke-width:1.8}
.dot{opacity:.25}.line.s0{stroke:var(--series-0)}.line.s1{stroke:var(--series-1)}
.line.s2{stroke:var(--series-2)}.line.s3{stroke:var(--series-3)}.dot.s0{fill:var(--series-0)}
.dot.s1{fill:var(--series-1)}.dot.s2{fill:var(--series-2)}.dot.s3{fill:var(--series-3)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{padding:5px 10px;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}th:first-child,td:first-child{text-align:left}
td.task{padding-left:28px;color:var(--pale)}td.text{text-align:left;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.4 ui-monospace,monospace}
.good{color:var(--good)}.bad{color:var(--bad)}
)";

using Columns = std::map<std::string, PlotSeries>;

// metrics.jsonl by column; a line that is not an object of numbers is passed over.
Columns ReadColumns(const std::string& path) {
  Columns columns;
  if (path.empty() || !FileExists(path)) return columns;
  const std::string text = ReadFile(path);
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    const Json row = Json::parse(text.substr(begin, end - begin), nullptr, false);
    begin = end + 1;
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number()) continue;
    for (const auto& item : row.items()) {
      if (!item.value().is_number() || item.key() == "step") continue;
      PlotSeries& series = columns[item.key()];
      series.x.push_back(row["step"].get<double>());
      series.y.push_back(item.value().get<double>());
    }
  }
  return columns;
}

struct Curve {
  const char *column, *title, *unit;
  bool from_zero;
};
constexpr Curve kSupervisedCurves[] = {
    {"loss", "Training loss", "nats per token", false},
    {"validation_loss", "Validation loss", "nats per token", false},
    {"mtp_loss", "Multi-token prediction loss", "nats", false},
    {"grad_norm", "Gradient norm", "", true},
    {"max_violation", "Busiest expert / mean", "", false}};
constexpr Curve kRlCurves[] = {
    {"accuracy", "Accuracy of samples", "share", true},
    {"response_tokens_mean", "Response length", "tokens", true},
    {"reward_mean", "Reward", "", true},
    {"long_share", "Share of answers with a chain of thought", "share", true},
    {"entropy", "Entropy", "nats per token", true},
    {"kl", "KL to the reference", "nats", true},
    {"clip_fraction", "Share of clipped tokens", "share", true},
    {"grad_norm", "Gradient norm", "", true}};

template <size_t N>
std::string Curves(const Columns& columns, const Curve (&curves)[N]) {
  std::string out;
  for (const Curve& curve : curves) {
    const auto found = columns.find(curve.column);
    if (found == columns.end()) continue;
    out += RenderSvg({curve.title, "step", curve.unit, {found->second}, curve.from_zero});
  }
  return out;
}

std::string StageSection(const ReportStage& stage) {
  const Columns columns = ReadColumns(stage.metrics_path);
  const std::string plots =
      stage.kind == "rl" ? Curves(columns, kRlCurves) : Curves(columns, kSupervisedCurves);
  if (plots.empty()) return "";
  return fmt::format("<h2>{} <span class='pale'>({})</span></h2><div class='plots'>{}</div>",
                     EscapeHtml(stage.name), EscapeHtml(stage.kind), plots);
}

std::string Cell(const Json& row, const char* key, const char* format) {
  if (!row.contains(key) || !row[key].is_number()) return "<td>-</td>";
  return fmt::format("<td>{}</td>", fmt::format(fmt::runtime(format), row[key].get<double>()));
}

// "93.4% (89.6-95.8)": the share and its 95% interval.
std::string Share(const Json& row, const std::string& key) {
  if (!row.contains(key) || !row[key].is_number()) return "<td>-</td>";
  std::string interval;
  if (const auto found = row.find(key + "_ci95"); found != row.end()) {
    interval = fmt::format(" <span class='pale'>({:.1f}-{:.1f})</span>",
                           100 * (*found)[0].get<double>(), 100 * (*found)[1].get<double>());
  }
  return fmt::format("<td>{:.1f}%{}</td>", 100 * row[key].get<double>(), interval);
}

std::string SummaryRow(const std::string& name, const char* name_class, const Json& row) {
  return fmt::format("<tr><td class='{}'>{}</td>", name_class, EscapeHtml(name)) +
         Cell(row, "problems", "{:.0f}") + Share(row, "pass1_greedy") +
         Share(row, "pass1_sampled") + Cell(row, "mean_response_tokens", "{:.1f}") +
         Cell(row, "seconds", "{:.1f}") + "</tr>";
}

// A row for each stage, and below it one for each task where there are several.
std::string SummaryTable(const Json& summary) {
  std::string rows;
  for (const Json& stage : summary.value("stages", Json::array())) {
    rows += SummaryRow(stage.value("name", ""), "stage", stage);
    const Json tasks = stage.value("tasks", Json::array());
    if (tasks.size() < 2) continue;
    for (const Json& task : tasks) rows += SummaryRow(task.value("task", ""), "task", task);
  }
  return "<div class='wide'><table><tr><th>stage</th><th>problems</th><th>pass@1 greedy</th>"
         "<th>pass@1 sampled</th><th>response tokens</th><th>seconds</th></tr>" +
         rows +
         "</table></div><p class='pale'>Held-out problems; 95% intervals in parentheses: Wilson's "
         "for greedy answers, a bootstrap over problems for sampled ones.</p>";
}

std::string ReceiptTable(const Json& receipt) {
  if (!receipt.contains("stages")) return "";
  std::string rows;
  for (const Json& stage : receipt["stages"]) {
    rows += fmt::format("<tr><td>{}</td>", EscapeHtml(stage.value("name", "")));
    rows += Cell(stage, "model_flops_trained", "{:.3g}") +
            Cell(stage, "model_flops_sampled", "{:.3g}") +
            Cell(stage, "generated_tokens", "{:.0f}") + Cell(stage, "seconds", "{:.1f}") +
            Cell(stage, "model_gflops_per_s", "{:.1f}") + Cell(stage, "price_usd", "{:.5f}") +
            "</tr>";
  }
  return "<h2>What it cost</h2><div class='wide'><table><tr><th>stage</th><th>FLOPs trained</th>"
         "<th>FLOPs sampled</th><th>tokens generated</th><th>seconds</th><th>GFLOP/s</th>"
         "<th>USD</th></tr>" +
         rows + "</table></div>";
}

// One row a problem, one column a stage: the same held-out problems, before and after.
std::string SampleTable(const std::vector<ReportStage>& stages) {
  std::map<std::string, std::map<std::string, const ReportSample*>> by_prompt;
  std::vector<std::string> prompts, names;
  for (const ReportStage& stage : stages) {
    if (stage.samples.empty()) continue;
    names.push_back(stage.name);
    for (const ReportSample& sample : stage.samples) {
      if (by_prompt.find(sample.prompt) == by_prompt.end()) prompts.push_back(sample.prompt);
      by_prompt[sample.prompt][stage.name] = &sample;
    }
  }
  if (names.empty()) return "";
  std::string out =
      "<h2>Held-out problems, stage by stage</h2><div class='wide'><table><tr><th>problem</th>";
  for (const std::string& name : names) out += "<th>" + EscapeHtml(name) + "</th>";
  out += "</tr>";
  for (const std::string& prompt : prompts) {
    out += "<tr><td class='text'>" + EscapeHtml(prompt) + "</td>";
    for (const std::string& name : names) {
      const auto& row = by_prompt[prompt];
      const auto found = row.find(name);
      if (found == row.end()) {
        out += "<td></td>";
        continue;
      }
      const ReportSample& sample = *found->second;
      out +=
          fmt::format("<td class='text'>{} <b class='{}'>{}</b></td>", EscapeHtml(sample.response),
                      sample.correct ? "good" : "bad", sample.correct ? "right" : "wrong");
    }
    out += "</tr>";
  }
  return out + "</table></div>";
}

// "quickstart, seed 1"
std::string RunName(const Json& summary) {
  return fmt::format("{}, seed {}", EscapeHtml(summary.value("name", "a run")),
                     summary.value("seed", int64_t{0}));
}

// "pretrain, cold_start, grpo": what the numbers below are of.
std::string StageNames(const Json& summary) {
  std::string names;
  for (const Json& stage : summary.value("stages", Json::array())) {
    names += (names.empty() ? "" : ", ") + EscapeHtml(stage.value("name", ""));
  }
  return names;
}

std::string Heading(const ReportInput& input) {
  const Json& receipt = input.receipt;
  std::string out = fmt::format("<h1>{}</h1><p>A run of <code>reckon recipe</code>: {}.</p>",
                                RunName(input.summary), StageNames(input.summary));
  const Json model = receipt.value("model", Json::object());
  const Json machine = receipt.value("machine", Json::object());
  const Json total = receipt.value("total", Json::object());
  out += fmt::format(
      "<p class='pale'>{} parameters, {} active a token; {} threads of {} ({}); "
      "{:.0f} s in all, {:.3g} model FLOPs, ${:.4f} at ${:g} per hour ({}).</p>",
      model.value("parameters_total", int64_t{0}), model.value("parameters_active", int64_t{0}),
      machine.value("threads", int64_t{0}), EscapeHtml(machine.value("cpu", "")),
      EscapeHtml(machine.value("isa", "")), input.summary.value("wall_s", 0.0),
      total.value("model_flops", 0.0), total.value("cost_usd", 0.0),
      receipt.value("price", Json::object()).value("usd_per_hour", 0.0),
      EscapeHtml(receipt.value("price", Json::object()).value("source", "")));
  out += fmt::format("<p class='pale'>final_weight_sha256 {}</p>",
                     EscapeHtml(input.summary.value("final_weight_sha256", "")));
  return out;
}

}  // namespace

std::vector<ReportSample> SamplesOf(const Json& eval) {
  std::vector<ReportSample> samples;
  if (!eval.is_object()) return samples;
  for (const Json& t : eval.value("transcripts", Json::array())) {
    samples.push_back({t.value("task", ""), t.value("prompt", ""), t.value("response", ""),
                       t.value("correct", false)});
  }
  return samples;
}

std::string RenderReport(const ReportInput& input) {
  std::string body = Heading(input) + SummaryTable(input.summary);
  // Reinforcement learning first: it is what the run is about.
  for (const ReportStage& stage : input.stages) {
    if (stage.kind == "rl") body += StageSection(stage);
  }
  body += SampleTable(input.stages);
  for (const ReportStage& stage : input.stages) {
    if (stage.kind != "rl") body += StageSection(stage);
  }
  body += ReceiptTable(input.receipt);
  return "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
         "content='width=device-width,initial-scale=1'><title>" +
         RunName(input.summary) + " - reckon</title><style>" + kStyle + "</style></head><body>" +
         body + "</body></html>\n";
}

}  // namespace reckon
