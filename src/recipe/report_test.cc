#include "recipe/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "base/files.h"
#include "recipe/plot.h"

namespace reckon {
namespace {

TEST(Plot, DrawsEachSeriesAndLeavesOutWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string svg = RenderSvg(
      {"loss", "step", "nats", {{"a", {0, 1, 2}, {3, nan, 1}}, {"b", {0, 1}, {1, 2}}}, false});
  EXPECT_NE(svg.find("class='line s0'"), std::string::npos);
  EXPECT_NE(svg.find("class='line s1'"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Plot, SaysSoWhenThereIsNothingToDraw) {
  EXPECT_NE(RenderSvg({"t", "x", "y", {}, true}).find("no data"), std::string::npos);
}

TEST(Plot, SurvivesASingleAndAConstantValue) {
  for (const std::vector<double>& y : {std::vector<double>{5.0}, {0.0}, {2.0, 2.0}}) {
    std::vector<double> x;
    for (size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<double>(i));
    const std::string svg = RenderSvg({"t", "x", "y", {{"a", x, y}}, false});
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
  }
}

TEST(Report, ShowsStagesCurvesSamplesAndEscapesText) {
  const std::string path = testing::TempDir() + "/report_test_metrics.jsonl";
  WriteFileAtomically(path,
                      "{\"step\":0,\"accuracy\":0.1}\nnot json\n{\"step\":1,\"accuracy\":0.9}\n");
  ReportInput input;
  input.summary = {{"name", "mini"},
                   {"stages", {{{"name", "rl"}, {"pass1_greedy", 0.95}, {"seconds", 12.0}}}}};
  input.receipt = Json::object();
  input.stages.push_back({"rl", "rl", path, {{"sum", "s12=", "<think>1</think>3", true}}});
  const std::string html = RenderReport(input);
  EXPECT_NE(html.find("95.0%"), std::string::npos);
  EXPECT_NE(html.find("Accuracy of samples"), std::string::npos);
  EXPECT_NE(html.find("&lt;think&gt;1&lt;/think&gt;3"), std::string::npos);
  EXPECT_EQ(html.find("<think>"), std::string::npos);
  EXPECT_EQ(html.find("http"), std::string::npos) << "the report loads nothing from elsewhere";
  std::filesystem::remove(path);
}

TEST(Report, IsEntitledByNameSeedAndStages) {
  ReportInput input;
  input.summary = {{"name", "a<b"}, {"seed", 7}, {"stages", {{{"name", "sft"}}, {{"name", "rl"}}}}};
  input.receipt = Json::object();
  const std::string html = RenderReport(input);
  EXPECT_THAT(html, testing::HasSubstr("<title>a&lt;b, seed 7 - reckon</title>"));
  EXPECT_THAT(html, testing::HasSubstr("<h1>a&lt;b, seed 7</h1>"));
  EXPECT_THAT(html, testing::HasSubstr(": sft, rl."));
}

TEST(Report, ShowsEachTaskWithTheNumberOfProblemsAndIntervals) {
  const auto score = [](const char* task, double greedy, double low, double high) {
    return Json{{"task", task},
                {"problems", 128},
                {"pass1_greedy", greedy},
                {"pass1_greedy_ci95", {low, high}}};
  };
  ReportInput input;
  Json stage = score("all", 0.75, 0.69, 0.8);
  stage["name"] = "rl";
  stage["problems"] = 256;
  stage["tasks"] = {score("addition", 0.5, 0.41, 0.59), score("sort", 1.0, 0.97, 1.0)};
  input.summary = {{"name", "mini"}, {"stages", {stage}}};
  input.receipt = Json::object();
  const std::string html = RenderReport(input);
  EXPECT_THAT(html, testing::HasSubstr("<td class='stage'>rl</td><td>256</td>"
                                       "<td>75.0% <span class='pale'>(69.0-80.0)</span></td>"));
  EXPECT_THAT(html, testing::HasSubstr("<td class='task'>addition</td><td>128</td>"
                                       "<td>50.0% <span class='pale'>(41.0-59.0)</span></td>"));
  EXPECT_THAT(html, testing::HasSubstr("<td class='task'>sort</td>"));
}

}  // namespace
}  // namespace reckon
