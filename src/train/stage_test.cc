#include "train/stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "model/tiny_model.h"
#include "model/weights.h"
#include "train/optimizer_config.h"

namespace reckon {
namespace {

using testing::HasSubstr;

constexpr double kDoubleError = 1e-15;  // a few roundings of numbers up to 1

TEST(LrSchedule, WarmsUpInEqualStepsThatReachTheRate) {
  const LrSchedule schedule{ScheduleKind::kConstant, 0.8, 0, 4, 10};
  const double want[] = {0.2, 0.4, 0.6, 0.8, 0.8, 0.8};
  for (int64_t step = 0; step < 6; ++step) EXPECT_NEAR(schedule.At(step), want[step], kDoubleError);
}

TEST(LrSchedule, CosineFallsFromTheRateToTheLeastOne) {
  const LrSchedule schedule{ScheduleKind::kCosine, 1, 0.2, 2, 12};
  EXPECT_EQ(schedule.At(2), 1);
  for (int64_t step = 2; step <= 12; ++step) {
    const double done = static_cast<double>(step - 2) / 10;
    EXPECT_NEAR(schedule.At(step), 0.2 + 0.4 * (1 + std::cos(3.14159265358979323846 * done)),
                kDoubleError);
  }
  EXPECT_NEAR(schedule.At(7), 0.6, kDoubleError);
  EXPECT_NEAR(schedule.At(100), 0.2, kDoubleError);  // beyond the end it stays
}

TEST(LrSchedule, ConstantThenDecayFallsInALineOverTheLastShare) {
  const LrSchedule schedule{ScheduleKind::kConstantThenDecay, 1, 0.2, 2, 12, 0.4};
  EXPECT_EQ(schedule.At(1), 1);
  for (int64_t step = 2; step <= 8; ++step) EXPECT_NEAR(schedule.At(step), 1, kDoubleError);
  for (int64_t step = 8; step <= 12; ++step) {
    EXPECT_NEAR(schedule.At(step), 1 - 0.2 * static_cast<double>(step - 8), kDoubleError);
  }
  EXPECT_NEAR(schedule.At(100), 0.2, kDoubleError);
  const LrSchedule never{ScheduleKind::kConstantThenDecay, 1, 0.2, 0, 12, 0};
  EXPECT_EQ(never.At(12), 1);
}

TEST(ReadOptimizer, TakesWhatIsGivenAndKeepsTheRest) {
  const Json json = {{"learning_rate", 0.5},     {"schedule", "constant_then_decay"},
                     {"warmup_steps", 3},        {"decay_fraction", 0.25},
                     {"min_learning_rate", 0.1}, {"weight_decay", 0}};
  ObjectReader reader(json, "recipe.json");
  AdamWConfig optimizer;
  LrSchedule schedule;
  ReadOptimizer(reader, 10, optimizer, schedule);
  reader.Finish();
  EXPECT_EQ(schedule.kind, ScheduleKind::kConstantThenDecay);
  EXPECT_EQ(schedule.total_steps, 10);
  EXPECT_EQ(schedule.At(10), 0.1);
  EXPECT_EQ(optimizer.weight_decay, 0);
  EXPECT_EQ(optimizer.beta1, AdamWConfig().beta1);
}

TEST(ReadOptimizer, NamesAWrongKey) {
  const std::vector<std::pair<std::string, Json>> wrong = {
      {"learning_rate", -1}, {"schedule", "linear"},   {"warmup_steps", 11},
      {"adam_beta2", 1},     {"min_learning_rate", 2}, {"max_grad_norm", "1"}};
  for (const auto& [key, value] : wrong) {
    const Json json = {{key, value}};
    ObjectReader reader(json, "recipe.json");
    AdamWConfig optimizer;
    LrSchedule schedule;
    try {
      ReadOptimizer(reader, 10, optimizer, schedule);
      ADD_FAILURE() << key << " " << value;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("recipe.json: " + key));
    }
  }
}

class StageFolder : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    context_.folder = testing::TempDir() + "stage_test_" + info->name();
    std::filesystem::remove_all(context_.folder);
    MakeFolders(context_.folder);
  }
  void TearDown() override { std::filesystem::remove_all(context_.folder); }
  std::string Metrics() const { return ReadFile(context_.folder + "/metrics.jsonl"); }
  StageContext context_;
};

TEST_F(StageFolder, MetricsHaveOneObjectAStep) {
  {
    MetricsWriter writer(context_.folder, 0);
    writer.Write(0, {{"loss", 2.5}, {"tokens", 10}});
    writer.Write(1, {{"loss", std::numeric_limits<double>::quiet_NaN()}});
  }
  EXPECT_EQ(Metrics(), "{\"step\":0,\"loss\":2.5,\"tokens\":10.0}\n{\"step\":1,\"loss\":null}\n");
}

TEST_F(StageFolder, MetricsOfStepsThatAreDoneAgainAreCut) {
  const std::string board = context_.folder + "/events.out.tfevents.reckon";
  {
    MetricsWriter writer(context_.folder, 0);
    for (int64_t step = 0; step < 5; ++step) writer.Write(step, {{"loss", 0.5}});
  }
  const std::string undisturbed = Metrics(), events = ReadFile(board);
  // Killed while the sixth line was being written, with a checkpoint of step 3.
  WriteFileAtomically(context_.folder + "/metrics.jsonl", undisturbed + "{\"step\":5,\"lo");
  {
    MetricsWriter writer(context_.folder, 3);
    EXPECT_EQ(Metrics(), undisturbed.substr(0, undisturbed.size() / 5 * 3));
    for (int64_t step = 3; step < 5; ++step) writer.Write(step, {{"loss", 0.5}});
  }
  EXPECT_EQ(Metrics(), undisturbed);
  EXPECT_EQ(ReadFile(board), events);
  { MetricsWriter from_the_start(context_.folder, 0); }
  EXPECT_EQ(Metrics(), "");
}

TEST_F(StageFolder, CheckpointIsReadAsItWasWritten) {
  Model model(TinyConfigWithYarnAndMtp()), other(TinyConfigWithYarnAndMtp());
  model.Initialize(1);
  other.Initialize(2);
  model.correction_biases()[0][3] = 0.25f;
  AdamW optimizer(model.parameters(), {}), of_other(other.parameters(), {});
  EXPECT_FALSE(LoadStageCheckpoint(context_, other, of_other).has_value());
  SaveStageCheckpoint(context_, model, optimizer, {{"step", 7}}, [](const std::string& folder) {
    WriteFileAtomically(folder + "/extra", "more");
  });
  std::string extra;
  const std::optional<Json> state =
      LoadStageCheckpoint(context_, other, of_other,
                          [&](const std::string& folder) { extra = ReadFile(folder + "/extra"); });
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(*state, Json({{"step", 7}}));
  EXPECT_EQ(extra, "more");
  EXPECT_EQ(WeightHash(other), WeightHash(model));
}

TEST_F(StageFolder, CheckpointOfAnotherModelOrADamagedOneIsRefused) {
  Model model(TinyConfig()), deeper(TinyConfigWithYarnAndMtp());
  model.Initialize(1);
  AdamW optimizer(model.parameters(), {}), of_deeper(deeper.parameters(), {});
  SaveStageCheckpoint(context_, model, optimizer, {{"step", 7}});
  try {
    LoadStageCheckpoint(context_, deeper, of_deeper);
    ADD_FAILURE() << "a checkpoint of another model was loaded";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(context_.folder + "/checkpoint"));
  }
  for (const char* name : {"/state.json", "/optimizer.safetensors", "/model/model.safetensors"}) {
    SaveStageCheckpoint(context_, model, optimizer, {{"step", 7}});
    std::filesystem::resize_file(context_.folder + "/checkpoint" + name, 9);
    EXPECT_THROW(LoadStageCheckpoint(context_, model, optimizer), Error) << name;
    std::filesystem::remove(context_.folder + "/checkpoint" + name);
    EXPECT_THROW(LoadStageCheckpoint(context_, model, optimizer), Error) << name;
  }
}

}  // namespace
}  // namespace reckon
