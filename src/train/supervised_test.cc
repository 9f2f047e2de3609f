#include "train/supervised.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/rng.h"
#include "model/tiny_model.h"
#include "model/weights.h"
#include "ops/log_prob.h"

namespace reckon {
namespace {

using testing::HasSubstr;

// Counting upwards modulo 27, from a start and over a length that depend on step and place.
class CountingSource : public ExampleSource {
 public:
  explicit CountingSource(uint64_t seed) : seed_(seed) {}
  std::vector<Example> Step(int64_t step) const override {
    std::vector<Example> examples;
    for (uint64_t i = 0; i < 6; ++i) {
      Rng rng(seed_, {static_cast<uint64_t>(step), i});
      const int64_t start = rng.Below(27), length = 3 + rng.Below(20);
      Example example;
      for (int64_t t = 0; t < length; ++t) {
        example.token_ids.push_back(static_cast<int32_t>((start + t) % 27));
        example.loss_mask.push_back(t > 1 ? 1 : 0);
      }
      examples.push_back(example);
    }
    return examples;
  }
  std::string ContentHash() const override { return std::to_string(seed_); }

 private:
  uint64_t seed_;
};

class NothingToLearn : public CountingSource {
 public:
  NothingToLearn() : CountingSource(1) {}
  std::vector<Example> Step(int64_t step) const override {
    std::vector<Example> examples = CountingSource::Step(step);
    for (Example& example : examples) example.loss_mask.assign(example.loss_mask.size(), 0);
    return examples;
  }
};

SupervisedConfig TinyTraining() {
  SupervisedConfig config;
  config.steps = 8;
  config.schedule = {ScheduleKind::kCosine, 0.01, 0.001, 2, 8};
  config.bias_update_speed = 0.001;
  config.validate_every_steps = 3;
  config.validation_batches = 2;
  return config;
}

// metrics.jsonl without what the clock says.
std::vector<Json> MetricRows(const std::string& folder) {
  const std::string text = ReadFile(folder + "/metrics.jsonl");
  std::vector<Json> rows;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    Json row = Json::parse(text.substr(begin, end - begin));
    row.erase("tokens_per_s");
    rows.push_back(row);
    begin = end + 1;
  }
  return rows;
}

struct Trained {
  std::string weights;
  std::vector<Json> metrics;
  SupervisedResult result;
};

class Supervised : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = testing::TempDir() + "supervised_test_" + info->name();
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  StageContext Context(const std::string& name) {
    StageContext context;
    context.rt = runtime_.get();
    context.name = name;
    context.folder = root_ + "/" + name;
    context.checkpoint_every_steps = 2;
    MakeFolders(context.folder);
    return context;
  }

  Trained Train(StageContext context, const SupervisedConfig& config,
                const ModelConfig& model_config = TinyConfigWithYarnAndMtp()) {
    Model model(model_config);
    model.Initialize(1);
    Trained run;
    run.result = RunSupervised(context, model, source_, &validation_, config);
    run.weights = WeightHash(model);
    run.metrics = MetricRows(context.folder);
    return run;
  }

  std::string root_;
  RuntimeOwner runtime_{1};
  CountingSource source_{1}, validation_{2};
};

TEST_F(Supervised, LearnsToCount) {
  SupervisedConfig config = TinyTraining();
  config.steps = config.schedule.total_steps = 60;
  const Trained run = Train(Context("stage"), config);
  ASSERT_EQ(run.metrics.size(), 60u);
  // Before training a token costs about log 29 = 3.4 nats or more; counting is nearly free.
  EXPECT_GT(run.metrics[0]["loss"].get<double>(), 3);
  EXPECT_LT(run.metrics[59]["loss"].get<double>(), 1);
  EXPECT_LT(run.result.validation_loss, 1.2);
  EXPECT_LT(run.metrics[59]["mtp_loss"].get<double>(), run.metrics[0]["mtp_loss"].get<double>());
}

TEST_F(Supervised, ReportsLossTokensAndRateOfAStep) {
  SupervisedConfig config = TinyTraining();
  config.steps = 1;
  config.validate_every_steps = 0;
  const ModelConfig model_config = TinyConfig();
  const Trained run = Train(Context("stage"), config, model_config);
  Model model(model_config);
  model.Initialize(1);
  // The same mean, one example at a time.
  double sum = 0;
  int64_t targets = 0, rows = 0;
  for (const Example& example : source_.Step(0)) {
    Batch batch;
    batch.Append({example.token_ids.data(), example.token_ids.size() - 1});
    const Variable logits =
        model.Logits(runtime_.get(), nullptr, model.Forward(runtime_.get(), nullptr, batch));
    const LogProbs logprobs =
        TokenLogProbs(runtime_.get(), nullptr, logits, std::span(example.token_ids).subspan(1));
    rows += batch.rows();
    for (int64_t i = 1; i < batch.rows(); ++i) {  // the mask leaves out the first two tokens
      sum -= logprobs.values.value().row(i)[0];
      ++targets;
    }
  }
  ASSERT_EQ(run.metrics.size(), 1u);
  // The same f32 values, added in the same order in double.
  EXPECT_EQ(run.metrics[0]["loss"].get<double>(), sum / static_cast<double>(targets));
  EXPECT_EQ(run.metrics[0]["tokens"].get<double>(), static_cast<double>(rows));
  EXPECT_EQ(run.metrics[0]["learning_rate"].get<double>(), 0.005);  // half of the warm-up
  EXPECT_EQ(run.result.trained.tokens, rows);
  EXPECT_EQ(run.result.trained.head_rows, targets);
  // MeanLoss of the untrained model is that loss as well.
  EXPECT_EQ(MeanLoss(runtime_.get(), model, source_, 1, 7), run.result.loss);
}

// A step in micro-batches of at most `rows` rows against a whole one, in everything but the order
// in which doubles of the reported loss are added.
void ExpectSameTraining(const Trained& cut, const Trained& whole, int64_t rows) {
  EXPECT_EQ(cut.weights, whole.weights) << rows;
  ASSERT_EQ(cut.metrics.size(), whole.metrics.size());
  for (size_t i = 0; i < cut.metrics.size(); ++i) {
    for (const char* name : {"grad_norm", "tokens", "max_violation"}) {
      EXPECT_EQ(cut.metrics[i][name], whole.metrics[i][name]) << rows << " " << name;
    }
    EXPECT_NEAR(cut.metrics[i]["loss"].get<double>(), whole.metrics[i]["loss"].get<double>(),
                1e-12);
  }
}

TEST_F(Supervised, GivesTheSameBitsHoweverAStepIsCutIntoMicroBatches) {
  SupervisedConfig config = TinyTraining();
  for (const double balance_alpha : {0.0, 0.1}) {
    config.balance_alpha = balance_alpha;
    const std::string name = "alpha" + std::to_string(balance_alpha);
    SCOPED_TRACE(name);
    config.max_rows_per_micro_batch = 2048;
    const Trained whole = Train(Context(name), config, TinyConfig());
    for (int64_t rows : {1, 30, 50}) {
      config.max_rows_per_micro_batch = rows;
      const Trained cut = Train(Context(name + std::to_string(rows)), config, TinyConfig());
      ExpectSameTraining(cut, whole, rows);
    }
  }
}

// Embedding and head are read twice a step where they are tied or MTP modules share them; the two
// chains of their gradient alternate with the micro-batches (docs/numerics.md).
TEST_F(Supervised, MovesAGradientOfASharedWeightByRoundingOnly) {
  SupervisedConfig config = TinyTraining();
  config.steps = 1;
  for (const bool tied : {false, true}) {
    ModelConfig model_config = tied ? TinyConfig() : TinyConfigWithYarnAndMtp();
    model_config.tie_word_embeddings = tied;
    const std::string name = tied ? "tied" : "mtp";
    config.max_rows_per_micro_batch = 2048;
    const Json whole = Train(Context(name), config, model_config).metrics[0];
    config.max_rows_per_micro_batch = 1;
    const Json cut = Train(Context(name + "cut"), config, model_config).metrics[0];
    // The same 300 terms or fewer in another order: each rounding errs by 2^-24 of a partial sum.
    EXPECT_NEAR(cut["grad_norm"].get<double>() / whole["grad_norm"].get<double>(), 1,
                300 * 0x1p-24);
    EXPECT_NEAR(cut["loss"].get<double>(), whole["loss"].get<double>(), 1e-12);
  }
}

TEST_F(Supervised, GivesTheSameBitsOnTwoThreads) {
  const Trained one = Train(Context("one"), TinyTraining());
  const RuntimeOwner two(2);
  StageContext context = Context("two");
  context.rt = two.get();
  const Trained other = Train(context, TinyTraining());
  EXPECT_EQ(other.weights, one.weights);
  EXPECT_EQ(other.metrics, one.metrics);
}

struct Stop {};

TEST_F(Supervised, GoesOnAfterAnyStepAsIfItHadNotBeenStopped) {
  const Trained whole = Train(Context("whole"), TinyTraining());
  for (int64_t stop : {1, 2, 3, 5, 7}) {
    StageContext context = Context("stopped" + std::to_string(stop));
    // Dies like a killed process: no checkpoint is written after the step.
    context.on_step = [stop](const StageProgress& progress) {
      if (progress.step == stop) throw Stop();
    };
    EXPECT_THROW(Train(context, TinyTraining()), Stop);
    context.on_step = {};
    const Trained resumed = Train(context, TinyTraining());
    EXPECT_EQ(resumed.weights, whole.weights) << "stopped at " << stop;
    EXPECT_EQ(resumed.metrics, whole.metrics) << "stopped at " << stop;
    EXPECT_EQ(resumed.result.loss, whole.result.loss);
    EXPECT_EQ(resumed.result.validation_loss, whole.result.validation_loss);
    EXPECT_EQ(ToJson(resumed.result.trained), ToJson(whole.result.trained));
    EXPECT_EQ(ToJson(resumed.result.evaluated), ToJson(whole.result.evaluated));
  }
}

TEST_F(Supervised, DoesNothingWhereTheStageIsDone) {
  const Trained first = Train(Context("stage"), TinyTraining());
  StageContext context = Context("stage");
  context.on_step = [](const StageProgress&) { throw Stop(); };
  const Trained again = Train(context, TinyTraining());
  EXPECT_EQ(again.weights, first.weights);
  EXPECT_EQ(again.metrics, first.metrics);
}

TEST_F(Supervised, ValidatesEveryFewStepsOnTheHeldBackPart) {
  const Trained run = Train(Context("stage"), TinyTraining());
  ASSERT_EQ(run.metrics.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(run.metrics[i].contains("validation_loss"), i == 2 || i == 5) << i;
  }
  EXPECT_EQ(run.metrics[5]["validation_loss"].get<double>(), run.result.validation_loss);
  // The weights after step 5 give that loss.
  Model model(TinyConfigWithYarnAndMtp());
  model.Initialize(1);
  SupervisedConfig config = TinyTraining();
  config.steps = 6;
  StageContext context = Context("until validation");
  RunSupervised(context, model, source_, nullptr, config);
  EXPECT_EQ(MeanLoss(runtime_.get(), model, validation_, 2, 2048), run.result.validation_loss);
}

TEST_F(Supervised, TellsItsTimeLimitBesideItsSteps) {
  SupervisedConfig config = TinyTraining();
  config.steps = 1000000000;  // the clock would take years to get there
  config.time_limit_s = 1e6;
  StageContext context = Context("limited");
  context.on_step = [&](const StageProgress& p) {
    EXPECT_EQ(p.total_steps, config.steps);
    EXPECT_EQ(p.time_limit_s, config.time_limit_s);
    if (p.step == 2) throw Stop();
  };
  EXPECT_THROW(Train(context, config), Stop);
}

TEST_F(Supervised, MovesTheCorrectionBiasAsAsked) {
  SupervisedConfig config = TinyTraining();
  config.steps = 1;
  for (const double speed : {0.0, 0.25}) {
    Model model(TinyConfig());
    model.Initialize(1);
    config.bias_update_speed = speed;
    StageContext context = Context("speed" + std::to_string(speed));
    RunSupervised(context, model, source_, nullptr, config);
    float largest = 0;
    const std::span<const float> biases = model.correction_biases()[0];
    for (float bias : biases) {
      EXPECT_TRUE(std::fabs(bias) == static_cast<float>(speed) || bias == 0) << bias;
      largest = std::max(largest, std::fabs(bias));
    }
    EXPECT_EQ(largest, static_cast<float>(speed));
  }
}

TEST_F(Supervised, NamesTheStepThatHasNothingToLearn) {
  Model model(TinyConfig());
  model.Initialize(1);
  StageContext context = Context("sft");
  try {
    RunSupervised(context, model, NothingToLearn(), nullptr, TinyTraining());
    FAIL() << "a step without targets was trained";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("sft: step 0"));
  }
}

TEST(ParseSupervisedConfig, NamesAWrongKey) {
  const auto error_of = [](const Json& json) -> std::string {
    try {
      ObjectReader reader(json, "recipe.json");
      ParseSupervisedConfig(reader);
      reader.Finish();
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(error_of({{"steps", 10}, {"balance_alpha", 0.001}}), "accepted");
  EXPECT_THAT(error_of(Json::object()), HasSubstr("recipe.json: steps: missing"));
  EXPECT_THAT(error_of({{"steps", 0}}), HasSubstr("recipe.json: steps"));
  EXPECT_THAT(error_of({{"steps", 10}, {"mtp_loss_weight", -1}}), HasSubstr("mtp_loss_weight"));
  EXPECT_THAT(error_of({{"steps", 10}, {"valdiate_every_steps", 5}}),
              HasSubstr("validate_every_steps"));
}

}  // namespace
}  // namespace reckon
