// What the tests of whole runs look at in a run's folder.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "tests/support/process.h"
#include "tests/support/tiny_recipe.h"

namespace reckon {

inline std::vector<std::string> RunArguments(const std::string& recipe, const std::string& out) {
  return {"recipe", "run", recipe, "--out", out};
}

// Runs a recipe to its end.
inline void Finish(const std::string& recipe, const std::string& out,
                   const ProcessOptions& options = {}) {
  const ProcessResult result = RunReckon(RunArguments(recipe, out), options);
  ASSERT_EQ(result.exit_code, 0) << result.signal << " " << result.err;
}

inline std::vector<std::string> StageNames(const std::string& out) {
  std::vector<std::string> names;
  const Json summary = ReadJsonFile(out + "/summary.json");
  for (const Json& stage : summary["stages"]) {
    names.push_back(stage["name"].get<std::string>());
  }
  return names;
}

inline std::vector<Json> Metrics(const std::string& out, const std::string& stage) {
  std::vector<Json> rows;
  const std::string text = ReadFile(out + "/" + stage + "/metrics.jsonl");
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    EXPECT_NE(end, std::string::npos) << "a line of metrics.jsonl without an end";
    if (end == std::string::npos) break;
    rows.push_back(ParseJson(text.substr(begin, end - begin), "metrics.jsonl"));
    begin = end + 1;
  }
  return rows;
}

// Drops what depends on the clock.
inline Json WithoutTimes(Json json) {
  for (const char* key : {"seconds", "evaluation_seconds", "wall_s", "tokens_per_s",
                          "rollout_seconds", "update_seconds"}) {
    json.erase(key);
  }
  return json;
}

inline void ExpectSameRun(const std::string& a, const std::string& b) {
  Json x = ReadJsonFile(a + "/summary.json"), y = ReadJsonFile(b + "/summary.json");
  EXPECT_EQ(x["final_weight_sha256"], y["final_weight_sha256"]);
  ASSERT_EQ(StageNames(a), StageNames(b));
  ASSERT_FALSE(StageNames(a).empty());
  for (size_t i = 0; i < x["stages"].size(); ++i) {
    EXPECT_EQ(WithoutTimes(x["stages"][i]), WithoutTimes(y["stages"][i]));
  }
  for (const std::string& stage : StageNames(a)) {
    const std::string weights = "/" + stage + "/model/model.safetensors";
    EXPECT_TRUE(ReadFile(a + weights) == ReadFile(b + weights)) << weights << " differs";
    const std::vector<Json> rows = Metrics(a, stage), others = Metrics(b, stage);
    ASSERT_EQ(rows.size(), others.size()) << stage;
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(WithoutTimes(rows[i]), WithoutTimes(others[i])) << stage;
    }
  }
}

// No file written aside is left, and each file is whole.
inline void ExpectNothingHalfWritten(const std::string& folder) {
  if (!std::filesystem::exists(folder)) return;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string path = entry.path().string();
    EXPECT_EQ(path.find(".tmp-"), std::string::npos) << path;
    if (entry.path().extension() == ".json") {
      EXPECT_NO_THROW(ReadJsonFile(path)) << path;
    }
    if (entry.path().extension() == ".safetensors") {
      EXPECT_NO_THROW(SafetensorsFile{path}) << path;
    }
    if (entry.path().filename() == "metrics.jsonl") {
      const std::string text = ReadFile(path);
      EXPECT_TRUE(text.empty() || text.back() == '\n') << path << " ends within a line";
    }
  }
}

}  // namespace reckon
