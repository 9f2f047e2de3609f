// No problem a model is evaluated on is ever among those it was trained on: the sources of a recipe
// as RunRecipe makes them, for every task.

#include <gtest/gtest.h>

#include <set>

#include "recipe/recipe.h"
#include "rl/rollout.h"
#include "text/tokenizer_train.h"

namespace reckon {
namespace {

// Knobs that leave few problems, so that chance alone cannot keep the splits apart.
const char* const kTasks[] = {R"({"name": "parity", "bits": 8})",
                              R"({"name": "digit_sum", "digits": 3})",
                              R"({"name": "addition", "digits": 2})",
                              R"({"name": "sort", "count": 2})",
                              R"({"name": "countdown", "numbers": 3})",
                              R"({"name": "op_chain", "operations": 2, "modulus": 7})",
                              R"({"name": "k_hop", "hops": 1})",
                              R"({"name": "product", "digits": 2})"};

constexpr const char* kModel = R"({
  "model_type": "deepseek_v3", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
  "kv_lora_rank": 4, "qk_nope_head_dim": 4, "qk_rope_head_dim": 2, "v_head_dim": 4,
  "intermediate_size": 8, "max_position_embeddings": 256, "bos_token_id": 0, "eos_token_id": 1})";

Recipe RecipeOf(const Json& task) {
  const Json part = {{"task", task}};
  Json recipe = {{"name", "held-out"}, {"model", Json::parse(kModel)}, {"seed", 11}};
  recipe["tokenizer"] = {{"type", "char"}};
  recipe["tasks"] = Json::array({task});
  recipe["eval"] = {
      {"problems", 200}, {"samples", 0}, {"transcripts", 200}, {"max_completion_length", 1}};
  Json noisy = part;
  noisy["corrupt_probability"] = 0.5;
  recipe["stages"] = Json::array(
      {{{"name", "sft"},
        {"kind", "sft"},
        {"steps", 1},
        {"data", {{"type", "tasks"}, {"batch_size", 2000}, {"tasks", Json::array({noisy})}}}},
       // Many answers of one or two tokens that are rewarded for their length: nearly every group
       // has a signal, and so is kept.
       {{"name", "rl"},
        {"kind", "rl"},
        {"steps", 1},
        {"prompts_per_step", 300},
        {"num_generations", 64},
        {"max_completion_length", 2},
        {"overlong_weight", 1},
        {"soft_overlong_cache", 2},
        {"tasks", Json::array({part})}}});
  return ParseRecipe(recipe, "r.json", "");
}

class HeldOut : public testing::TestWithParam<const char*> {
 protected:
  HeldOut()
      : recipe_(RecipeOf(Json::parse(GetParam()))),
        tokenizer_(Tokenizer::FromJson(MakeCharTokenizer(recipe_.tasks[0]->alphabet(),
                                                         {"<bos>", "<eos>", "<think>", "</think>"}),
                                       "test")),
        runtime_(1) {
    Json config = recipe_.model;
    config["vocab_size"] = tokenizer_.vocab_size();
    model_ = std::make_unique<Model>(ParseModelConfig(config, "test"));
    model_->Initialize(1);
  }

  // What stands between <bos> and the answer.
  std::string Prompt(std::span<const int32_t> ids) const {
    const std::string text = tokenizer_.Decode(ids.subspan(1));
    return text.substr(0, text.find("<think>"));
  }
  std::set<std::string> Evaluated(Split split) {
    recipe_.eval.split = split;
    std::set<std::string> prompts;
    for (const Transcript& t :
         Evaluate(runtime_.get(), *model_, tokenizer_, recipe_.eval).transcripts) {
      prompts.insert(t.prompt);
    }
    return prompts;
  }
  std::set<std::string> FineTunedOn(Split split) {
    TaskSourceConfig config = recipe_.stages[0].data.tasks;
    config.split = split;
    std::set<std::string> prompts;
    for (const Example& e : MakeTaskSource(config, tokenizer_, 0, 1)->Step(0)) {
      prompts.insert(Prompt(e.token_ids));
    }
    return prompts;
  }
  std::set<std::string> SampledInRl() {
    const GrpoConfig& config = recipe_.stages[1].grpo;
    std::set<std::string> prompts;
    const Rollout rollout = SampleRollout(runtime_.get(), *model_, tokenizer_, config, 0);
    for (const RolloutGroup& group : rollout.groups) prompts.insert(Prompt(group.prompt_ids));
    EXPECT_GT(rollout.groups.size(), 150u) << "too few groups had a signal";
    return prompts;
  }
  void ExpectAll(Split split, const std::set<std::string>& prompts) const {
    for (const std::string& prompt : prompts) {
      EXPECT_EQ(SplitOf({recipe_.tasks[0]->name(), prompt, "", ""}), split) << prompt;
    }
  }
  static int Common(const std::set<std::string>& a, const std::set<std::string>& b) {
    int common = 0;
    for (const std::string& prompt : a) common += static_cast<int>(b.count(prompt));
    return common;
  }

  Recipe recipe_;
  Tokenizer tokenizer_;
  RuntimeOwner runtime_;
  std::unique_ptr<Model> model_;
};

TEST_P(HeldOut, ProblemsOfTheEvaluationAreInNoTrainingData) {
  const std::set<std::string> tuned = FineTunedOn(Split::kTrain), sampled = SampledInRl();
  const std::set<std::string> evaluated = Evaluated(Split::kHeldOut);
  EXPECT_EQ(Common(evaluated, tuned), 0);
  EXPECT_EQ(Common(evaluated, sampled), 0);
  // The validation loss is measured on held-out problems as well.
  const std::set<std::string> validated = FineTunedOn(Split::kHeldOut);
  EXPECT_EQ(Common(validated, tuned), 0);
  EXPECT_EQ(Common(validated, sampled), 0);
  ExpectAll(Split::kTrain, tuned);
  ExpectAll(Split::kTrain, sampled);
  ExpectAll(Split::kHeldOut, evaluated);
  // The same comparison does find problems that are in both, where there are few (k_hop has more
  // than 10^10).
  if (recipe_.tasks[0]->name() == "k_hop") return;
  EXPECT_GT(Common(Evaluated(Split::kTrain), tuned), 0);
  EXPECT_GT(Common(tuned, sampled), 0);
  EXPECT_GT(Common(evaluated, validated), 0);
}

INSTANTIATE_TEST_SUITE_P(EveryTask, HeldOut, testing::ValuesIn(kTasks));

TEST(HeldOutTasks, TheListHasEveryTask) {
  std::set<std::string> listed;
  for (const char* task : kTasks) listed.insert(Json::parse(task)["name"].get<std::string>());
  const std::vector<std::string> names = TaskNames();
  EXPECT_EQ(listed, std::set<std::string>(names.begin(), names.end()));
}

}  // namespace
}  // namespace reckon
