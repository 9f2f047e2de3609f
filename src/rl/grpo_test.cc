#include "rl/grpo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/error.h"
#include "model/weights.h"
#include "rl/rollout.h"
#include "text/tokenizer_train.h"

namespace reckon {
namespace {

// "aabab=" is answered by anything with an "a" in it: something a random model hits now and then.
class EmitTask : public Task {
 public:
  std::string name() const override { return "emit"; }
  std::string alphabet() const override { return "ab="; }
  bool Grade(const Problem&, std::string_view answer) const override {
    return answer.find('a') != std::string_view::npos;
  }

 protected:
  Problem Draw(Rng& rng) const override {
    Problem problem{"emit", "", "", "a"};
    for (int i = 0; i < 5; ++i) problem.prompt += rng.Bernoulli(0.5) ? 'a' : 'b';
    problem.prompt += '=';
    return problem;
  }
};

ModelConfig TinyConfig() {
  ModelConfig config;
  config.vocab_size = 7;
  config.hidden_size = 16;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.intermediate_size = 32;
  config.moe_intermediate_size = 16;
  config.kv_lora_rank = 8;
  config.qk_nope_head_dim = 8;
  config.qk_rope_head_dim = 4;
  config.v_head_dim = 8;
  config.n_routed_experts = 4;
  config.num_experts_per_tok = 2;
  config.n_shared_experts = 1;
  config.first_k_dense_replace = 1;
  config.initializer_range = 0.1;
  config.max_position_embeddings = 64;
  config.bos_token_id = 0;
  config.eos_token_id = 1;
  return config;
}

Tokenizer TinyTokenizer() {
  return Tokenizer::FromJson(MakeCharTokenizer("ab=", {"<bos>", "<eos>", "<think>", "</think>"}),
                             "test");
}

GrpoConfig EmitConfig() {
  GrpoConfig config;
  config.tasks = {{std::make_shared<EmitTask>(), 1.0}};
  config.seed = 5;
  config.steps = 6;
  config.prompts_per_step = 8;
  config.num_generations = 16;
  config.max_completion_length = 8;
  config.format_weight = 0.2;
  config.schedule.learning_rate = 4e-3;
  return config;
}

class GrpoTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() /
            ("reckon-grpo-" + std::to_string(getpid()) + "-" +
             testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  struct Outcome {
    GrpoResult result;
    std::string weight_hash;
    std::vector<double> rewards;  // of the steps of this run
  };
  // One run of a stage in its own folder, from fresh weights or from the checkpoint that is there.
  Outcome Run(const std::string& name, const GrpoConfig& config, int threads = 1,
              int64_t stop_after = -1) {
    const RuntimeOwner runtime(threads);
    StageContext context;
    context.rt = runtime.get();
    context.name = name;
    context.folder = (root_ / name).string();
    context.checkpoint_every_steps = 2;
    std::filesystem::create_directories(context.folder);
    Outcome outcome;
    context.on_step = [&](const StageProgress& progress) {
      for (const auto& [metric, value] : *progress.metrics) {
        if (metric == "reward_mean") outcome.rewards.push_back(value);
      }
      if (progress.step == stop_after) Throw(ErrorKind::kIo, "the test pulls the plug");
    };
    Model model(TinyConfig());
    model.Initialize(3);
    outcome.result = RunGrpo(context, model, TinyTokenizer(), config);
    outcome.weight_hash = WeightHash(model);
    return outcome;
  }

  std::filesystem::path root_;
};

double Mean(std::span<const double> values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

TEST_F(GrpoTest, ARandomModelLearnsTheFormatAndTheAnswer) {
  GrpoConfig config = EmitConfig();
  config.steps = 100;
  const Outcome outcome = Run("learn", config);
  const std::span<const double> rewards = outcome.rewards;
  ASSERT_EQ(rewards.size(), 100u);
  EXPECT_LE(Mean(rewards.first(3)), 0.3);
  EXPECT_GE(Mean(rewards.last(10)), 0.9);  // of 1.2
  EXPECT_EQ(outcome.result.mismatched_tokens, 0);
}

TEST_F(GrpoTest, WeightsDoNotDependOnThreadsBatchesOrMicroBatches) {
  GrpoConfig config = EmitConfig();
  config.steps = 4;
  const Outcome plain = Run("plain", config, 1);
  EXPECT_EQ(Run("threads", config, 2).weight_hash, plain.weight_hash);
  config.rollout_batch = 5;
  EXPECT_EQ(Run("rollout", config, 2).weight_hash, plain.weight_hash);
  config.max_rows_per_micro_batch = 50;
  EXPECT_EQ(Run("micro", config, 1).weight_hash, plain.weight_hash);
  EXPECT_EQ(plain.result.mismatched_tokens, 0);
}

TEST_F(GrpoTest, AResumedRunEndsInTheSameBits) {
  GrpoConfig config = EmitConfig();
  config.loss.beta = 0.05;
  config.ref_model_sync_steps = 3;
  config.num_iterations = 2;
  config.num_mini_batches = 2;
  config.resample_groups = true;
  config.bias_update_speed = 0.01;
  config.balance_alpha = 0.01;
  const Outcome whole = Run("whole", config);
  EXPECT_EQ(whole.result.steps, 6);
  for (int64_t stop : {1, 4, 5}) {
    const std::string name = "stopped" + std::to_string(stop);
    EXPECT_THROW(Run(name, config, 1, stop), Error);
    const Outcome resumed = Run(name, config);
    EXPECT_EQ(resumed.rewards.size(), static_cast<size_t>(6 - (stop - 1) / 2 * 2));
    EXPECT_EQ(resumed.weight_hash, whole.weight_hash) << "stopped after step " << stop;
    EXPECT_EQ(resumed.result.response_tokens, whole.result.response_tokens);
    EXPECT_EQ(resumed.result.trained.tokens, whole.result.trained.tokens);
    EXPECT_EQ(resumed.result.reference.tokens * 2, whole.result.trained.tokens);  // 2 iterations
  }
  EXPECT_EQ(Run("whole", config).weight_hash, whole.weight_hash) << "a finished stage moved on";
}

TEST_F(GrpoTest, StopsOnceTheTargetAccuracyIsReached) {
  GrpoConfig config = EmitConfig();
  config.steps = 100;
  config.target_accuracy = 0.5;
  config.target_window_steps = 3;
  const Outcome outcome = Run("target", config);
  EXPECT_TRUE(outcome.result.reached_target);
  EXPECT_LT(outcome.result.steps, 100);
  EXPECT_GE(outcome.result.accuracy, 0.5);
  EXPECT_TRUE(Run("target", config).rewards.empty()) << "a finished stage moved on";
}

TEST_F(GrpoTest, ResamplingReplacesGroupsWithoutSignal) {
  GrpoConfig config = EmitConfig();
  config.num_generations = 4;  // most groups of a random model earn nothing
  const RuntimeOwner runtime(1);
  Model model(TinyConfig());
  model.Initialize(3);
  const Tokenizer tokenizer = TinyTokenizer();
  const Rollout once = SampleRollout(runtime.get(), model, tokenizer, config, 0);
  EXPECT_EQ(static_cast<int64_t>(once.groups.size()) + once.totals.groups_dropped, 8);
  ASSERT_GT(once.totals.groups_dropped, 0);
  config.resample_groups = true;
  config.max_resample_rounds = 200;
  const Rollout refilled = SampleRollout(runtime.get(), model, tokenizer, config, 0);
  ASSERT_EQ(refilled.groups.size(), 8u);
  for (size_t i = 0; i < once.groups.size(); ++i) {
    EXPECT_EQ(refilled.groups[i].prompt_ids, once.groups[i].prompt_ids);
  }
}

TEST(GrpoRewardTest, IsMadeUpAsTheHeaderSays) {
  GrpoConfig config;
  config.max_completion_length = 100;
  config.format_weight = 0.25;
  EXPECT_EQ(RewardOf(config, true, true, false, 90), 1.25f);
  EXPECT_EQ(RewardOf(config, false, true, false, 90), 0.25f);
  EXPECT_EQ(RewardOf(config, true, true, true, 100), 0.0f);
  config.soft_overlong_cache = 20;
  config.overlong_weight = 1;
  EXPECT_EQ(RewardOf(config, true, true, false, 80), 1.25f);
  EXPECT_EQ(RewardOf(config, true, true, false, 90), 0.75f);
  EXPECT_EQ(RewardOf(config, true, true, true, 100), -1.0f);
}

Json MinimalJson() {
  return {{"tasks", {{{"task", {{"name", "parity"}, {"bits", 12}}}}}}, {"steps", 3}};
}

GrpoConfig Parse(const Json& json) {
  ObjectReader reader(json, "recipe.json: stages[2].grpo");
  GrpoConfig config = ParseGrpoConfig(reader);
  reader.Finish();
  return config;
}

std::string ParseMessage(const Json& json) {
  try {
    Parse(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(GrpoConfigTest, KeysHaveTheNamesAndMeaningsOfTrl) {
  Json json = MinimalJson();
  json["num_generations"] = 16;
  json["epsilon_high"] = 0.4;
  json["beta"] = 0.01;
  json["loss_type"] = "dr_grpo";
  json["scale_rewards"] = "none";
  const GrpoConfig config = Parse(json);
  EXPECT_EQ(config.steps, 3);
  EXPECT_EQ(config.schedule.total_steps, 3);
  EXPECT_EQ(config.num_generations, 16);
  EXPECT_EQ(config.loss.epsilon, 0.2);
  EXPECT_EQ(config.loss.epsilon_high, 0.4);
  EXPECT_EQ(config.loss.beta, 0.01);
  EXPECT_EQ(config.loss_type, LossAggregation::kConstant);
  EXPECT_EQ(config.scale_rewards, AdvantageScale::kNone);
  EXPECT_EQ(config.tasks.size(), 1u);
}

TEST(GrpoConfigTest, WrongValuesAreRefusedByTheirPath) {
  const auto with = [](const char* key, const Json& value) {
    Json json = MinimalJson();
    json[key] = value;
    return ParseMessage(json);
  };
  const char* where = "recipe.json: stages[2].grpo";
  EXPECT_EQ(ParseMessage(MinimalJson()), "");
  for (const std::string& message :
       {with("num_generations", 1), with("steps", -1), with("temperature", 0),
        with("loss_type", "ppo"), with("beta", "high"), with("num_mini_batches", 257),
        with("epsilom", 0.2), with("tasks", Json::array())}) {
    EXPECT_THAT(message, testing::HasSubstr(where));
  }
  EXPECT_THAT(with("epsilom", 0.2), testing::HasSubstr("epsilom"));
  EXPECT_THAT(with("tasks", Json::array({Json{{"task", {{"name", "nothing"}}}}})),
              testing::HasSubstr("tasks[0].task"));
}

}  // namespace
}  // namespace reckon
